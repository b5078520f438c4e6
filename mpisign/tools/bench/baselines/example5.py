"""Measure seconds of an iteration of Example 5: the real command, the plain mpi4py program, and PyTorch, in turns."""

import importlib.util
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mpisign.arrays import Floats
from mpisign.comm.launcher import launch, mpiexec
from mpisign.comm.shared_arrays import unshared
from mpisign.config.validation import InputError
from mpisign.problems import PROBLEMS, Minimum
from mpisign.problems.logistic import Logistic
from mpisign.problems.reference_solution import CertifiedOptimum, keep
from mpisign.storage.trajectory import Trajectory
from mpisign.tools.bench.timing import FAILURES, Effort, Ratio, Unmeasured, reason, succeeded, summary

_BATCH, _WORKERS = 64, 2
_BASELINE_SECONDS = 300.0
_HERE = Path(__file__).parent
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""One BLAS thread for every program: there are as many processes as there is work for."""

_JOB = f"""
[problem]
kind = "logistic"
data = "rows.h5"

[oracle]
kind = "minibatch"
batch = {_BATCH}

[log]
points = 5

[[runs]]
label = "signs"
method = "scaled-sign"
scale = "mean"
workers = {_WORKERS}
step = {{ kind = "constant", alpha = 2.0 }}

[[runs]]
label = "light"
method = "scaled-sign"
scale = "mean"
workers = {_WORKERS}
oracle = {{ kind = "minibatch", batch = 1 }}
step = {{ kind = "constant", alpha = 2.0 }}

[[runs]]
label = "dense"
method = "gd"
workers = {_WORKERS}
step = {{ kind = "constant", alpha = 2.0 }}
"""


class Rival(NamedTuple):
    """A row of the table.

    Attributes:
        name: Key of what `measured` returns, the dividend.
        ours: Key of the divisor.
        row: Label of their ratio.
        goal: What the ratio should reach.
        missing: Why a program cannot run here, or "".
    """

    name: str
    ours: str
    row: str
    goal: str
    missing: str


def rivals() -> list[Rival]:
    """Return everyone who is compared with us, by the paper's server and in the memory of the node."""
    torch = "" if importlib.util.find_spec("torch") else "torch is not installed"
    return [
        Rival("plain", "server", "plain mpi4py program / ours, server", ">= 4", ""),
        Rival("plain", "node", "plain mpi4py program / ours, node", ">= 6", ""),
        Rival("ddp", "server", "torch DDP with gloo / ours, server", ">= 15", torch),
        Rival("ddp", "node", "torch DDP with gloo / ours, node", ">= 28", torch),
        Rival("dense", "server", "SGD as we run it / ours, server", "", ""),
        Rival("server, light", "server", "batch 1, nearly all round / ours, server", "", ""),
        Rival("node, light", "node", "batch 1, nearly all round / ours, node", "", ""),
    ]


def example5(effort: Effort) -> Iterator[Ratio | Unmeasured]:
    """Yield the rivals' seconds over those of scaled signSGD as `mpisign run` runs it, launch by launch."""
    what = f"{{}}, Example 5, d = {effort.shape[1]}, batch {_BATCH}, M = {_WORKERS}"
    everyone, no_ranks = rivals(), _no_ranks()
    absent = {rival.name: no_ranks or rival.missing for rival in everyone if no_ranks or rival.missing}
    names = [rival.name for rival in everyone if rival.name not in absent]
    launches: list[dict[str, float]] = []
    try:
        launches = [] if no_ranks else measured(effort, "ddp" in names)
    except FAILURES as failure:
        absent |= dict.fromkeys(names, reason(failure))
    for rival in everyone:
        row = what.format(rival.row)
        if rival.name in absent:
            yield Unmeasured(row, absent[rival.name])
        else:
            yield summary(row, [found[rival.name] / found[rival.ours] for found in launches], rival.goal)


def _no_ranks() -> str:
    """Return why no ranks can be started here; "" where they can."""
    if importlib.util.find_spec("mpi4py") is None:
        return "mpi4py is not installed"
    try:
        mpiexec()
    except InputError as error:
        return error.complaint
    return ""


