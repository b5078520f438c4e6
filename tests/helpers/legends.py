"""Legends in which two entries cannot be told apart."""

from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D


def twins(figure):
    """Return the labels of a figure's legends that are there twice, or whose lines look like another one's."""
    found = []
    for legend in [*figure.legends, *(each for axes in figure.axes if (each := axes.get_legend()) is not None)]:
        labels = [text.get_text() for text in legend.get_texts()]
        looks = [_look_of(handle) for handle in legend.legend_handles]
        found += [label for label in labels if labels.count(label) > 1]
        found += [label for label, seen in zip(labels, looks, strict=True) if looks.count(seen) > 1]
    return found


def _look_of(handle):
    """Return what tells a line of a legend from another one, or the handle itself where it is no line."""
    if not isinstance(handle, Line2D):
        return handle
    line = ("", 0.0) if handle.get_linestyle() == "None" else (handle.get_linestyle(), handle.get_linewidth())
    marks = (handle.get_marker(), handle.get_markersize(), handle.get_fillstyle())
    return (to_rgba(handle.get_color()), handle.get_alpha(), *line, handle._dash_pattern, *marks)
