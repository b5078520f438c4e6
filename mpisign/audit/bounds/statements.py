"""List which bounds apply to a run and what each needs: the printed theorems first, then the corrected ones."""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from mpisign.audit.bounds.hypotheses import Hypotheses
from mpisign.theory import bounds, drift
from mpisign.theory.vote_moments import vote_advantage

_SAME = 1e-9
"""Relative accuracy to which a harmonic step must be the theorem's."""


class Statement(NamedTuple):
    """One bound as it applies to a run.

    Attributes:
        bound: Name of its function in `mpisign.theory.bounds`.
        reading: How a constant was taken that can be taken in more than one way, or "".
        compute: Called with (k, gap0), the bound.
        premise: What fails from the start, or "".
        missing: Names of the constants that are not known.
    """

    bound: str
    reading: str
    compute: "partial[np.ndarray]"
    premise: str = ""
    missing: tuple[str, ...] = ()


def statements(given: Hypotheses) -> list[Statement]:
    """Return every bound whose algorithm and step rule are those of the run."""
    return [*_deterministic(given), *_printed(given), *_corrected(given)]


def _statement(bound: str, reading: str, premise: str = "", **constants: object) -> Statement:
    """Return a bound with its constants; those that are None are listed as missing."""
    missing = tuple(name for name, value in constants.items() if value is None)
    return Statement(bound, reading, partial(getattr(bounds, bound), **constants), premise, missing)


def _deterministic(given: Hypotheses) -> Iterator[Statement]:
    """Yield (16) and (17) of Theorem 1, for exact gradients and a constant step."""
    if given.exact and given.alpha is not None:
        yield _statement("theorem1", "", mu=given.mu, L=given.L, alpha=given.alpha)
        yield _statement("theorem1_gradient", "", L=given.L, alpha=given.alpha)


def _printed(given: Hypotheses) -> Iterator[Statement]:
    """Yield Theorems 2 and 3, and (20) as Remark 7 extends it to M > 1, once for each reading of p_min."""
    known = {"mu": given.mu, "L": given.L, "sigma2": given.sigma2}
    readings: dict[str, float | None] = {**given.p_min} or {"": None}
    for reading, p_min in readings.items():
        noise = {**known, "p_min": p_min}
        if given.alpha is not None and given.workers == 1:
            yield _statement("theorem2", reading, given.broken, alpha=given.alpha, **noise)
        if given.alpha is not None:
            yield _statement("theorem3", reading, given.broken, alpha=given.alpha, workers=given.workers, **noise)
        if given.harmonic is not None:
            yield _harmonic(given, reading, noise)


def _harmonic(given: Hypotheses, reading: str, noise: dict[str, float | None]) -> Statement:
    """Return (20); for M > 1 with 2 I_p_min(kappa, kappa) - 1 in the place of 2 p_min - 1, and shifted where k0 is."""
    _, k0 = given.harmonic or (np.nan, np.nan)
    said = ["Remark 7" * (given.workers > 1), reading, f"shifted, k0 = {k0:g}" * (k0 != 1)]
    premise = given.broken or _step_rule(given, noise["p_min"])
    return _statement(
        "theorem2_harmonic", "; ".join(filter(None, said)), premise, workers=given.workers, k0=k0, **noise
    )


def _step_rule(given: Hypotheses, p_min: float | None) -> str:
    """Return the premise of (20) on the step size, with any k0, if it fails, otherwise ""."""
    if given.mu is None or p_min is None or p_min <= 0.5:
        return ""
    c, k0 = given.harmonic or (np.nan, np.nan)
    wanted = 3 / (given.mu * float(vote_advantage(p_min, given.workers)))
    advantage = "2 p_min - 1" if given.workers == 1 else "2 I_p_min(kappa, kappa) - 1"
    needed = f"alpha_k = 3/(mu ({advantage})(k + {k0:g})) = {wanted:.6g}/(k + {k0:g})"
    return "" if np.isclose(c, wanted, rtol=_SAME, atol=0) else f"{needed}: it is {c:.6g}/(k + {k0:g})"


