"""Hold E V_k of one run against the bounds that speak of it, in fractions."""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from itertools import islice
from typing import NamedTuple

from mpisign.audit.bound_names import named
from mpisign.audit.certify.exact_job import ExactRun
from mpisign.config.validation import InputError
from mpisign.theory.certificates import bounds
from mpisign.theory.certificates.bounds import Constants
from mpisign.theory.certificates.expectation import Moment, TooManyStates, moments
from mpisign.theory.certificates.quadratics import curvature


class Row(NamedTuple):
    """One bound at one k.

    Attributes:
        run: The run's label.
        bound: Name of its function in `mpisign.theory.bounds`.
        reading: Over which coordinates p_min is the least, where that makes a difference; else "".
        k: The iteration.
        expected: E V_k.
        bound_value: The bound there.
        constants: What went into the bound, and the step size.
    """

    run: str
    bound: str
    reading: str
    k: int
    expected: Fraction
    bound_value: Fraction
    constants: dict[str, Fraction]

    @property
    def refuted(self) -> bool:
        """Return whether E V_k is above the bound."""
        return self.expected > self.bound_value

    def document(self) -> dict[str, object]:
        """Return a dictionary for JSON, fractions as text."""
        constants: dict[str, object] = {name: str(value) for name, value in self.constants.items()}
        if self.reading:
            constants["p_min_reading"] = self.reading
        return {
            "run": self.run,
            "bound": self.bound,
            "k": self.k,
            "expected": str(self.expected),
            "bound_value": str(self.bound_value),
            "refuted": self.refuted,
            "constants": constants,
        }


def outcomes(rows: Sequence[Row]) -> list[str]:
    """Return a line on each bound of a run: at which k it is refuted, if at any, and how near E V_k comes."""
    lines = []
    for name in dict.fromkeys(named(row.bound, row.reading) for row in rows):
        some = [row for row in rows if named(row.bound, row.reading) == name]
        first = next((row.k for row in some if row.refuted), None)
        near = max(float(row.expected / row.bound_value) for row in some)
        said = f"refuted at k = {first}" if first is not None else f"not refuted up to k = {some[-1].k}"
        lines.append(f"{name}: {said}; E V_k over the bound is at most {near:.6g}")
    return lines


class Certificate(NamedTuple):
    """What was computed of one run.

    Attributes:
        run: The run in fractions.
        moments: E V_k for k = 0, ..., as far as the states allowed.
        stopped: The k that had too many states; None where the end was reached.
        rows: Every bound at every k from 1 on.
        premises: Why a bound says nothing, by its name and reading.
    """

    run: ExactRun
    moments: list[Moment]
    stopped: int | None
    rows: list[Row]
    premises: dict[tuple[str, str], str]


def certificate(run: ExactRun, upto: int, most: int) -> Certificate:
    """Return E V_k beside the bounds.

    The constants of noise are those over all states of x_0, ..., x_{K-1}, for every k <= K: after x_K the oracle could
    be exact, and nothing here would change.

    Args:
        run: The run.
        upto: Largest k.
        most: Largest number of states.

    Raises:
        InputError: If mu is not known in fractions, the first iteration has too many states, or no bound applies.
    """
    found, stopped = _moments(run, upto, most)
    noise = found[-1].noise
    if noise is None:
        raise InputError("states", f"expected room for x_1: it has more than {most} states")
    mu, L = curvature(run.process.matrix)
    if mu is None:
        raise InputError(
            "problem.matrix", "mu is not known in fractions: H is neither definite, diagonal nor of rank 1"
        )
    rows: list[Row] = []
    premises: dict[tuple[str, str], str] = {}
    for reading, p_min in _readings(noise.p_min, noise.p_min_literal):
        known = Constants(found[0].gap, mu, L, p_min, noise.sigma2, run.process.workers, run.process.zeros != "exact")
        for name, bound in _bounds(run, known):
            try:
                rows += [_row(run, name, reading, moment, bound(moment.k), known) for moment in found[1:]]
            except ValueError as error:
                premises[name, reading] = str(error)
    if not rows:
        raise InputError(f"run {run.label!r}", f"no bound applies: {next(iter(premises.values()), 'none is known')}")
    return Certificate(run, found, stopped, rows, premises)


def _moments(run: ExactRun, upto: int, most: int) -> tuple[list[Moment], int | None]:
    """Return E V_k up to k = upto, or as far as the states allow, and where they stopped it."""
    found = []
    try:
        for moment in islice(moments(run.process, most), upto + 1):
            found.append(moment)
    except TooManyStates as error:
        return found, error.k
    return found, None


def _readings(p_min: Fraction, literal: Fraction) -> list[tuple[str, Fraction]]:
    """Return both readings of p_min where they differ."""
    return [("", p_min)] if p_min == literal else [("over g_i != 0", p_min), ("over all i", literal)]


def _row(run: ExactRun, name: str, reading: str, moment: Moment, value: Fraction, known: Constants) -> Row:
    constants = {key: Fraction(each) for key, each in known._asdict().items() if key != "ties_become_wrong"}
    if run.alpha is not None:
        constants["alpha"] = run.alpha
    else:
        constants |= dict(zip(("c", "k0"), run.harmonic or (), strict=True))
    return Row(run.label, name, reading, moment.k, moment.gap, value, constants)


def _bounds(run: ExactRun, known: Constants) -> Iterator[tuple[str, Callable[[int], Fraction]]]:
    """Yield the bounds whose step rule is the run's, by name."""
    delta = bounds.repair(known)
    theorem = "theorem2" if known.workers == 1 else "theorem3"
    if run.alpha is not None:
        step = partial(bounds.constant_step, known=known, alpha=run.alpha)
        yield theorem, partial(step, delta=Fraction(0))
        yield f"{theorem}_repaired", partial(step, delta=delta)
        yield "floor_bound", partial(bounds.floor, known=known, alpha=run.alpha)
        return
    c, k0 = run.harmonic or (Fraction(0), Fraction(0))
    wanted = 3 / (known.mu * bounds.advantage(known.p_min, known.workers)) if known.p_min > Fraction(1, 2) else None
    if wanted is None or c == wanted:
        if k0 == 1:
            yield "theorem2_harmonic", partial(bounds.harmonic_step, known=known)
        yield f"{theorem}_harmonic_repaired", partial(bounds.harmonic_repaired, known=known, k0=k0)
