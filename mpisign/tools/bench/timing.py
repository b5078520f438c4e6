"""Turn times into ratios: both sides in one run, one after the other, after a warm-up; medians with quartiles."""

import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeAlias

from mpisign.config.validation import InputError


class Effort(NamedTuple):
    """How much is measured.

    Attributes:
        slice: Seconds that a timed slice lasts at least, on one rank.
        lockstep: The same on several ranks.
        slices: Number of slices of each side.
        shape: n and d of the data.
        iterations: Iterations of a run that is timed as a whole.
        text: Bytes of LIBSVM text that are converted.
        launches: Launches of each program that runs on ranks.
        ranks: Numbers of ranks that the rounds are timed on, one after the other.
        dimensions: The d of the rounds.
        quick: Whether this is a trial.
    """

    slice: float = 0.005
    lockstep: float = 0.02
    slices: int = 15
    shape: tuple[int, int] = (20000, 2000)
    iterations: int = 20000
    text: int = 2**28
    launches: int = 3
    ranks: tuple[int, ...] = (2, 3)
    dimensions: tuple[int, ...] = (2**10, 2000, 2**13, 2**15, 2**17, 2**20, 2**22, 2**24)
    quick: bool = False

    @property
    def longest(self) -> int:
        """Return the largest d of the rounds."""
        return max(self.dimensions)


QUICK = Effort(
    slice=1e-4,
    lockstep=1e-3,
    slices=3,
    shape=(2000, 200),
    iterations=400,
    text=2**18,
    launches=2,
    ranks=(3,),
    dimensions=(2**10, 2000, 2**15, 2**17),
    quick=True,
)


class Ratio(NamedTuple):
    """What was measured: `what` it is, its median with the lower and upper quartile, and what it should reach."""

    what: str
    median: float
    low: float
    high: float
    goal: str = ""


class Unmeasured(NamedTuple):
    """What could not be measured here, and why."""

    what: str
    why: str


Failure: TypeAlias = InputError | subprocess.TimeoutExpired
"""Failure of a program that is measured: an error, or no end in time; either way the rest goes on."""
FAILURES = (InputError, subprocess.TimeoutExpired)


def reason(failure: Failure) -> str:
    """Return why something was not measured, for `Unmeasured`."""
    return failure.complaint if isinstance(failure, InputError) else f"no end in {failure.timeout:g} seconds"


def succeeded(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a program printed.

    Raises:
        InputError: If it failed, with the end of its complaint in one line.
    """
    if done.returncode:
        name, said = Path(done.args[0]).name, " ".join(done.stderr.split())
        raise InputError("", f"{name} ended with status {done.returncode}: {said[-300:]}")
    return done.stdout


class Time(NamedTuple):
    """Seconds of `what`, slice by slice.

    Attributes:
        what: What was timed.
        exchange: The exchange by which it was done, or "".
        ranks: Number of ranks; of a vote alone, number of ballots.
        dimension: Length of the vectors.
        seconds: One a slice.
    """

    what: str
    exchange: str
    ranks: int
    dimension: int
    seconds: list[float]

    @property
    def median(self) -> float:
        """Return the median over the slices, in seconds."""
        return statistics.median(self.seconds)


class Traffic(NamedTuple):
    """Bytes that a round of `what` takes on the link of each host, with headers, and its seconds.

    Attributes:
        what: As of a `Time`.
        exchange: As of a `Time`.
        ranks: Number of ranks, as many on each host.
        dimension: Length of the vectors.
        sent: Bytes, host by host; rank 0 is on the first.
        received: Bytes, host by host.
        seconds: Round by round, on the slowest rank.
    """

    what: str
    exchange: str
    ranks: int
    dimension: int
    sent: list[float]
    received: list[float]
    seconds: list[float]


def compare(what: str, one: Callable[[], object], other: Callable[[], object], effort: Effort, goal: str = "") -> Ratio:
    """Return the time of `one` over the time of `other`."""
    calls = [fill(one, effort), fill(other, effort)]
    # both sides in turn, so that a slow moment of the machine falls on both
    pairs = ((seconds(one, calls[0]), seconds(other, calls[1])) for _ in range(effort.slices))
    return summary(what, [a / b for a, b in pairs], goal)


def summary(what: str, values: list[float], goal: str = "") -> Ratio:
    """Return the ratio whose measured values are given, at least two."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")  # within what was measured
    return Ratio(what, median, low, high, goal)


def seconds(call: Callable[[], object], calls: int = 1) -> float:
    """Return the seconds of one call, as the mean over `calls` in a row."""
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) / calls


def fill(call: Callable[[], object], effort: Effort) -> int:
    """Return how many calls fill a slice, after a warm-up."""
    call()
    return max(1, int(effort.slice / seconds(call, 3)))


class Stopwatch:
    """A stopwatch that adds up the seconds spent in some methods of a class, while it is entered."""

    def __init__(self, owner: type, *names: str):
        self._owner, self._originals = owner, {name: getattr(owner, name) for name in names}
        self.seconds = 0.0

    def __enter__(self) -> None:
        for name, original in self._originals.items():
            setattr(self._owner, name, self._timed(original))

    def __exit__(self, *reason: object) -> None:
        for name, original in self._originals.items():
            setattr(self._owner, name, original)

    def _timed(self, original: Callable[..., object]) -> Callable[..., object]:
        """Return the method, timed."""

        def timed(*arguments: object) -> object:
            start = time.perf_counter()
            try:
                return original(*arguments)
            finally:
                self.seconds += time.perf_counter() - start

        return timed