def _corrected(given: Hypotheses) -> Iterator[Statement]:
    """Yield C0 and C1 for a constant step, and C3 for a harmonic one.

    They need unbiased workers; C0 and C1 allow any rule for ties.
    """
    known = {"mu": given.mu, "L": given.L, "sigma2": given.sigma2}
    biased = given.broken if given.broken.startswith("Assumption 4") else ""
    if given.alpha is not None:
        workers = {"workers": given.workers, "ties": given.ties}
        yield _statement("floor_bound", "", biased, alpha=given.alpha, **workers, **known)
    yield from _repaired(given, biased)
    if given.alpha is not None:
        for reading, (rho, delta) in _drifts(given).items():
            some = {"alpha": given.alpha, "rho": rho, "delta": delta}
            yield _statement("drift_bound", reading, biased, **some, **known)
    if given.harmonic is not None:
        for reading, (rho, delta) in _drifts(given).items():
            # C3 needs a drift without an offset
            if delta == 0:
                yield from _shifted(given, reading, rho, biased)


def _repaired(given: Hypotheses, biased: str) -> Iterator[Statement]:
    """Yield Theorems 2 and 3 with the term that makes them true, where p_min is known; not for exact gradients."""
    p_min = _known_p_min(given)
    if p_min is None or given.exact:
        return
    known = {"mu": given.mu, "L": given.L, "sigma2": given.sigma2, "p_min": p_min}
    if given.alpha is not None and given.workers == 1:
        yield _statement("theorem2_repaired", "", biased, alpha=given.alpha, **known)
    elif given.alpha is not None:
        some = {"alpha": given.alpha, "workers": given.workers, "ties": given.ties}
        yield _statement("theorem3_repaired", "", biased, **some, **known)
    elif given.harmonic is not None and not given.broken and not _step_rule(given, p_min):
        k0 = given.harmonic[1]
        reading = "Remark 7" if given.workers > 1 else ""
        yield _statement("theorem2_harmonic_repaired", reading, biased, workers=given.workers, k0=k0, **known)


def _known_p_min(given: Hypotheses) -> float | None:
    """Return p_min over g_i != 0, which is all that the corrected theorems ask for; None where it is not known."""
    return given.p_min.get("over g_i != 0", next(iter(given.p_min.values()), None))


def _shifted(given: Hypotheses, reading: str, rho: float, biased: str) -> Iterator[Statement]:
    """Yield C3 with c = (the step's factor) mu rho; its second form exists for c = 3 only."""
    c, k0 = given.harmonic or (np.nan, np.nan)
    shift = None if given.mu is None else c * given.mu * rho
    cubic = shift is not None and np.isclose(shift, 3.0, rtol=_SAME, atol=0)
    for form in ("max", "cubic") if cubic else ("max",):
        some = {"mu": given.mu, "L": given.L, "sigma2": given.sigma2, "rho": rho, "k0": k0, "form": form}
        label = f"{reading}; form {form}"
        yield _statement("harmonic_shifted", label, biased, c=3.0 if cubic else shift, **some)


def _drifts(given: Hypotheses) -> dict[str, drift.Drift]:
    """Return the drifts (rho, delta) of C1 that are certified, by what certifies them."""
    found = {}
    if given.sigma2 is not None:
        found["any noise"] = drift.any_noise(given.sigma2, workers=given.workers, ties=given.ties)
    p_min = _known_p_min(given) or 0.0
    honest = not given.broken and p_min > 0.5
    if honest and given.alpha is not None and given.sigma2 is not None and given.ties in ("zero", "coin"):
        sharp = drift.sharp(p_min, given.sigma2, given.workers)
        if not given.exact and given.L is not None and given.alpha < sharp.rho / given.L:
            found["R4"] = sharp
    if given.exact:
        found["exact gradients"] = drift.voted(1.0, given.workers)
    elif honest and given.decoupled:
        found["decoupled"] = drift.voted(p_min, given.workers)
    elif honest and given.independent and given.workers > 1:
        found["independent coordinates"] = drift.voted(p_min, given.workers)
    elif honest and given.independent:
        found["independent coordinates"] = drift.independent(p_min, given.dimension)
    return found
