"""The batch scripts of jobs/slurm, submitted to a real SLURM of this machine: jobs that are stopped and nodes that are
lost on the way change no bit of the result."""

import contextlib
import functools
import os
import re
import shutil
import signal
import sys
import sysconfig
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from digests import digests, records
from launch import ROOT, call, programs
from mpisign.storage.trajectory import Trajectory

pytestmark = pytest.mark.ranks

CLUSTER = ROOT / "tests" / "slurm"
METHODS = ("scaled-sign", "signum", "ef-sign")
REPEATS, WORKERS = 5, 2


# However fast the machine is, a job lasts until it is stopped; nor do many ranks on few cores last for ever.
PACED = """
import os, time
from mpisign.config.validation import settings
from mpisign.algorithms.step_sizes import Constant

@settings
class Paced(Constant):
    def plan(self, samples):
        seconds = float(os.environ.get("PACE", "0"))
        return lambda k: time.sleep(seconds) or self.alpha
"""
SLOW = {"PACE": "0.002", "MPIR_CVAR_ENABLE_HEAVY_YIELD": "1"}


def job(iterations):
    """Methods with nothing, a momentum and an error to remember; everything is recorded that can be."""
    runs = "".join(
        f'[[runs]]\nlabel = "{method}"\nmethod = "{method}"\nworkers = {WORKERS}\n'
        'step = { kind = "paced:Paced", alpha = 1e-3 }\n'
        for method in METHODS
    )
    return (
        f"seed = 3\nrepeats = {REPEATS}\niterations = {iterations}\n"
        'problem = { kind = "logistic", data = "digits" }\noracle = { kind = "minibatch", batch = 4 }\n'
        f"log = {{ every = {iterations // 100}, iterates = true }}\n{runs}"
    )


class Slurm:
    """A cluster that is up. Its commands are called in `checkout`, where its jobs run."""

    def __init__(self, folder, checkout):
        self.folder, self.checkout = folder, checkout

    def call(self, *command, **variables):
        done = call(command, cwd=self.checkout, SLURM_CONF=str(self.folder / "slurm.conf"), **variables)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def submit(self, *arguments, **variables):
        return self.call("sbatch", "--parsable", *arguments, **variables).strip()

    def about(self, job):
        """What SLURM knows of a job: JobState, Restarts, NodeList, ..."""
        shown = self.call("scontrol", "--oneliner", "show", "job", job)
        return dict(re.findall(r"(?:^| )(\w+)=(\S+)", shown.splitlines()[0]))

    def until(self, said, condition, seconds=120):
        """Wait for a condition; there is no other way to hear of a job."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{said}: not within {seconds} s\n{self.log()}"
            time.sleep(0.1)

    def ended(self, job, state="COMPLETED"):
        over = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY")
        self.until(f"job {job} ends", lambda: self.about(job)["JobState"] in over)
        assert self.about(job)["JobState"] == state, self.log()

    def begun(self, job, output):
        """Wait for records of it in the output: it is somewhere in its middle."""
        self.until(f"job {job} writes {output}", lambda: output.exists() and records(output))
        assert self.about(job)["JobState"] == "RUNNING", self.log()

    def signal(self, job, name):
        self.call("scancel", "--batch", f"--signal={name}", job)

    def lose(self, node):
        """All processes of a node are gone from one moment to the next; SLURM, which would find out within half a
        minute, is told so."""
        daemon = self.folder / "run" / f"slurmd-{node}.pid"
        for process in (int(daemon.read_text()), *self.processes(f"SLURMD_NODENAME={node}")):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        daemon.unlink()
        self.call("scontrol", "update", f"nodename={node}", "state=down", "reason=lost")

    def processes(self, *variables):
        """The cluster's, with these variables in their environment; before them the slurmstepd above them, which would
        tell of their end."""
        marks = {variable.encode() for variable in (f"SLURM_CONF={self.folder}/slurm.conf", *variables)}
        above, found = [], []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if marks <= set((process / "environ").read_bytes().split(b"\0")):
                    found.append(int(process.name))
                    parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
                    if Path("/proc", parent, "comm").read_text() == "slurmstepd\n":
                        above.append(int(parent))
        return [*above, *found]

    def goes_on(self, job):
        """Wait for a job to be in the queue again, and spare it the two minutes that SLURM lets it wait there."""
        self.until(f"job {job} is requeued", lambda: self.about(job).get("Restarts") == "1")
        self.until(f"job {job} waits", lambda: self.about(job)["JobState"] == "PENDING")
        # A node refuses a credential made in the second, by its clock, in which it revoked this job's last, or before.
        later = int(time.time()) + 2
        self.until("a later second comes", lambda: time.time() >= later)
        self.call("scontrol", "update", f"JobId={job}", "StartTime=now")

    def log(self):
        files = [*sorted(self.checkout.glob("slurm-*.out")), self.folder / "log" / "slurmctld.log"]
        queue = call(["squeue"], SLURM_CONF=str(self.folder / "slurm.conf")).stdout
        return queue + "".join(f"--- {path.name}\n{path.read_text()[-2000:]}\n" for path in files)


def whole(output):
    """Whether every repeat that a file was made for is complete."""
    trajectory = Trajectory(output)
    return all(len(run.finished()) == len(trajectory.repeats) for run in trajectory)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """The scripts, this environment, and a long and a short job; so that nothing is written into this checkout."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "jobs", folder / "jobs")
    (folder / ".venv").symlink_to(programs("mpich").parent)
    (folder / "paced.py").write_text(PACED)
    (folder / "long.toml").write_text(job(400))
    (folder / "short.toml").write_text(job(100))
    return folder


