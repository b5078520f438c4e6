"""Draw what was measured beside its bounds, a panel for each run."""

from collections.abc import Iterator
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpisign.audit.bound_names import CORRECTED, named
from mpisign.audit.bounds import BoundCheck

COLORS = {"violated": "C1", "confirmed": "C0", "inconclusive": "0.5"}


def draw(found: list[BoundCheck]) -> Figure:
    """Draw the mean over the repeats with its limits; printed bounds dashed, corrected ones dotted, if they apply."""
    runs = list(dict.fromkeys(row.run for row in found))
    figure, axes = plt.subplots(len(runs), 1, figsize=(8.4, 0.3 + 2.2 * len(runs)), squeeze=False, sharex=True)
    for panel, run in zip(axes.flat, runs, strict=True):
        draw_run([row for row in found if row.run == run and shown(row)], panel)
        panel.set_title(run, loc="left")
    axes.flat[-1].set_xlabel("iterations k")
    return figure


def shown(row: BoundCheck) -> bool:
    """Return whether a bound is drawn: not that on gradients, and not (21) with one worker, where it equals (19)."""
    same = row.bound == "theorem3" and row.constants.get("workers") == 1
    return row.bound != "theorem1_gradient" and not same


def draw_run(found: list[BoundCheck], axes: Axes) -> None:
    """Draw one panel: the mean gap with its limits, and the bounds that apply."""
    k, mean = found[0].k, found[0].judgement.mean
    limits = next((row.judgement for row in found if np.isfinite(row.judgement.low).any()), None)
    axes.plot(k, _positive(mean), "o", ms=3, color="black", label="measured")
    if limits is not None:
        axes.fill_between(k, _positive(limits.low), _positive(limits.high), color="0.85", linewidth=0)
    drawn = [row for row in found if np.isfinite(row.judgement.bound).any()]
    for curve, dashes in zip(curves := _curves(drawn), _dashes(curves), strict=True):
        axes.plot(curve.k, _positive(curve.bound), ls=dashes, color=COLORS[curve.verdict], label=curve.label)
    axes.set(xscale="symlog", yscale="log", ylabel="gap $f(x_k) - f^*$")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.05), fontsize=8.5, borderaxespad=0)


class Curve(NamedTuple):
    """One line of a panel.

    Attributes:
        k: Checkpoints, shape (m,).
        bound: The bound there.
        verdict: The verdict on it.
        label: Its entry in the legend.
        corrected: Whether it is none of the paper's.
    """

    k: np.ndarray
    bound: np.ndarray
    verdict: str
    label: str
    corrected: bool


def _curves(drawn: list[BoundCheck]) -> list[Curve]:
    """Return a curve for each printed bound, and one for the least of the corrected bounds with the same verdict."""
    printed = [row for row in drawn if row.bound not in CORRECTED]
    found = [_curve(row.k, row.judgement.bound, row.verdict, named(row.bound, row.reading), False) for row in printed]
    for verdict in dict.fromkeys(row.verdict for row in drawn if row.bound in CORRECTED):
        some = [row for row in drawn if row.bound in CORRECTED and row.verdict == verdict]
        each = np.array([np.nan_to_num(row.judgement.bound, nan=np.inf) for row in some])
        best = some[int(each[:, -1].argmin())]
        name = named(best.bound, best.reading)
        label = name if len(some) == 1 else f"least of {len(some)} corrected,\nat the end {name}"
        found.append(_curve(best.k, each.min(axis=0), verdict, label, True))
    return found


def _curve(k: np.ndarray, bound: np.ndarray, verdict: str, name: str, corrected: bool) -> Curve:
    """Return a curve whose label has the verdict below the name."""
    return Curve(k, bound, verdict, f"{name}:\n{verdict}", corrected)


def _dashes(found: list[Curve]) -> Iterator[tuple[float, tuple[float, ...]]]:
    """Yield the dashes of each curve: printed bounds dashed, corrected ones dotted, no two of a kind alike."""
    corrected = [curve.corrected for curve in found]
    for i, dotted in enumerate(corrected):
        gap = 1.0 + 1.5 * corrected[:i].count(dotted)
        yield (0.0, (1.0, gap)) if dotted else (0.0, (4.0, gap))


def _positive(values: np.ndarray) -> np.ndarray:
    """Return the values with NaN where a logarithmic axis cannot show one."""
    return np.where(np.isfinite(values) & (values > 0), values, np.nan)
