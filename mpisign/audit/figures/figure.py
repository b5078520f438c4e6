"""Share what every figure script needs: its command line, the project's style, and PNG with PDF."""

import argparse
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpisign.config.validation import InputError, one_line, spell_out
from mpisign.storage.remarks import uncertain_gaps
from mpisign.storage.trajectory import RunRecord, Trajectory

STYLE = Path(__file__).with_name("mpisign.mplstyle")
FORMATS = ("png", "pdf")
"""As what a figure is written."""


def nothing(trajectory: Trajectory) -> list[str]:
    """Return the findings of a script that only draws: none."""
    return []


def command(
    draw: Callable[[Trajectory], Figure],
    name: str,
    documentation: str | None,
    findings: Callable[[Trajectory], list[str]] = nothing,
    iterates: bool = False,
) -> int:
    """Run a script that draws one figure of one trajectory file.

    Args:
        draw: Makes the figure.
        name: The figure's file is called <stem of the trajectory file>-<name>.
        documentation: The script's docstring.
        findings: Returns lines to print.
        iterates: Whether x_k is read too.

    Returns:
        The exit status: 0, or 2 for bad input.
    """

    def work(paths: list[Path]) -> tuple[list[str], Figure, str]:
        trajectory = Trajectory(paths[0], iterates=iterates)
        return findings(trajectory), noted(draw(trajectory), [trajectory]), f"{paths[0].stem}-{name}"

    return _command(work, documentation, several=False)


def command_of_files(
    findings: Callable[[Trajectory], list[str]],
    draw: Callable[..., Figure],
    name: str,
    documentation: str | None,
    iterates: bool = False,
    together: Callable[..., list[str]] = lambda *trajectories: [],
) -> int:
    """Run a script that draws one figure of several trajectory files, and prints what it finds in each.

    Args:
        findings: Returns lines to print for one file.
        draw: Makes the figure of all files, in their order.
        name: The figure's file is called so.
        documentation: The script's docstring.
        iterates: Whether x_k is read too.
        together: Returns more lines to print, for all the files.

    Returns:
        The exit status, as `command`.
    """

    def work(paths: list[Path]) -> tuple[list[str], Figure, str]:
        trajectories = [Trajectory(path, iterates=iterates) for path in paths]
        found = [finding for trajectory in trajectories for finding in findings(trajectory)]
        return found + together(*trajectories), noted(draw(*trajectories), trajectories), name

    return _command(work, documentation, several=True)


def noted(figure: Figure, trajectories: list[Trajectory]) -> Figure:
    """Say below a figure where the error of f* is more than a hundredth of a gap."""
    for line in dict.fromkeys(line for trajectory in trajectories for line in uncertain_gaps(trajectory)):
        remark(figure, line.replace("$", r"\$"))
    return figure


def _command(
    work: Callable[[list[Path]], tuple[list[str], Figure, str]], documentation: str | None, several: bool
) -> int:
    """Print and draw what `work` returns for the paths: lines, a figure and its name; return the exit status."""
    parser = parser_of(documentation)
    number = "+" if several else 1
    parser.add_argument("files", type=Path, nargs=number, metavar="FILE.h5", help="trajectory file made by mpisign run")
    options = parser.parse_args()

    def draw_and_print() -> None:
        found, figure, name = work(options.files)
        report(*found)
        save(figure, options.output / name)

    return status_of(draw_and_print, options.output)


