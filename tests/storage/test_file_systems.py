"""Files as other machines have them: links, modes, no fsync of folders, reads cut short, fast-math libraries."""

import errno
import os
import shutil
import subprocess
import sys
from io import FileIO
from pathlib import Path

import h5py
import pytest

from launch import call, mpisign, programs
from mpisign import fixed_order
from mpisign.cli.main import main
from mpisign.storage import checksum, output_file, provenance, writer
from mpisign.storage.output_file import replace_durably
from mpisign.storage.trajectory import Trajectory
from mpisign.storage.writer import DiskFile, TrajectoryWriter

JOB = """
iterations = 20
repeats = 2
problem = { kind = "separable", eigenvalues = [1, 2] }
oracle = { kind = "additive", noise = "uniform", size = 0.1 }
[[runs]]
method = "scaled-sign"
workers = 1
step = { kind = "constant", alpha = 0.1 }
"""


@pytest.fixture
def job(tmp_path):
    (tmp_path / "job.toml").write_text(JOB)
    return tmp_path


def test_a_read_beyond_two_gigabytes_is_whole(tmp_path):
    """One read of Linux ends at 0x7ffff000 bytes; what follows would be zeros."""
    size = 2**31 + 4096
    if os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") < 2 * size:
        pytest.skip("needs 4 GB of free memory")
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(size)
        file.seek(size - 4)
        file.write(b"last")
    buffer = bytearray(size)
    with DiskFile(path, "r") as disk:
        assert disk.readinto(buffer) == size
    assert buffer[-4:] == b"last"
    with DiskFile(path, "r") as disk:
        disk.seek(size - 2)
        assert disk.readinto(bytearray(8)) == 2  # at the end it is short, and says so


COUNTED = """
import numpy as np
from mpi4py import MPI
from mpisign.comm.mpi import MPICommunicator

class Recording(MPICommunicator):
    persistent = False

    def _blocking(self, name, *arguments):
        print(name, *(message[1].Get_name() for message in arguments if isinstance(message, tuple)))
        return super()._blocking(name, *arguments)

world, row, table = Recording(MPI.COMM_SELF), np.arange(3, dtype=np.uint64), np.ones((1, 3), dtype=np.uint64)
calls = world.gather_of(table), world.broadcast_of(row), world.alltoall_of(table * 1, table)
calls = *calls, world.allgather_of(row, table)
for call in calls:
    call.run()
assert (table == row).all()
"""


@pytest.mark.ranks
def test_messages_count_words(tmp_path):
    """MPI-3.1 counts by an int: as bytes, a message would end at 2 GiB, and as words of 8 bytes at 16 GiB."""
    done = call([programs("mpich") / "python", "-c", COUNTED], cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    word = "MPI_UINT64_T"
    calls = [["Gather", word], ["Bcast", word], ["Alltoall", word, word], ["Allgather", word, word]]
    assert [line.split() for line in done.stdout.splitlines()] == calls


def test_the_target_of_a_link_is_written_and_keeps_its_mode(job):
    os.mkdir(job / "real")
    (job / "real" / "r.h5").write_bytes(b"")
    os.chmod(job / "real" / "r.h5", 0o640)
    os.symlink(job / "real" / "r.h5", job / "link.h5")
    assert mpisign("run", "job.toml", "-o", "link.h5", "--overwrite", cwd=job).returncode == 0
    assert (job / "link.h5").is_symlink()
    assert (job / "real" / "r.h5").stat().st_mode & 0o777 == 0o640
    assert Trajectory(job / "real" / "r.h5").repeats == range(2)


def test_the_group_of_a_replaced_file_is_kept(tmp_path):
    if os.geteuid():
        pytest.skip("only root may give a file to any group")
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("old")
    new.write_text("new")
    os.chown(old, -1, 1234)
    os.chmod(old, 0o660)
    replace_durably(new, old)
    assert (old.read_text(), old.stat().st_gid, old.stat().st_mode & 0o777) == ("new", 1234, 0o660)


def test_a_view_in_a_linked_folder_finds_its_slices(job):
    os.makedirs(job / "far" / "away")
    os.symlink(job / "far" / "away", job / "near")
    for part in ("0:1", "1:2"):
        done = mpisign("run", "job.toml", "-o", f"{part[0]}.h5", "--repeats", part, cwd=job)
        assert done.returncode == 0, done.stderr
    assert mpisign("merge", "near/all.h5", "0.h5", "1.h5", "--virtual", cwd=job).returncode == 0
    for path in ("near/all.h5", "far/away/all.h5"):
        assert [repeat.status for repeat in Trajectory(job / path).runs[0].repeats] == ["complete"] * 2


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EOPNOTSUPP, 524, errno.EIO])
def test_a_folder_that_cannot_be_synced_is_said_once(tmp_path, monkeypatch, capsys, number):
    fsync = os.fsync

    def refusing(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refusing)
    monkeypatch.setattr(output_file, "_warned", set())
    for text in ("one", "two"):
        (tmp_path / "new").write_text(text)
        if number == errno.EIO:
            with pytest.raises(OSError, match="fsync: ") as failed:
                replace_durably(tmp_path / "new", tmp_path / "file")
            assert failed.value.filename == str(tmp_path)
            return
        replace_durably(tmp_path / "new", tmp_path / "file")
        assert (tmp_path / "file").read_text() == text
    assert capsys.readouterr().err.count("no fsync of a folder") == 1


