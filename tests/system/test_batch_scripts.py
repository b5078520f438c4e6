"""The batch scripts of jobs/slurm over stubs of SLURM and the launcher; test_slurm.py submits them in earnest."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launch import ROOT, call

JOB = """
repeats = 5
iterations = 2
problem = { kind = "separable", eigenvalues = [1.0] }
runs = [{ method = "gd", step = { kind = "constant", alpha = 0.1 } }]
"""
SBATCH = """#!/bin/sh
echo "$*" >> submitted
wc -l < submitted
"""
MPIEXEC = """#!/bin/bash
trap 'exit $STATUS' USR1
echo "$*" > launched
[ "$STATUS" -lt 3 ] && exit $STATUS
while :; do sleep 0.02; done
"""
SCONTROL = """#!/bin/sh
[ "$1" != requeue ] || echo "$*" > requeued
echo "   StartTime=$SUBMITTED EndTime=${ENDS:-Unknown} Deadline=N/A"
"""


@pytest.fixture
def checkout(tmp_path):
    """The scripts, a job, and stubs; mpiexec waits to be asked, and ends with $STATUS."""
    folder, bin = tmp_path / "checkout", tmp_path / "checkout" / ".venv" / "bin"
    shutil.copytree(ROOT / "jobs", folder / "jobs")
    bin.mkdir(parents=True)
    (bin / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    for name, text in {"mpiexec": MPIEXEC, "sbatch": SBATCH, "scontrol": SCONTROL}.items():
        (bin / name).write_text(text)
    for path in bin.iterdir():
        path.chmod(0o755)
    (folder / "job.toml").write_text(JOB)
    return folder


def path(checkout):
    """A path without any mpisign."""
    return f"{checkout}/.venv/bin{os.pathsep}{os.defpath}"


def array(checkout, *arguments, **variables):
    return call(["bash", "jobs/slurm/array.sh", *arguments], cwd=checkout, PATH=path(checkout), **variables)


def test_an_array_is_submitted_with_its_merge(checkout):
    options = ("job.toml", "out/a.h5", "--set", "repeats=7", "--exchange", "auto")
    done = array(checkout, *options, PER_TASK="2", AT_ONCE="3", SBATCH="sbatch --ntasks=9")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "array 1: 4 tasks; merge 2, when they are done, into out/a.h5\n"
    slices = " ".join(f"out/a/slice-{number:04d}.h5" for number in range(4))
    assert (checkout / "submitted").read_text().splitlines() == [
        "--ntasks=9 --parsable --array=0-3%3 jobs/slurm/array.sbatch"
        " job.toml out/a 2 7 --set repeats=7 --exchange auto",
        f"--parsable --dependency=afterok:1 --kill-on-invalid-dep=yes jobs/slurm/merge.sbatch out/a.h5 {slices}",
    ]


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (["job.toml"], {}, "expected JOB.toml FILE.h5"),
        (["job.toml", "out"], {}, "out: expected a name that ends in .h5"),
        (["job.toml", "out.h5"], {"PER_TASK": "0"}, "PER_TASK=0: expected how many"),
        (["job.toml", "out.h5", "--repeats", "0:2"], {}, "--set repeats=N"),
        (["other.toml", "out.h5"], {}, "other.toml: "),
        (["job.toml", "out.h5", "--set", "repeats=0"], {}, "repeats: "),
        (
            ["job.toml", "jobs/there.h5"],
            {},
            "jobs/there.h5: this output exists already; remove it, or give another name",
        ),
        (["job.toml", "out.h5"], {"MPI": "lam"}, "MPI=lam: expected mpich"),
        (["job.toml", "out.h5"], {"MPI": "system"}, "no .venv-system here, and no mpisign on PATH"),
    ],
)
def test_nothing_is_submitted_for_what_cannot_run(arguments, variables, said, checkout):
    (checkout / "jobs" / "there.h5").touch()
    done = array(checkout, *arguments, **variables)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr
    assert not (checkout / "submitted").exists()


@pytest.mark.parametrize("script", ["experiment", "cores", "array", "merge", "epsilon"])
def test_a_batch_script_says_that_it_is_not_in_a_checkout(script, tmp_path):
    done = call(["bash", ROOT / "jobs" / "slurm" / f"{script}.sbatch"], cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"{tmp_path}: expected a checkout of mpisign" in done.stderr


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("experiment.sbatch job.toml out.h5", "expected a job of SLURM: sbatch this script\n"),
        ("cores.sbatch job.toml out.h5", "expected a job of SLURM: sbatch this script\n"),
        ("array.sbatch", "expected to be submitted by array.sh\n"),
    ],
)
def test_a_batch_script_says_that_it_was_called_by_hand(command, said, checkout):
    done = call(["bash", *f"jobs/slurm/{command}".split()], cwd=checkout, PATH=path(checkout))
    assert (done.returncode, done.stderr) == (2, said)


def test_the_cores_of_a_node_have_a_process_each(checkout):
    (checkout / ".venv" / "bin" / "python").write_text('#!/bin/sh\necho "$*" > started\nexit 1\n')
    slurm = {"SLURM_JOB_ID": "17", "SLURM_CPUS_PER_TASK": "6", "PATH": path(checkout)}
    command = ["bash", "jobs/slurm/cores.sbatch", "job.toml", "out.h5", "--exchange", "auto"]
    assert call(command, cwd=checkout, **slurm).returncode == 1
    started = (checkout / "started").read_text()
    assert started == "-m mpisign run job.toml -o out.h5 --resume --jobs 6 --exchange auto\n"


def experiment(checkout, status, **variables):
    """The job of one experiment, whose ranks end with that status when they are asked to stop, or at once below 3."""
    slurm = {"SLURM_JOB_ID": "17", "SLURM_NTASKS": "4", "STATUS": str(status), "PATH": path(checkout)}
    command = ["bash", "jobs/slurm/experiment.sbatch", "job.toml", "out.h5", "--exchange", "auto"]
    return subprocess.Popen(
        command, cwd=checkout, env=os.environ | slurm | variables, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("status", [0, 1, 2])
def test_an_experiment_ends_as_its_ranks_do(status, checkout):
    with experiment(checkout, status) as job:
        assert job.wait(30) == status
    launched = (checkout / "launched").read_text()
    assert launched.endswith("-m mpi4py -m mpisign run job.toml -o out.h5 --resume --exchange auto\n")
    assert launched.startswith("-n 4 ")
    assert not (checkout / "requeued").exists()


@pytest.mark.parametrize(
    ("name", "status", "restarts", "again"),
    [
        ("SIGUSR1", 75, "0", True),
        ("SIGUSR1", 138, "3", True),  # Open MPI's and srun's for ranks that the signal killed
        ("SIGUSR1", 10, "3", True),  # MPICH's
        ("SIGUSR1", 75, "4", False),
        ("SIGUSR1", 3, "0", False),
        ("SIGTERM", 75, "0", False),
    ],
)
def test_only_what_time_was_up_for_is_requeued_and_not_for_ever(name, status, restarts, again, checkout):
    with experiment(checkout, status, SLURM_RESTART_COUNT=restarts, RESTARTS="4") as job:
        wait_for(checkout / "launched")
        job.send_signal(signal.Signals[name])
        said = job.communicate(timeout=30)[1]
    assert (job.returncode, (checkout / "requeued").exists()) == (status, again)
    assert f"asked to stop by {name.removeprefix('SIG')}\n" in said
    assert ("restarted 4 times already (RESTARTS); the same sbatch goes on\n" in said) == (restarts == "4")
    if again:
        assert (checkout / "requeued").read_text() == "requeue 17\n"


@pytest.mark.parametrize(
    ("ends", "known"), [("2026-01-02T03:04:05", "1767323045"), ("Unknown", "none"), ("2026-01-02T03:04:05", "17")]
)
def test_a_run_knows_when_its_job_ends_and_may_stop_by_itself(ends, known, checkout):
    """By SLURM's own variable, or by what scontrol says; in the local time, which is UTC here. It ends with 75 then."""
    told = 'echo "${SLURM_JOB_END_TIME:-none}" > told\nexit 75\n'
    (checkout / ".venv" / "bin" / "mpiexec").write_text(f"#!/bin/bash\n{told}")
    given = {"SLURM_JOB_END_TIME": known} if known == "17" else {}
    with experiment(checkout, 75, ENDS=ends, TZ="UTC", **given) as job:
        assert job.wait(30) == 75
    assert (checkout / "told").read_text() == f"{known}\n"
    assert (checkout / "requeued").read_text() == "requeue 17\n"


