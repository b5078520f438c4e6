"""f* and the constants, found once for each data set and kept: a large one takes minutes, and many jobs share it."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mpisign import caches
from mpisign.comm.communicator import Communicator
from mpisign.comm.distributed_sum import GROUPS
from mpisign.problems import Minimum, Problem
from mpisign.problems.distributed_objective import Objective
from mpisign.problems.solving.kept_steps import NO_STEPS, KeptSteps
from mpisign.progress import Progress
from mpisign.stop_signals import NO_SIGNALS, StopSignals
from mpisign.theory.constants import Constant

_MINIMA = Path("mpisign", "minima")
_SCHEMA = 4
"""Of what is kept; one more whenever f*, its error or a constant of the same data is found in another way."""


class CertifiedOptimum(NamedTuple):
    """What is certain of a problem: f* and the constants."""

    minimum: Minimum
    constants: dict[str, Constant]


def optimum(
    problem: Problem, ranks: Communicator, signals: StopSignals = NO_SIGNALS, quiet: bool = False
) -> CertifiedOptimum | None:
    """Return f* with its error and the constants, on the root, and None elsewhere; every rank calls it.

    Args:
        problem: the problem.
        ranks: who share the passes over its data.
        signals: those that ask for a stop.
        quiet: whether progress is not shown.

    Raises:
        StopRequested: a rank was asked to stop.
    """
    with Progress(None, quiet=quiet or not ranks.root, unit="passes over the data") as progress:
        objective = Objective(problem, ranks, signals, progress.count, _steps(problem) if ranks.root else NO_STEPS)
        if not ranks.root:
            objective.serve()
            return None
        progress.at(f"solving for f*{_once() if problem.data_sha256() else ''}")
        found = _kept_or_solved(problem, objective)
        objective.finish()
    return found


def on_every_rank(known: CertifiedOptimum | None, ranks: Communicator) -> Minimum:
    """Return f* with its error, of which the root alone knows; every rank calls it."""
    numbers = np.array((0.0, 0.0) if known is None else known.minimum)
    ranks.broadcast(numbers.view(np.uint64))
    return Minimum(*numbers.tolist())


def keep(problem: Problem, known: CertifiedOptimum, cache: Path) -> None:
    """Keep what is certain of a problem with data in a cache folder: who has it as XDG_CACHE_HOME need not find it."""
    _write(_path(problem, cache / _MINIMA), known)


def is_known(problem: Problem) -> bool:
    """Return whether a run need not solve for f*: it has been kept, or there is no data."""
    return not problem.data_sha256() or _kept(problem) is not None


def _kept_or_solved(problem: Problem, objective: Objective) -> CertifiedOptimum:
    if not problem.data_sha256():
        return CertifiedOptimum(problem.minimum(objective), problem.constants(objective))
    kept = _kept(problem)
    if kept is None:
        kept = CertifiedOptimum(_minimum(problem, objective), problem.constants(objective))
        folder = _folder()
        if folder is not None:
            _write(_path(problem, folder), kept)
        objective.steps.forget()
    return kept


def _minimum(problem: Problem, objective: Objective) -> Minimum:
    """Return f* with its error, as a killed search has found it where it has come so far."""
    found = objective.steps.found("minimum")
    if found is not None:
        return Minimum(*map(float, found))
    minimum = problem.minimum(objective)
    objective.steps.keep("minimum", *minimum)
    return minimum


def _steps(problem: Problem) -> KeptSteps:
    """Return where the steps of a search for f* are kept; beside what it will have found."""
    folder = _folder() if problem.data_sha256() else None
    return NO_STEPS if folder is None else KeptSteps(_path(problem, folder))


def _kept(problem: Problem) -> CertifiedOptimum | None:
    """Return what is kept, if it is; a home that is read-only may have it, too."""
    own = caches.own()
    for folder in (own and own / _MINIMA.name, _folder()):
        found = _read(_path(problem, folder)) if folder else None
        if found is not None:
            return found
    return None


def _once() -> str:
    """Return what there is to say of keeping it."""
    folder = _folder()
    if folder is None:
        return "; it is not kept, as neither the cache folder nor one below TMPDIR can be written"
    return f", once for this data; it is kept in {folder}"


def _path(problem: Problem, folder: Path) -> Path:
    """Return where the minimum of a problem with data is kept."""
    whose = f"{type(problem).__module__}.{type(problem).__qualname__} {problem.variant} {problem.data_sha256()}"
    if problem.segments > GROUPS:  # sums in another order than those of fewer segments
        whose += f" {problem.segments} segments"
    name = hashlib.sha256(f"schema {_SCHEMA} {whose}".encode()).hexdigest()
    return folder / f"{name}.json"


def _folder() -> Path | None:
    """Return the folder of what is kept; None where none can be written."""
    return caches.folder(_MINIMA.name)


def _read(path: Path) -> CertifiedOptimum | None:
    try:
        kept = json.loads(path.read_text())
        if kept.pop("sha256") != _sha256(kept):
            return None
        minimum = Minimum(float(kept["value"]), float(kept["error"]))
        return CertifiedOptimum(
            minimum, {name: Constant(float(value), how) for name, (value, how) in kept["constants"].items()}
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None  # nothing kept, or not by us: solved again


def _sha256(kept: dict[str, Any]) -> str:
    """Of what is kept: a damaged digit of f* would be nobody's error later."""
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _write(path: Path, known: CertifiedOptimum) -> None:
    """By a rename, so that nobody reads half of it. Where it cannot be written it is solved again next time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        kept = known.minimum._asdict() | {"constants": known.constants}
        temporary.write_text(json.dumps(kept | {"sha256": _sha256(kept)}))
        temporary.replace(path)
    except OSError:
        pass
