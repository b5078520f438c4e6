"""Draw what section V says of Figures 2 and 3, and under which settings it holds: every claim, over several files.

Marks show the geometric mean of the ratio of final gaps over the repeats, with its 95 % interval. Left of 1 is better;
in the shaded band is similar; a ratio beyond 1e6 or below 1e-6 is drawn there. The verdicts are also returned as text.
"""

from collections.abc import Collection, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpisign.audit.figures.figure import plain, remark, whole
from mpisign.audit.figures.paper import figure2, figure3
from mpisign.audit.run_comparison import SIMILAR, ComparisonResult, Finding, Ratio
from mpisign.config.validation import InputError
from mpisign.storage.trajectory import Trajectory

_DRAWN = (1e-6, 1e6)
"""Range of ratios that are drawn; others are clipped to it, as the interval of two repeats can be very long."""

Table = dict[str, dict[str, Finding]]
"""Claim, then settings, then what was found."""


def table(trajectories: Sequence[Trajectory]) -> Table:
    """Return every claim of every file; a claim that several files test has a column for each."""
    found: Table = {}
    for trajectory in sorted(whole(list(trajectories)), key=batch):
        made = claims(trajectory)
        column = free(trajectory, {taken for claim, _ in made for taken in found.get(claim, {})})
        for claim, finding in made:
            found.setdefault(claim, {})[column] = finding
    return found


def free(trajectory: Trajectory, taken: Collection[str]) -> str:
    """Return the name of a file's column: its setting, with the file's name where another file has that setting.

    Raises:
        InputError: If both names are taken.
    """
    names = [setting(trajectory), f"{setting(trajectory)}, {trajectory.path.stem}"]
    left = [name for name in names if name not in taken]
    if not left:
        raise InputError(str(trajectory.path), "expected files of one batch size to differ in their names")
    return left[0]


def batch(trajectory: Trajectory) -> float:
    """Return the batch size; infinite for all of the data."""
    return float(trajectory.runs[0].attributes.get("oracle.batch", np.inf))


def claims(trajectory: Trajectory) -> list[ComparisonResult]:
    """Return the claims of Figure 3, when the runs differ in their workers, otherwise those of Figure 2."""
    if len({run.attributes["workers"] for run in trajectory}) > 1:
        return figure3.claims(figure3.by_workers(trajectory))
    return figure2.claims(figure2.by_step(trajectory))


def setting(trajectory: Trajectory) -> str:
    """Return the setting that tells one file from another."""
    return f"batch {trajectory.runs[0].attributes.get('oracle.batch', 'all')}"


def draw(found: Table) -> Figure:
    """Draw a row for each claim, with a mark for each setting."""
    settings = list(dict.fromkeys(setting for findings in found.values() for setting in findings))
    figure, axes = plt.subplots(figsize=(9.6, 1.2 + 0.26 * len(found)))
    for number, setting in enumerate(settings):
        style: dict[str, Any] = {"color": f"C{number}", "marker": "osD^v"[number % 5], "ls": "none", "markersize": 4.5}
        axes.plot([], [], label=setting, **style)
        place = number - (len(settings) - 1) / 2
        for row, findings in enumerate(found.values()):
            if setting in findings:
                draw_finding(findings[setting], row, place, axes, style)
    for row, findings in enumerate(found.values()):
        for holds in {finding.verdict == "confirmed" for finding in findings.values() if finding.diverged}:
            inner: dict[str, Any] = {"x": 0.08, "ha": "left"} if holds else {"x": 0.92, "ha": "right"}
            axes.text(y=row, s="diverged", fontsize=7, va="center", **inner, transform=axes.get_yaxis_transform())
    axes.axvline(1, color="0.3", lw=1, zorder=0.5)
    axes.axvspan(1 / SIMILAR, SIMILAR, color="0.93", zorder=0)
    axes.set(xscale="log", xlabel="ratio of final gaps: filled where the claim holds", ylim=(len(found) - 0.5, -0.5))
    axes.set_yticks(range(len(found)), map(plain, found))
    figure.legend(loc="outside upper center", ncols=len(settings))
    if any(_is_clipped(finding) for findings in found.values() for finding in findings.values()):
        low, high = _DRAWN
        remark(
            figure, f"Ratios beyond {high:.0e} or below {low:.0e} are drawn there, as their intervals are cut there."
        )
    return figure


def _is_clipped(finding: Finding) -> bool:
    """Return whether the ratio or its interval reaches beyond what is drawn."""
    evidence = finding.evidence
    return isinstance(evidence, Ratio) and not (_DRAWN[0] <= evidence[1] and evidence[2] <= _DRAWN[1])


def draw_finding(finding: Finding, row: int, place: float, axes: Axes, style: dict[str, Any]) -> None:
    """Draw a mark with its interval; one at the edge where a run diverged; none where nothing was found."""
    verdict, evidence = finding
    look = {**style, "fillstyle": "full" if verdict == "confirmed" else "none"}
    if isinstance(evidence, Ratio):
        value, low, high = np.clip(evidence[:3], *_DRAWN)
        spread = [[value - low], [high - value]]
        axes.errorbar(value, row + 0.2 * place, xerr=spread, elinewidth=1, **look)
    elif finding.diverged:
        side = 0.03 if verdict == "confirmed" else 0.97
        axes.plot(side + 0.02 * place, row, **look, transform=axes.get_yaxis_transform())


def lines(found: Table) -> list[str]:
    """Return the table as text, one line for each claim and setting."""
    width = max(map(len, found), default=0)
    return [
        f"{claim:{width}}  {setting}  {finding}" for claim, row in found.items() for setting, finding in row.items()
    ]
