"""Render the claims as one HTML page from the template beside it, with figures as data URIs and no script."""

import base64
import io
import re
import struct
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import jinja2
import matplotlib.pyplot as plt
from markupsafe import Markup, escape

from mpisign.audit.claims.claim import MEANINGS, Claim, Drawing, Verdict
from mpisign.audit.claims.cut_short import shortfall
from mpisign.config.validation import InputError
from mpisign.storage.trajectory import Trajectory

TEMPLATE = Path(__file__).with_name("report.html.j2")
DPI = 150
"""Resolution in dots an inch; a figure that fills the width of an A4 page then has about 200."""


class Picture(NamedTuple):
    """A figure as a data URI, "" where there is none, with its size in pixels."""

    caption: str
    alt: str
    uri: str
    width: int
    height: int


def render(entries: dict[str, list[Claim]], trajectories: list[Trajectory]) -> str:
    """Return the page.

    Args:
        entries: Claims by the heading of their part.
        trajectories: The files that were read.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(maths=maths, picture=picture, zip=zip)
    every = [entry for part in entries.values() for entry in part]
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        entries=entries,
        tallies={
            "As printed": tally(entry.verdict for entry in every),
            "Corrected": tally(entry.corrected_verdict for entry in every),
        },
        meanings=MEANINGS,
        made_with=made_with(trajectories),
        files=[file(trajectory) for trajectory in trajectories],
    )


def tally(verdicts: Iterable[Verdict | None]) -> dict[Verdict, int]:
    """Return how often each verdict was given."""
    counts = Counter(verdicts)
    return {verdict: counts[verdict] for verdict in Verdict}


TYPESETTING = (
    (r"_\{([^{}]*)\}", r"<sub>\1</sub>"),
    (r"\^\{([^{}]*)\}", r"<sup>\1</sup>"),
    (r" (\[[^\] ]+), ([^\] ]+\])", "\u00a0\\1,\u00a0\\2"),
    (r"(?<=[−+])\(", "\u2060("),
)
"""Indices, exponents, and where no line breaks: inside of a number with its interval, between a sign and a bracket."""


def maths(text: str) -> Markup:
    """Return the text escaped and typeset."""
    marked = str(escape(text))
    for pattern, replacement in TYPESETTING:
        marked = re.sub(pattern, replacement, marked)
    return Markup(marked)


def picture(drawing: Drawing) -> Picture:
    """Draw a figure and close it; if its files are refused, return a caption that says so, without an image."""
    try:
        figure, png = drawing.draw(), io.BytesIO()
    except InputError as error:
        return Picture(f"{drawing.caption} Not drawn: {error}", drawing.alt, "", 0, 0)
    figure.savefig(png, format="png", dpi=DPI, pil_kwargs={"optimize": True})
    plt.close(figure)
    # bytes 16 to 24 of a PNG are its width and height
    width, height = struct.unpack(">II", png.getvalue()[16:24])
    uri = "data:image/png;base64," + base64.b64encode(png.getvalue()).decode()
    return Picture(drawing.caption, drawing.alt, uri, width, height)


def made_with(trajectories: list[Trajectory]) -> dict[str, str]:
    """Return what the files were made with, each value once."""
    packages = ("python", "numpy", "numba", "scipy", "h5py", "mpi4py", "scikit-learn")
    dates = sorted(trajectory.provenance["date"][:10] for trajectory in trajectories)
    return {
        "mpisign": ", ".join(values(trajectories, "mpisign")),
        "Software": "; ".join(f"{name} {', '.join(values(trajectories, name))}" for name in packages),
        "MPI": ", ".join(values(trajectories, "mpi")),
        "Hosts": ", ".join(values(trajectories, "hosts")),
        "Run": " to ".join(dict.fromkeys([dates[0], dates[-1]])),
    }


def values(trajectories: list[Trajectory], key: str) -> list[str]:
    """Return the different values of a key of the provenance."""
    return list(dict.fromkeys(trajectory.provenance.get(key, "unknown") for trajectory in trajectories))


def file(trajectory: Trajectory) -> dict[str, str]:
    """Return a file's row in the list of files."""
    known = trajectory.provenance
    commit, *dirty = known["git"].split("-")
    return {
        "file": trajectory.path.name,
        "changed by --set": " ".join(trajectory.overrides) or "–",
        "repeats": f"{trajectory.repeats.start}:{trajectory.repeats.stop}",
        "cut short": shortfall(trajectory) or "–",
        "MPI": known["mpi"],
        "ranks": known["ranks"],
        "hosts": known["hosts"],
        "commit": "-".join([commit[:10], *dirty]),
        "date": known["date"].replace("T", " ").removesuffix("+00:00"),
    }
