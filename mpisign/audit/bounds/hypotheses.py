"""Read what the theorems assume of a run: its constants, from its file or as given, and what it does not satisfy."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from mpisign.config.validation import InputError, refuse_unknown
from mpisign.storage.trajectory import RunRecord
from mpisign.theory.constants import ASSUMED
from mpisign.theory.vote_moments import Ties


class Hypotheses(NamedTuple):
    """The constants of one run; None where one is not known.

    Attributes:
        mu: Constant of Assumption 1, or of Assumption 2 where that is larger or the only one.
        L: Smoothness constant.
        sigma2: Variance bound of (18), in the 1-norm.
        p_min: Value by reading: over which coordinates it is the least, or "as given".
        alpha: Constant step size that multiplies the l1 norm.
        harmonic: (c, k0) of alpha_k = c / (k + k0).
        workers: Number of workers M.
        dimension: Number of coordinates d.
        exact: Whether all gradients are exact.
        independent: Whether the coordinates' noises are independent.
        decoupled: Whether the norm comes from a second draw.
        broken: Premise of the stochastic theorems that the run breaks from its first step, or "".
        ties: What a tie counts in the vote's advantage, by `vote_moments.vote_advantage`.
    """

    mu: float | None
    L: float | None
    sigma2: float | None
    p_min: dict[str, float]
    alpha: float | None
    harmonic: tuple[float, float] | None
    workers: int
    dimension: int
    exact: bool
    independent: bool
    decoupled: bool
    broken: str
    ties: Ties = "zero"


_TIES: dict[str, Ties] = {"exact": "zero", "coin": "coin", "plus": "plus-negative"}
"""What a tie counts in the vote's advantage, by the policy for zeros."""


def given(run: RunRecord, options: dict[str, float]) -> Hypotheses:
    """Return the constants of a run of scaled-sign.

    Args:
        run: The run, with its attributes.
        options: Constants by name that replace the attributes.
    """
    attributes = {**run.attributes, **options}
    per_coordinate = float(run.attributes["dimension"]) if run.attributes["scale"] == "mean" else 1.0
    kind = run.attributes["step.kind"]
    return Hypotheses(
        mu=_largest(attributes, ["mu"] if "mu" in options else ["mu", "mu_PL"]),
        L=_number(attributes, "L"),
        sigma2=_number(attributes, "sigma2"),
        p_min=readings(run, options),
        alpha=float(run.attributes["step.alpha"]) / per_coordinate if kind == "constant" else None,
        harmonic=_harmonic(run, per_coordinate) if kind == "harmonic" else None,
        workers=int(run.attributes["workers"]),
        dimension=int(run.attributes["dimension"]),
        exact=run.attributes.get("oracle.kind") == "full" and not run.attributes.get("oracle.flipped", 0),
        independent=bool(run.attributes.get("noise_independent", False)),
        decoupled=bool(run.attributes.get("oracle.decoupled", False)),
        broken=broken(run),
        ties=_TIES[run.attributes.get("zeros", "exact")],
    )


def readings(run: RunRecord, options: dict[str, float]) -> dict[str, float]:
    """Return p_min by reading.

    It is as given; or over g_i != 0, and also over all i where that differs (the paper does not set g_i = 0 apart).
    """
    if "p_min" in options:
        return {"as given": options["p_min"]}
    found = {
        "over g_i != 0": _number(run.attributes, "p_min"),
        "over all i": _number(run.attributes, "p_min_literal"),
    }
    known = {reading: value for reading, value in found.items() if value is not None}
    return known if len(set(known.values())) > 1 else dict(list(known.items())[:1])


def broken(run: RunRecord) -> str:
    """Return which assumption of Theorems 2 and 3 on workers and votes the run breaks, or ""."""
    if run.attributes.get("oracle.flipped", 0):
        return "Assumption 4, E g~ = g: flipped workers send -g~"
    if run.attributes.get("oracle.sampling") == "shard" and run.attributes["workers"] > 1:
        return "Assumption 4, E g~ = g: a worker's shard is not all of the data"
    if run.attributes.get("zeros") == "plus":
        return 'sign(0) = 0: zeros = "plus" makes it +1'
    return ""


def _harmonic(run: RunRecord, per_coordinate: float) -> tuple[float, float]:
    """Return (c, k0) of alpha_k = c / (k + k0) for the l1 norm; a "c" such as "6n" is a multiple of the samples."""
    c = run.attributes["step.c"]
    number = float(str(c).removesuffix("n") or 1) * run.attributes["samples"] if str(c).endswith("n") else float(c)
    return number / per_coordinate, float(run.attributes.get("step.k0", 1.0))


def _number(attributes: dict[str, Any], name: str) -> float | None:
    """Return an attribute as a float, or None if it is missing."""
    value = attributes.get(name)
    return None if value is None else float(value)


def _largest(attributes: dict[str, Any], names: list[str]) -> float | None:
    """Return the largest of these attributes, or None if all are missing or 0."""
    found = [float(attributes[name]) for name in names if attributes.get(name)]
    return max(found) if found else None


_POSSIBLE: dict[str, tuple[str, Callable[[float], bool]]] = {
    "mu": ("a finite number > 0", lambda value: 0 < value < math.inf),
    "L": ("a finite number > 0", lambda value: 0 < value < math.inf),
    "sigma2": ("a finite number >= 0", lambda value: 0 <= value < math.inf),
    "p_min": ("a number from 0 to 1", lambda value: 0 <= value <= 1),
    "level": ("a number between 0 and 1", lambda value: 0 < value < 1),
}
"""Range of each constant, whatever a premise requires: p_min of 1/2 or less is allowed, and fails a premise."""


def refuse_impossible(constants: Mapping[str, float], level: float) -> None:
    """Raise InputError, which names it, for a constant that is not known or that cannot be, or for such a level."""
    refuse_unknown(constants, list(ASSUMED), "")
    for name, value in {**constants, "level": level}.items():
        expected, possible = _POSSIBLE[name]
        if not possible(value):
            raise InputError(name, f"expected {expected}, got {value}")