SRUN = """#!/bin/sh
echo "$*; $SRUN_CPUS_PER_TASK $OMP_NUM_THREADS $OPENBLAS_NUM_THREADS $MKL_NUM_THREADS" > launched
"""


@pytest.mark.parametrize(
    ("asked", "there", "launcher"), [("", True, "-n 4 "), ("", False, "--kill"), ("pmi2", True, "--mpi=pmi2 ")]
)
def test_srun_starts_the_ranks_where_there_is_no_mpiexec(asked, there, launcher, checkout):
    """A task has the cores that the job gave it, and one thread for linear algebra, before Python starts."""
    bin, tools = checkout / ".venv" / "bin", checkout / "tools"
    tools.mkdir()
    for name in ("bash", "dirname", "sed", "date", "id", "nproc", "env"):
        (tools / name).symlink_to(shutil.which(name))
    for name in {"srun", "mpiexec"} if there else {"srun"}:
        (bin / name).write_text(SRUN)
        (bin / name).chmod(0o755)
    if not there:
        (bin / "mpiexec").unlink()
    slurm = {"SLURM_JOB_ID": "17", "SLURM_NTASKS": "4", "SLURM_CPUS_PER_TASK": "3", "LAUNCH": asked}
    command = [tools / "bash", "jobs/slurm/experiment.sbatch", "job.toml", "out.h5"]
    done = call(command, cwd=checkout, **slurm, PATH=f"{bin}{os.pathsep}{tools}")
    assert (done.returncode, done.stderr) == (0, "")
    said, given = (checkout / "launched").read_text().split("; ")
    assert said.startswith(launcher)
    assert given.split() == ["3", "1", "1", "1"]


