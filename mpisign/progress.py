"""Show progress on rank 0: a bar in a terminal, elsewhere a plain line every few seconds."""

import sys
import time
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

from mpisign.messages import say

_LOG_SECONDS = 5.0


def _in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook that can show a bar."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell" and find_spec("ipywidgets") is not None


def _bar() -> type[Any]:
    """Return tqdm's bar for where this process shows it."""
    if not _in_notebook():
        return tqdm
    from tqdm.notebook import tqdm as bar  # it needs ipywidgets

    return bar


class Progress:
    """A count of iterations, or of another unit, that is shown while it lasts.

    Without a total there is a bar for as long as it lasts, and only where that is long.

    Args:
        total: how many there will be; None: nobody knows.
        quiet: whether nothing is shown.
        unit: what is counted.
    """

    def __init__(self, total: int | None, quiet: bool, unit: str = "iterations"):
        self._terminal, self._unit = sys.stderr.isatty() or _in_notebook(), unit
        short = "it" if unit == "iterations" else f" {unit}"
        known, silent = total is not None, quiet or not self._terminal
        delay = 0.0 if known else _LOG_SECONDS
        self._bar = _bar()(total=total, disable=silent, unit=short, unit_scale=True, leave=known, delay=delay)
        self._total, self._quiet, self._before, self._what = total, quiet, 0, ""
        self._spoke = time.monotonic()

    def at(self, what: str, before: int = 0) -> None:
        """Name what is counted next, from 0 again; so many of the whole were done `before` it."""
        self._what, self._before = what, before
        self._bar.set_description(what)

    def count(self, done: int) -> None:
        """Show that so many of what was named are done."""
        self.show(self._before + done)

    def show(self, done: int) -> None:
        """Show that so many of the whole are done."""
        self._bar.update(done - self._bar.n)
        if not (self._quiet or self._terminal) and time.monotonic() - self._spoke > _LOG_SECONDS:
            self._spoke = time.monotonic()
            of = "" if self._total is None else f" of {self._total}"
            say(f"{done}{of} {self._unit}; {self._what}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
