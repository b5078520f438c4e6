"""f*, solved once for each data set and kept: a large one takes minutes, and many jobs share it."""

import hashlib
import json
import os
from pathlib import Path

from mpisign import __version__
from mpisign.exchange import Ranks
from mpisign.objective import Objective
from mpisign.problems import Minimum, Problem


def optimum(problem: Problem, ranks: Ranks) -> Minimum | None:
    """f* with its error, on the root; None elsewhere. Every rank calls it."""
    objective = Objective(problem, ranks)
    if not ranks.root:
        objective.serve()
        return None
    found = _kept_or_solved(problem, objective)
    objective.finish()
    return found


def _kept_or_solved(problem: Problem, objective: Objective) -> Minimum:
    data = problem.data_sha256()
    if not data:
        return problem.minimum(objective)
    kind = f"{__version__} {type(problem).__module__}.{type(problem).__qualname__} {data}"
    path = _folder() / f"{hashlib.sha256(kind.encode()).hexdigest()}.json"
    kept = _read(path)
    if kept is None:
        kept = problem.minimum(objective)
        _write(path, kept)
    return kept


def _folder() -> Path:
    """Where minima are kept: XDG_CACHE_HOME/mpisign/minima, by default in ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mpisign" / "minima"


def _read(path: Path) -> Minimum | None:
    try:
        kept = json.loads(path.read_text())
        return Minimum(float(kept["value"]), float(kept["error"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # nothing kept, or not by us: solved again


def _write(path: Path, minimum: Minimum) -> None:
    """By a rename, so that nobody reads half of it. Where it cannot be written it is solved again next time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(minimum._asdict()))
        temporary.replace(path)
    except OSError:
        pass
