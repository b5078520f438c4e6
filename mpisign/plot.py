"""Figures of results in a script or a notebook; each takes axes of yours, or makes its own, and returns them."""

from matplotlib.axes import Axes

from mpisign.audit.figures.beyond.gaps import draw_axis
from mpisign.storage.results import Results


def gaps(results: Results, ax: Axes | None = None, x: str = "iterations") -> Axes:
    """Draw the median gap f(x_k) - f* of every run over its repeats, with a band from the 10 % to the 90 % quantile.

    Args:
        results: those of `mpisign.run` or `mpisign.load`.
        ax: where to draw; by default a new figure.
        x: the horizontal axis: "iterations", "bits" or "seconds".

    Returns:
        The axes.

    Raises:
        InputError: no run has a complete repeat or one that is running, or there is no such axis.
    """
    import matplotlib.pyplot as plt

    axes: Axes = plt.figure(layout="constrained").add_subplot() if ax is None else ax
    draw_axis(results.trajectory, axes, x)
    return axes