def measured(effort: Effort, with_torch: bool) -> list[dict[str, float]]:
    """Return the seconds of an iteration by name, for each launch.

    A launch times everyone once, one after the other, on the same data.
    """
    iterations = max(effort.iterations // 10, 40)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _prepare(folder, effort)
        launches = []
        for number in range(effort.launches):
            found = _ours(folder, iterations) | {"plain": _plain(folder, iterations)}
            launches.append(found | ({"ddp": _ddp(folder, iterations // 4, number)} if with_torch else {}))
        return launches


def _prepare(folder: Path, effort: Effort) -> None:
    """Write the job, its data, and the data's rows for those who do not read data files."""
    n, d = effort.shape
    synth = f"data synth --like epsilon rows.h5 --n {n} --d {d}"
    succeeded(_run([sys.executable, "-m", "mpisign", *synth.split()], folder))
    (folder / "job.toml").write_text(_JOB)
    problem = PROBLEMS.make({"kind": "logistic", "data": str(folder / "rows.h5")}, "problem", share=unshared)
    assert isinstance(problem, Logistic)
    np.save(folder / "rows.npy", problem.rows.arrays["rows"])
    # f* takes minutes and is not asked for here: it is enough that 0 <= f* <= f(0) = log 2.
    keep(problem, CertifiedOptimum(Minimum(math.log(2) / 2, math.log(2) / 2), {}), folder / "cache")


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder."""
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_BASELINE_SECONDS)


def _launched(folder: Path, *program: str) -> str:
    """Return what a Python program printed that ran on a server's rank and one for each worker."""
    # A run as long as the paper's is compiled for nearly all of it, this one is too short to find that out.
    extra = _ONE_THREAD | {"XDG_CACHE_HOME": str(folder / "cache"), "MPISIGN_COMPILE": "always"}
    command = [sys.executable, "-m", "mpi4py", *program]
    return succeeded(launch(1 + _WORKERS, command, timeout=_BASELINE_SECONDS, cwd=folder, extra=extra))


def _ours(folder: Path, iterations: int) -> dict[str, float]:
    """Return seconds an iteration of signs by both exchanges and of dense SGD, without evaluation and records.

    They are those of rank 0's clock between the last two records, after what is compiled was compiled.
    """
    found: dict[str, float] = {}
    for exchange in ("server", "node"):
        run = f"-m mpisign run job.toml -o run.h5 --overwrite --exchange {exchange} --set iterations={iterations}"
        _launched(folder, *run.split())
        clocks = {run.label: run.repeats[0].columns for run in Trajectory(folder / "run.h5")}
        seconds = {label: _between_records(columns) for label, columns in clocks.items()}
        found |= {exchange: seconds["signs"], f"{exchange}, light": seconds["light"]}
        found |= {"dense": seconds["dense"]} if exchange == "server" else {}
    return found


def _between_records(columns: Mapping[str, Floats]) -> float:
    """Return the seconds of an iteration between the last two records."""
    seconds, k = columns["seconds"][-2:], columns["k"][-2:]
    return float((seconds[1] - seconds[0]) / (k[1] - k[0]))


def _plain(folder: Path, iterations: int) -> float:
    """Return the seconds of the plain program."""
    return _seconds(_launched(folder, str(_HERE / "plain.py"), "rows.npy", str(_BATCH), str(iterations)))


def _ddp(folder: Path, iterations: int, number: int) -> float:
    """Return the seconds of PyTorch, with one process a worker; they meet at a new file each time."""
    program = [sys.executable, str(_HERE / "ddp.py"), "rows.npy", str(_BATCH), str(iterations)]
    rendezvous, pipe = str(folder / f"rendezvous-{number}"), subprocess.PIPE
    lines = [[*program, rendezvous, str(rank), str(_WORKERS)] for rank in range(_WORKERS)]
    surroundings = os.environ | _ONE_THREAD
    started = [
        subprocess.Popen(line, cwd=folder, env=surroundings, stdout=pipe, stderr=pipe, text=True) for line in lines
    ]
    try:
        outputs = [process.communicate(timeout=_BASELINE_SECONDS) for process in started]
    finally:
        for process in started:
            process.kill()
    done = zip(lines, started, outputs, strict=True)
    printed = [succeeded(subprocess.CompletedProcess(line, p.returncode, *both)) for line, p, both in done]
    return _seconds(printed[0])


def _seconds(printed: str) -> float:
    """Return the seconds in the last line that a program printed."""
    return float(json.loads(printed.splitlines()[-1])["seconds"])