def wait_for(written: Path):
    deadline = time.monotonic() + 30
    while not written.exists() and time.monotonic() < deadline:
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("missing", "said"), [("root", "expected root"), ("slurmd", "no command slurmd; apt-get install")]
)
def test_where_there_can_be_no_slurm_its_test_says_why(missing, said, tmp_path):
    for name in {"id", "munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol"} - {missing}:
        (tmp_path / name).write_text(f"#!/bin/sh\necho {1000 if missing == 'root' else 0}\n")
        (tmp_path / name).chmod(0o755)
    text = (ROOT / "tests" / "slurm" / "up.sh").read_text().replace("PATH=$PATH:/usr/sbin:/sbin\n", "")
    (tmp_path / "up.sh").write_text(text)
    done = call([shutil.which("bash"), "up.sh", "possible"], cwd=tmp_path, PATH=str(tmp_path))
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert said in done.stderr


def test_tasks_per_node_are_as_good_as_tasks(checkout):
    """With --ntasks-per-node alone SLURM sets no SLURM_NTASKS."""
    several = {"SLURM_NTASKS_PER_NODE": "3", "SLURM_JOB_NUM_NODES": "2"}
    environment = os.environ | {"SLURM_JOB_ID": "17", "STATUS": "0", "PATH": path(checkout)} | several
    environment.pop("SLURM_NTASKS", None)
    command = ["bash", "jobs/slurm/experiment.sbatch", "job.toml", "out.h5"]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert (checkout / "launched").read_text().startswith("-n 6 ")