def parser_of(documentation: str | None) -> argparse.ArgumentParser:
    """Return a parser with an option for where the figure goes."""
    parser = argparse.ArgumentParser(
        description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    where = "where the figure is written, as PNG and PDF (default: figures)"
    parser.add_argument("-o", "--output", type=Path, default=Path("figures"), metavar="FOLDER", help=where)
    return parser


def status_of(work: Callable[[], None], output: Path | None) -> int:
    """Do a script's work, in the project's style.

    Args:
        work: What the script does.
        output: Folder of its figure, checked before any work; None if it draws none.

    Returns:
        The exit status: 0, or 2 with a line on bad input.
    """
    ours()
    spell_out(sys.stdout)
    try:
        if output is not None:
            _check_folder(output)
        work()
    except InputError as error:
        print(one_line(f"{Path(sys.argv[0]).name}: {error}"), file=sys.stderr)
        return 2
    return 0


def ours() -> None:
    """Draw in the project's style from here on, whatever a user's matplotlibrc says, such as text.usetex."""
    plt.style.use(["default", STYLE])


def _check_folder(folder: Path) -> None:
    """Check that a folder exists or can be made, and can be written into.

    Raises:
        InputError: If not.
    """
    try:
        nearest = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    except OSError as error:
        raise InputError("--output", f"cannot write into {folder}: {error.strerror}") from None
    if not (nearest.is_dir() and os.access(nearest, os.W_OK)):
        raise InputError("--output", f"{nearest}: expected a folder that can be written into")


def chosen(trajectory: Trajectory, method: str, least: int = 1) -> RunRecord:
    """Return the first run of `method` with a constant step, x_k of every k, `least` iterations and a complete repeat.

    Raises:
        InputError: If there is no such run.
    """
    for run in trajectory:
        repeats = run.finished()
        if run.attributes["method"] == method and "step.alpha" in run.attributes and repeats:
            columns = repeats[0].columns
            if "x" in columns and len(columns["k"]) == columns["k"][-1] + 1 > least:
                return run
    raise InputError(
        str(trajectory.path),
        f"expected a complete run of method = {method} with a constant step, at least {least} iterations and log = "
        "{ every = 1, iterates = true }",
    )


def whole(trajectories: list[Trajectory]) -> list[Trajectory]:
    """Return the same files after checking that every repeat has ended, so that none is taken for diverged.

    A file can be read while it is written, and after a job was stopped: its runs are there before their repeats are.

    Raises:
        InputError: If a file has no repeat, or one that has not ended, or that a rule of `stop` has ended before K.
    """
    for trajectory in trajectories:
        if not trajectory.runs or not trajectory.repeats:
            raise InputError(str(trajectory.path), "expected a run with a repeat; there is none")
        for run in trajectory:
            for repeat in (each for each in run.repeats if each.ended):
                what = f"repeat {repeat.number} of {run.label!r} ended by its rule on the {repeat.ended}"
                raise InputError(str(trajectory.path), f"expected repeats that reached the last iteration; {what}")
            missing = set(trajectory.repeats) - {each.number for each in run.repeats if each.status != "running"}
            if missing:
                raise InputError(
                    str(trajectory.path),
                    f"expected repeats that are complete or have diverged; repeat {min(missing)} of {run.label!r} was "
                    "cut off or not begun: give its job --resume",
                )
    return trajectories


def median_and_band(gaps: np.ndarray, highest: float = np.inf) -> np.ndarray:
    """Return 10 %, 50 % and 90 % quantiles of gaps over the repeats.

    A gap that is not finite counts as the highest.

    Args:
        gaps: Shape (repeats, records).
        highest: Quantiles that are not below it become NaN, as those not above 0 do.

    Returns:
        Quantiles, shape (3, records).
    """
    with np.errstate(invalid="ignore"):  # between two infinite gaps, which is masked below
        found = np.quantile(np.where(np.isfinite(gaps), gaps, np.inf), [0.1, 0.5, 0.9], axis=0)
    return np.where((found > 0) & (found < highest), found, np.nan)


def plain(label: str) -> str:
    """Escape a run's label for matplotlib, where $ begins mathematics and _ keeps a label out of the legend."""
    return (" " if label.startswith("_") else "") + label.replace("$", r"\$")


def save(figure: Figure, stem: Path) -> None:
    """Write `figure` as stem.png and stem.pdf, with the same layout, and say so.

    Raises:
        InputError: If a file cannot be written.
    """
    for path in (stem.with_name(f"{stem.name}.{suffix}") for suffix in FORMATS):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(path)
            figure.set_layout_engine("none")  # to find it takes as long as to draw
        except OSError as error:
            raise InputError("--output", f"cannot write {path}: {error.strerror or error}") from None
        print(f"drew {path}")
    plt.close(figure)


def above(axes: Axes, **keywords: float) -> None:
    """Draw the legend above a panel, where it covers nothing."""
    spacing = {"columnspacing": 0.8, "handlelength": 1.7, "handletextpad": 0.5, "borderaxespad": 0.2}
    axes.legend(loc="lower left", bbox_to_anchor=(-0.04, 1.0), fontsize=8, **spacing, **keywords)


def remark(figure: Figure, text: str) -> None:
    """Add a short remark below the panels, left-aligned, under those that are there."""
    earlier = figure.get_supxlabel()
    figure.supxlabel(f"{earlier}\n{text}" if earlier else text, x=0.01, ha="left", fontsize=8)


@cache
def _cycle() -> tuple[list[Any], list[Any]]:
    """Return the colours and dashes of the project's style, whichever style is in use."""
    cycle = matplotlib.rc_params_from_file(STYLE, use_default_template=False)["axes.prop_cycle"].by_key()
    return cycle["color"], cycle["linestyle"]


def look(number: int) -> dict[str, Any]:
    """Return colour and dashes of the curve of this number, alike for no two of a hundred."""
    colors, dashes = _cycle()
    turn, place = divmod(number, len(colors))
    return {"color": colors[place], "ls": dashes[(place + 3 * turn) % len(dashes)]}


def report(*findings: str) -> None:
    """Print what was found, one line each."""
    for finding in findings:
        print(finding)
