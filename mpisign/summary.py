"""A trajectory file in a few lines of text."""

import numpy as np

from mpisign.trajectory import RunRecord, Trajectory

_HEADER = ("run", "method", "M", "repeats", "k", "median gap", "Mbit sent", "seconds")


def text(trajectory: Trajectory) -> str:
    """Where the file comes from, and a table with a line a run."""
    origin = trajectory.provenance
    by = f"mpisign {origin.get('mpisign')} on {origin.get('date')}, {origin.get('ranks')} rank(s)"
    lines = [
        f"{trajectory.path}: written by {by}",
        "",
        *_aligned([_HEADER, *(_row(run) for run in trajectory)]),
    ]
    return "\n".join(lines)


def _row(run: RunRecord) -> tuple[str, ...]:
    name = (run.label, str(run.attributes["method"]), str(run.attributes["workers"]))
    ended = run.finished()
    counts = {status: sum(r.status == status for r in run.repeats) for status in ("diverged", "running")}
    repeats = ", ".join([str(len(ended)), *(f"{n} {status}" for status, n in counts.items() if n)])
    if not ended:
        return (*name, repeats, "-", "-", "-", "-")
    last = {column: np.array([r.columns[column][-1] for r in ended]) for column in ended[0].columns if column != "x"}
    gap = float(np.median([run.gap(repeat)[-1] for repeat in ended]))
    megabits = float(np.median(last["bits_up"] + last["bits_down"])) / 1e6
    seconds = float(np.median(last["seconds"]))
    return (*name, repeats, str(last["k"][0]), f"{gap:.3e}", f"{megabits:.3f}", f"{seconds:.3f}")


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