@pytest.fixture(scope="module")
def slurm(tmp_path_factory, checkout):
    """Three nodes, each with room for one job; skips, with the reason, where there can be no SLURM."""
    possible = call(["bash", CLUSTER / "up.sh", "possible"])
    if possible.returncode:
        pytest.skip(possible.stderr.strip())
    folder = tmp_path_factory.mktemp("slurm")
    up = call(["bash", CLUSTER / "up.sh", folder, 3, WORKERS + 2])
    assert up.returncode == 0, up.stderr
    cluster = Slurm(folder, checkout)
    try:
        yield cluster
    finally:
        down = call(["bash", CLUSTER / "down.sh", folder])
    assert (down.returncode, down.stderr) == (0, "")
    assert not cluster.processes(), "something of it was left running"


@pytest.fixture(scope="module")
def alone(checkout):
    """What a job gives in one process, without a stop."""

    @functools.cache
    def result(name):
        output = checkout / f"{name}-alone.h5"
        done = call([sys.executable, "-m", "mpisign", "run", f"{name}.toml", "-o", output], cwd=checkout)
        assert done.returncode == 0, done.stderr
        return digests(output)

    return result


def test_an_array_with_a_stop_and_a_lost_node_is_merged_bit_for_bit(slurm, checkout, alone):
    """Of three slices, one is told that its time is up, one loses its node, and one begins when there is room."""
    settings = {"PER_TASK": "2", "AT_ONCE": "2", "SBATCH": f"sbatch --ntasks={WORKERS + 1}", **SLOW}
    said = slurm.call("bash", "jobs/slurm/array.sh", "long.toml", "results/long.h5", **settings)
    array, merge = re.fullmatch(r"array (\d+): 3 tasks; merge (\d+), .* into results/long.h5\n", said).groups()
    slices = [checkout / "results" / "long" / f"slice-{number:04d}.h5" for number in range(3)]
    slurm.begun(f"{array}_0", slices[0])
    slurm.begun(f"{array}_1", slices[1])
    slurm.signal(f"{array}_0", "USR1")
    slurm.lose(slurm.about(f"{array}_1")["NodeList"])
    assert not whole(slices[1])
    slurm.goes_on(f"{array}_0")
    assert not whole(slices[0])
    slurm.goes_on(f"{array}_1")
    slurm.ended(merge)
    assert [slurm.about(f"{array}_{task}")["Restarts"] for task in range(3)] == ["1", "1", "0"]
    assert [Trajectory(path).repeats for path in slices] == [range(0, 2), range(2, 4), range(4, 5)]
    assert digests(checkout / "results" / "long.h5") == alone("long")