def test_a_mode_that_cannot_be_kept_is_said_once_and_ends_no_run(tmp_path, monkeypatch, capsys):
    def refusing(path, mode, **how):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "chmod", refusing)
    (tmp_path / "file").write_text("old")
    for text in ("one", "two"):
        (tmp_path / "new").write_text(text)
        replace_durably(tmp_path / "new", tmp_path / "file")
        assert (tmp_path / "file").read_text() == text
    assert capsys.readouterr().err == f"mpisign: {tmp_path / 'file'}: its mode and group could not be kept\n"


def full(*given, **more):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("where", "name", "said"),
    [
        (shutil, "copyfile", "r.h5.next: copy"),
        (FileIO, "write", "r.h5.part: write"),
        (FileIO, "truncate", "r.h5.part: truncate"),
        (Path, "replace", "r.h5: rename"),
        (checksum, "_seal", "r.h5.next: write"),
    ],
)
def test_an_error_of_the_system_that_ends_a_run_names_file_and_operation(job, monkeypatch, capsys, where, name, said):
    monkeypatch.chdir(job)
    if where is FileIO:
        disk = type("FullDisk", (FileIO,), {name: full})
        monkeypatch.setattr(writer, "DiskFile", type("Disk", (DiskFile, disk), {}))  # its super() is the full one
    else:
        monkeypatch.setattr(where, name, full)
    assert main(["run", "job.toml", "-o", "r.h5"]) == 1
    assert f"{said}: No space left on device" in capsys.readouterr().err


def test_f_star_is_the_same_as_dataset_and_attribute_also_after_it_was_solved_again(tmp_path):
    with TrajectoryWriter(tmp_path / "r.h5", {}) as writer:
        for value in (0.5, 0.25):
            writer.run("run", {"f_star": value})
    with h5py.File(tmp_path / "r.h5") as file:
        assert file["runs/run"].attrs["f_star"] == file["runs/run/f_star"][()] == 0.25


def test_locks_that_a_file_system_does_not_have_are_done_without(tmp_path, monkeypatch, capsys):
    def refusing(descriptor, how):
        raise OSError(524, "unknown error 524")

    monkeypatch.setattr(output_file.fcntl, "flock", refusing)
    with output_file.lock_output(tmp_path / "r.h5"):
        assert "no file locks" in capsys.readouterr().err


def test_resume_takes_a_default_that_is_spelt_out(job):
    assert mpisign("run", "job.toml", "-o", "r.h5", cwd=job).returncode == 0
    (job / "job.toml").write_text(JOB.replace("size = 0.1 }", "size = 0.1, decoupled = false, flipped = 0 }"))
    done = mpisign("run", "job.toml", "-o", "r.h5", "--resume", cwd=job)
    assert done.returncode == 0, done.stderr
    (job / "job.toml").write_text(JOB.replace("size = 0.1 }", "size = 0.1, decoupled = true }"))
    done = mpisign("run", "job.toml", "-o", "r.h5", "--resume", cwd=job)
    assert done.returncode == 2
    assert "decoupled" in done.stderr


DOCTOR_WITHOUT_RANKS = """
from mpisign.cli.main import main
from mpisign.tools.doctor import ranks

ranks.look = lambda: iter(())
main(["doctor"])
"""


@pytest.fixture(scope="module")
def fast_math(tmp_path_factory):
    """A library that sets flush-to-zero when it is loaded, as -ffast-math has it."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    folder = tmp_path_factory.mktemp("fast")
    (folder / "fast.c").write_text("int nothing;\n")
    subprocess.run(["gcc", "-shared", "-fPIC", "-ffast-math", "-o", folder / "fast.so", folder / "fast.c"], check=True)
    return folder / "fast.so"


def test_flush_to_zero_is_said_once_and_recorded(job, fast_math):
    done = mpisign("run", "job.toml", "-o", "r.h5", cwd=job, LD_PRELOAD=str(fast_math))
    assert done.returncode == 0
    if Trajectory(job / "r.h5").provenance["subnormals"] == "kept":
        pytest.skip("gcc's -ffast-math no longer sets flush-to-zero in shared libraries")
    assert done.stderr.count("subnormal numbers become 0") == 1
    examined = call([sys.executable, "-c", DOCTOR_WITHOUT_RANKS], cwd=job, LD_PRELOAD=str(fast_math))
    assert "find the one" in examined.stdout
    assert fixed_order.keeps_subnormals()


def test_ranks_with_unlike_arithmetic_are_named():
    where = provenance.Sites(["a", "b", "b"], ["new; BLAS 1", "old; BLAS 1", "new; BLAS 1"])
    (line,) = provenance.warnings(where)
    assert line.endswith("rank 0, 2: new; BLAS 1 | rank 1: old; BLAS 1")
    assert list(provenance.warnings(provenance.Sites(["a"], ["new; BLAS 1"]))) == []
