"""What the theorems ask of their parameters: each condition is stated once, and a parameter outside it is refused."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

ROUNDING = 1e-12
"""mu <= L and zeta >= 0 are checked to this accuracy: mu = L when d = 1, and both are computed."""


def _at_least(low: float) -> Callable[[Any], Any]:
    return lambda value: (value >= low) & (value < math.inf)


def _whole(value: Any) -> Any:
    return (value >= 1) & (value < math.inf) & (value == np.floor(value))


_TINY = math.nextafter(0, 1)
_RANGES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    **{name: (f"{name} > 0 and finite", _at_least(_TINY)) for name in ("mu", "L", "rho", "beta", "D1", "D2")},
    **{name: (f"{name} >= 0 and finite", _at_least(0)) for name in ("k", "t", "gap0", "sigma2", "delta")},
    **{name: (f"{name} >= 0 and finite", _at_least(0)) for name in ("bounds", "f_star_error", "rounding")},
    **{name: (f"{name} is a positive integer", _whole) for name in ("workers", "d")},
    "p_min": ("1/2 < p_min <= 1", lambda value: (value > 0.5) & (value <= 1)),
    "p": ("0 <= p <= 1", lambda value: (value >= 0) & (value <= 1)),
    "c": ("c > 1 and finite", lambda value: (value > 1) & (value < math.inf)),
    "theta": ("0 < theta <= 1", lambda value: (value > 0) & (value <= 1)),
}


def require(condition: str, holds: Any, values: Mapping[str, Any]) -> None:
    """Raise ValueError "condition: name = value, ..." unless it holds."""
    if not holds:
        raise ValueError(f"{condition}: " + ", ".join(f"{name} = {_shown(value)}" for name, value in values.items()))


def _shown(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def in_range(**parameters: Any) -> None:
    """Require of every number, or of every entry of an array, the range that goes with its name; a NaN is in none."""
    for name, value in parameters.items():
        condition, holds = _RANGES[name]
        entries = np.atleast_1d(np.asarray(value, dtype=np.float64))
        wrong = entries[~holds(entries)]
        require(condition, not len(wrong), {name: wrong[0] if len(wrong) else value})


def curvatures(mu: float, L: float) -> None:
    """Require 0 < mu <= L, which Assumptions 1 (or 2) and 3 imply for every f but a constant."""
    in_range(mu=mu, L=L)
    require("mu <= L", mu <= L * (1 + ROUNDING), {"mu": mu, "L": L})


def step(alpha: float, L: float, drift: float, name: str) -> None:
    """Require 0 < alpha < drift / L, where the theorem calls its drift `name`."""
    in_range(L=L)
    require(f"0 < alpha < {name}/L", alpha > 0 and L * alpha < drift, {"alpha": alpha, f"{name}/L": drift / L})