def needs_the_systems_open_mpi(slurm, checkout):
    """Make the environment of MPI=system: mpi4py without the wheel of an MPI; skip, with the reason, where the system
    has no Open MPI or this SLURM does not start its ranks."""
    python = checkout / ".venv-system" / "bin" / "python"
    if not python.exists():
        call([sys.executable, "-m", "venv", "--without-pip", checkout / ".venv-system"])
        (own,) = (checkout / ".venv-system" / "lib").glob("python*/site-packages")
        (own / "others.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    found = call([python, "-c", "from mpi4py import MPI; print(MPI.Get_library_version())"], cwd=checkout)
    if not found.stdout.startswith("Open MPI"):
        pytest.skip(f"no Open MPI of this system (openmpi-bin): {(found.stdout + found.stderr).strip()}")
    refused = call(["srun", "--mpi=pmix", "true"], SLURM_CONF=str(slurm.folder / "slurm.conf")).stderr
    if "can not load PMIx library" in refused:
        pytest.skip(f"srun has no PMIx (libpmix-dev): {refused.splitlines()[0]}")


@pytest.mark.parametrize(
    ("mpi", "how"),
    [
        ("mpich", "mpiexec"),
        ("mpich", "pmi2"),
        ("openmpi", "mpiexec --bind-to none"),
        ("system", "mpiexec"),
        ("system", "pmix"),
    ],
)
def test_an_experiment_by_each_launcher(mpi, how, slurm, checkout, alone):
    if mpi == "openmpi" and not (checkout / ".venv-openmpi").exists():
        (checkout / ".venv-openmpi").symlink_to(programs(mpi).parent)
    if mpi == "system":
        needs_the_systems_open_mpi(slurm, checkout)
    output = checkout / "results" / f"{mpi}-{how.split()[0]}.h5"
    arguments = (f"--ntasks={WORKERS + 1}", "jobs/slurm/experiment.sbatch", "short.toml", output)
    # More ranks than cores: those of Open MPI that wait would keep a core from one that works.
    surroundings = {"PATH": f"/usr/bin{os.pathsep}{os.environ['PATH']}", "OMPI_MCA_mpi_yield_when_idle": "1"}
    slurm.ended(slurm.submit(*arguments, MPI=mpi, LAUNCH=how, **surroundings))
    assert digests(output) == alone("short")
    provenance = Trajectory(output).provenance
    assert provenance["ranks"] == str(WORKERS + 1)
    assert provenance["mpi"].startswith("MPICH" if mpi == "mpich" else "Open MPI")


def test_what_was_ended_by_hand_goes_on_when_it_is_submitted_again(slurm, checkout, alone):
    """Not by itself; with another number of ranks; the workers are those of the file."""
    output = checkout / "results" / "again.h5"
    arguments = ("jobs/slurm/experiment.sbatch", "long.toml", output, "--repeats", "0:1")
    job = slurm.submit(f"--ntasks={WORKERS + 1}", *arguments, LAUNCH="pmi2", **SLOW)
    slurm.begun(job, output)
    slurm.signal(job, "TERM")
    slurm.ended(job, "FAILED")
    assert slurm.about(job)["ExitCode"] == "75:0"
    assert not whole(output)
    slurm.ended(slurm.submit("--ntasks=2", *arguments))
    assert whole(output)
    assert digests(output) == {
        name: value for name, value in alone("long").items() if "/repeats/" not in name or "/0000" in name
    }


def test_epsilon_from_its_text_on(slurm, checkout):
    """At full scale it takes hours: here a text of sixty rows stands in for it."""
    streams = np.random.default_rng(1)
    rows = (" ".join(f"{i + 1}:{value:.4f}" for i, value in enumerate(row)) for row in streams.normal(size=(60, 5)))
    labels = streams.choice(["-1", "+1"], 60)
    (checkout / "text").write_text("".join(f"{label} {row}\n" for label, row in zip(labels, rows, strict=True)))
    options = ("--set", "iterations=20", "--repeats", "0:1")
    first, second = (slurm.submit("--hold", "jobs/slurm/epsilon.sbatch", *options, SOURCE="text") for _ in range(2))
    assert slurm.about(second)["Dependency"].startswith("singleton")  # it would make the data, too
    slurm.call("scancel", second)
    slurm.call("scontrol", "release", first)
    slurm.ended(first)
    with h5py.File(checkout / "epsilon.h5") as file:
        assert (file["features"].shape, file["features"].dtype) == ((60, 5), np.float32)
    output = checkout / "results" / "epsilon-figure2.h5"
    assert whole(output)
    assert Trajectory(output).provenance["ranks"] == "2"
