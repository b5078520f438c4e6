"""Say what to know of a trajectory file's values before trusting them: how certain gaps are, what blew up."""

from collections.abc import Iterator

import numpy as np

from mpisign.storage.trajectory import RepeatRecord, RunRecord, Trajectory

_CERTAIN = 0.01
"""The part of a gap that the error of f* may make up without a word."""

_FIRST, _GROWTH = 100, 10.0
"""Iterations within which f grows by this factor where data in their raw units are too large for the step."""


def remarks(trajectory: Trajectory) -> Iterator[str]:
    """Yield what to say of the file's values, a line each, of which a file without surprises has none."""
    yield from unfinished(trajectory)
    yield from clocked(trajectory)
    yield from uncertain_gaps(trajectory)
    yield from negative_gaps(trajectory)
    for run in trajectory:
        yield from blown_up(run)


def progress(run: RunRecord, planned: range) -> str:
    """Return how far a run is that has not ended, such as "k = 1200 of 20000"; "" if all repeats have ended.

    Args:
        run: the run.
        planned: the numbers of its repeats.
    """
    ended = sum(repeat.status != "running" for repeat in run.repeats)
    if ended == len(planned):
        return ""
    if run.finished() or not run.to_show():
        return f"{ended} of {len(planned)} repeats"
    return f"k = {_reached(run.to_show())} of {run.attributes['iterations']}"


def _reached(repeats: list[RepeatRecord]) -> int:
    """Return the last k that all of the repeats have recorded."""
    return min(int(repeat.columns["k"][-1]) for repeat in repeats)


def unfinished(trajectory: Trajectory) -> Iterator[str]:
    """Yield a line where repeats have not ended: what the table and the figures then show."""
    partial = [run for run in trajectory if progress(run, trajectory.repeats)]
    if partial:
        parts = "; ".join(f"{run.label!r}: {progress(run, trajectory.repeats)}" for run in partial)
        yield f"partial, some repeats have not ended: {parts}"


def clocked(trajectory: Trajectory) -> Iterator[str]:
    """Yield a line where clocks were on."""
    if any("clock_step" in repeat.columns for run in trajectory for repeat in run.repeats):
        yield "clocks were on: every iteration was interpreted, and seconds are more than without them"


def uncertain_gaps(trajectory: Trajectory) -> Iterator[str]:
    """Yield a line where the error of f* is more than a hundredth of the least gap that a run ends with."""
    errors = [
        float(run.attributes["f_star_error"])
        for run in trajectory
        for repeat in run.finished()
        if float(run.attributes["f_star_error"]) > _CERTAIN * max(float(run.gap(repeat)[-1]), 0.0)
    ]
    if errors:
        error = max(errors)
        yield f"f* is known to +- {error:.1g}: gaps below {error / _CERTAIN:.1g} may be off by more than 1 %"


def negative_gaps(trajectory: Trajectory) -> Iterator[str]:
    """Return a line where f falls below f* by more than its error and rounding: f* is then wrong."""
    for run in trajectory:
        for repeat in run.repeats:
            f_star, values = float(run.attributes["f_star"]), repeat.columns["value"]
            least, first = float(np.min(values, initial=np.inf, where=np.isfinite(values))), float(np.sum(values[:1]))
            allowed = float(run.attributes["f_star_error"]) + 1e-9 * max(abs(f_star), abs(first))
            if least < f_star - allowed:
                yield f"{run.label!r}: f falls to {least:.6g}, below f* = {f_star:.6g}: that f* is wrong"
                break


def blown_up(run: RunRecord) -> Iterator[str]:
    """Yield a hint where f grows within the first iterations on data in their raw units."""
    steepness, dimension = float(run.attributes.get("L", 0.0)), run.attributes.get("dimension", 0)
    # Rows of length 1 have L <= d / 4 + d / n: where it is larger, the features' units are to blame, too.
    raw = run.attributes.get("problem.scaling") == "raw" and steepness > dimension
    if raw and any(_grew(repeat) for repeat in run.repeats):
        yield (
            f"{run.label!r}: f grew more than {_GROWTH:g} times within {_FIRST} iterations on features in their raw "
            f'units (L = {steepness:.1e}); problem.scaling = "standardised" or "unit-rows", or a smaller step, may help'
        )


def _grew(repeat: RepeatRecord) -> bool:
    """Return whether f, or a gradient, grew too large within the first iterations."""
    k, values = repeat.columns["k"], repeat.columns["value"]
    early = values[k <= _FIRST]
    if not len(early):
        return False
    with np.errstate(invalid="ignore"):
        grown = bool((~(early <= _GROWTH * max(float(early[0]), np.finfo(float).tiny))).any())
    return grown or (repeat.diverged_at is not None and repeat.diverged_at <= _FIRST)
