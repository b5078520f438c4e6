"""Show a trajectory file in a few lines of text."""

from collections.abc import Iterable

import numpy as np

from mpisign.config.validation import one_line
from mpisign.storage.remarks import remarks
from mpisign.storage.trajectory import RunRecord, Trajectory

_HEADER = ("run", "method", "M", "repeats", "k", "median gap", "Mbit sent", "seconds", "compiled")


def text(trajectory: Trajectory) -> str:
    """Return where the file comes from, and a table with a line a run."""
    origin = trajectory.provenance
    version, date, ranks = (origin.get(name, "(unknown)") for name in ("mpisign", "date", "ranks"))
    by = f"mpisign {version} on {date}, {ranks} rank(s)"
    lines = [
        f"{trajectory.path}: {trajectory.name}, written by {by}",
        *(constants(run) for run in trajectory.runs[:1]),
        "",
        *aligned([_HEADER, *(_row(run) for run in trajectory)]),
        *remarks(trajectory),
    ]
    return "\n".join(map(one_line, lines))


def provenance(trajectory: Trajectory) -> str:
    """Return all that is known of where the file comes from, and the job that made it: enough to run it again."""
    parts = [("provenance", [trajectory.provenance]), ("resumed", trajectory.resumed), ("merged", trajectory.merged)]
    lines = [
        line
        for what, origins in parts
        for origin in origins
        for line in (f"[{what}]", *(f"{name:12} {value}" for name, value in origin.items()), "")
    ]
    settled = ", ".join(f"{run.label!r}: {run.attributes['workers']}" for run in trajectory)
    asked = f"repeats {trajectory.repeats.start}:{trajectory.repeats.stop}; workers {settled}"
    changes = [f"--set {override}" for override in trajectory.overrides]
    return "\n".join([*lines, f"[experiment] {asked}", *changes, trajectory.experiment])


def constants(run: RunRecord) -> str:
    """Return f* and the constants of the problem, each with how it is known, as a line."""
    known = run.attributes
    names = [name for name in known if f"{name}_known" in known and not name.startswith(("p_min", "sigma2"))]
    values = [f"{name} = {known[name]:.6g} ({known[f'{name}_known']})" for name in names]
    error = "assumed" if known.get("f_star_assumed") else f"+- {known['f_star_error']:.1g}"
    if "value_error" in known:
        values.insert(0, f"values +- {known['value_error']:.0%} of f - f*")
    return ", ".join([f"f* = {known['f_star']:.6g} {error}", *values])


def _row(run: RunRecord) -> tuple[str, ...]:
    """Return a run's cells of the table: medians over the repeats that reached their last iteration.

    Where none has, over those that are running, at the last record that all of them have. The last cell is the share of
    the iterations that ran in compiled code.
    """
    single = ", float32" if run.precision == "float32" else ""
    name = (run.label, f"{run.attributes['method']}{single}", str(run.attributes["workers"]))
    ended, shown = run.finished(), run.to_show()
    counts = {status: sum(r.status == status for r in run.repeats) for status in ("diverged", "running")}
    repeats = ", ".join([str(len(ended)), *(f"{n} {status}" for status, n in counts.items() if n)])
    if not shown:
        return (*name, repeats, "-", "-", "-", "-", "-")
    # Rules of `stop` end repeats at different k: each counts at its own end.
    ends = [-1 if ended else min(len(r.columns["k"]) for r in shown) - 1] * len(shown)
    last = {
        column: np.array([r.columns[column][at] for r, at in zip(shown, ends, strict=True)])
        for column in ("k", "bits_up", "bits_down", "seconds")
    }
    gap = float(np.median([run.gap(repeat)[at] for repeat, at in zip(shown, ends, strict=True)]))
    megabits = float(np.median(last["bits_up"] + last["bits_down"])) / 1e6
    k = _span(last["k"]) if ended else f"{last['k'][0]} of {run.attributes['iterations']}"
    share = f"{np.median([r.compiled for r in ended] / np.maximum(last['k'], 1)):.0%}" if ended else "-"
    return (*name, repeats, k, f"{gap:.3e}", f"{megabits:.3f}", f"{np.median(last['seconds']):.3f}", share)


def _span(k: np.ndarray) -> str:
    """Return the last k of repeats, such as "200", or "120 to 200" where a rule has ended them at different k."""
    return str(k[0]) if k.min() == k.max() else f"{k.min()} to {k.max()}"


def aligned(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Return rows of the same number of cells as lines of a table."""
    rows = list(rows)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
