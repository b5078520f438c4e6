"""The quickstart job, killed at random moments, on any rank, also while it commits: nothing that was finished is lost.

MPISIGN_KILLS=100 takes more than the few of a usual run, MPISIGN_SEED=... others.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launch import ROOT, environment, mpisign, programs
from mpisign.storage.trajectory import Trajectory

pytestmark = [pytest.mark.ranks, pytest.mark.timeout(3600)]

KILLS = int(os.environ.get("MPISIGN_KILLS", 3))
SEED = int(os.environ.get("MPISIGN_SEED", 1))
JOB = ROOT / "jobs" / "quickstart.toml"
RANKS = 4
LATEST = 4.0
"""Seconds after its first commit until which a rank is killed: about half as long as the whole job takes."""


def ended(path):
    """The sha256 of every repeat that has ended, by label and number; the file has to open."""
    return {
        (run.label, repeat.number): repeat.sha256
        for run in Trajectory(path)
        for repeat in run.repeats
        if repeat.status == "complete"
    }


def start(output):
    """The job on four ranks, from where it is; in a session of its own."""
    folder = programs("mpich")
    command = [folder / "mpiexec", "-n", RANKS, folder / "python", "-m", "mpi4py", "-m", "mpisign"]
    command += ["run", JOB, "-o", output, "--resume"]
    return subprocess.Popen(
        [str(part) for part in command],
        cwd=output.parent,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def ranks_of(launcher):
    """The process of each rank, by its number: those that a process of the launcher has started."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
            rank = [int(line[9:]) for line in variables if line.startswith(b"PMI_RANK=")]
            if rank and parent_of(parent_of(int(folder.name))) == launcher.pid:
                found[rank[0]] = int(folder.name)
        except OSError:
            continue  # it has ended
    return found


def parent_of(process):
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def version(path):
    """Which file is there: a commit puts another in its place."""
    return path.stat().st_ino if path.exists() else None


def wait_for(condition, launcher, seconds):
    """Until the condition holds, the launcher ends, or so many seconds are over."""
    late = time.monotonic() + seconds
    while launcher.poll() is None and time.monotonic() < late and not condition():
        time.sleep(0.0005)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for the ranks in /proc")
def test_nothing_that_was_finished_is_lost(tmp_path):
    dice = random.Random(SEED)
    whole, output, copy = (tmp_path / name for name in ("whole.h5", "run.h5", "run.h5.next"))
    assert mpisign("run", JOB, "-o", whole).returncode == 0
    expected, kills, before, completed = ended(whole), 0, {}, 0
    while kills < KILLS or not completed:
        earlier, launcher = version(output), start(output)
        wait_for(lambda started=launcher: len(ranks_of(started)) == RANKS, launcher, 60)
        victim, flushing = dice.randrange(RANKS), dice.random() < 0.5
        wait_for(lambda earlier=earlier: version(output) != earlier, launcher, 60)
        wait_for(lambda: False, launcher, dice.uniform(0, LATEST))
        if flushing:  # rank 0, while it copies
            victim = 0
            wait_for(copy.exists, launcher, LATEST)
        process = ranks_of(launcher).get(victim)
        if process is not None and kills < KILLS:
            os.kill(process, signal.SIGKILL)
            status = launcher.wait(timeout=60)  # the others wait for the lost one for ever, unless they are ended
            kills += status != 0
        status = launcher.wait(timeout=120)
        found = ended(output) if output.exists() else {}
        assert before.items() <= found.items() <= expected.items(), f"after kill {kills} of seed {SEED}"
        before = found
        if status == 0:
            assert found == expected
            completed += 1
            output.unlink()
            before = {}
    print(f"{kills} kills, {completed} times to the end, seed {SEED}")
