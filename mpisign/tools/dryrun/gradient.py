"""Check that the gradient of a user's problem is that of its value, by central differences at x_0 and near it."""

from collections.abc import Iterator

import numpy as np

from mpisign.arrays import Floats
from mpisign.config.validation import InputError
from mpisign.problems import Problem

_POINTS = 3
_MOST = 64
"""Most coordinates checked at a point: all of a small problem, and some of a large one."""

_STEPS = 10.0 ** np.arange(-2, -8, -1)
"""Steps of the differences, in units of max(1, |x_i|): one of them suits f, whatever its curvature and its rounding."""

_ROUNDING = 64 * np.finfo(float).eps
"""Approximate relative error of a value."""

_AGREE = 1e-3
"""Relative error up to which a difference agrees with the gradient."""


def check_gradient(problem: Problem, x0: Floats) -> None:
    """Compare `problem.gradient` with finite differences of `problem.value`.

    A coordinate is wrong where no step's difference is near the gradient while two steps' differences are near each
    other: a kink, or an f of much rounding, raises no alarm.

    Args:
        problem: The problem.
        x0: Where its runs start, shape (d,).

    Raises:
        InputError: If the gradient changes x, leaves `out` as it was, or is wrong in a coordinate.
    """
    generator = np.random.default_rng(0)
    for number in range(_POINTS):
        x = x0 + (generator.standard_normal(len(x0)) if number else 0.0)
        gradient = _asked(problem, x)
        _check_minibatch(problem, x, gradient)
        coordinates = generator.permutation(len(x))[:_MOST]
        for i in sorted(coordinates.tolist()):
            found, rounding = np.array(list(_differences(problem, x, i))).T
            if (wrong := _contradiction(float(gradient[i]), found, rounding)) is not None:
                where = "x_0" if number == 0 else f"a point near x_0, x_{i} = {x[i]:.6g}"
                what = f"gradient gives {gradient[i]:.6g} in coordinate {i}, finite differences of value {wrong:.6g}"
                raise InputError("problem", f"{type(problem).__name__}: at {where} {what}")


def _asked(problem: Problem, x: Floats) -> Floats:
    """Return the gradient at x, shape (d,).

    Raises:
        InputError: If x was changed or `out` was not written.
    """
    out, point = np.full(len(x), np.nan), x.copy()
    problem.gradient(point, out)
    if not np.array_equal(point, x):
        raise InputError("problem", f"{type(problem).__name__}: gradient changes x; expected it to write to out alone")
    value = problem.value(point)
    if not np.array_equal(point, x):
        raise InputError("problem", f"{type(problem).__name__}: value changes x; expected it to read x alone")
    if np.ndim(value):
        raise InputError("problem", f"{type(problem).__name__}: expected value to return a number, got an array")
    if np.isnan(out).all() and np.isfinite(problem.value(x)):
        hint = "expected out[:] = ...; out = ... gives the name to another array"
        raise InputError("problem", f"{type(problem).__name__}: gradient leaves out as it was; {hint}")
    return out


def _check_minibatch(problem: Problem, x: Floats, gradient: Floats) -> None:
    """Raise InputError where the mean over all data points, each as likely, is not the gradient."""
    if problem.samples is None or problem.weights is not None or type(problem).minibatch is Problem.minibatch:
        return
    out = np.full(len(x), np.nan)
    problem.minibatch(x, np.arange(problem.samples), out)
    size = np.abs(gradient).max(initial=0.0) + np.abs(out).max(initial=0.0)
    apart = np.abs(out - gradient)
    if not (apart <= _AGREE * size).all():
        i = int(np.nanargmax(np.where(np.isnan(apart), np.inf, apart)))
        what = f"minibatch of all data points gives {out[i]:.6g} in coordinate {i}, gradient {gradient[i]:.6g}"
        raise InputError("problem", f"{type(problem).__name__}: {what}")


def _differences(problem: Problem, x: Floats, i: int) -> Iterator[tuple[float, float]]:
    """Yield central differences of value along coordinate i, one a step, each with what the rounding of value adds."""
    for step in _STEPS * max(1.0, abs(float(x[i]))):
        ahead, behind = x.copy(), x.copy()
        ahead[i] += step
        behind[i] -= step
        with np.errstate(all="ignore"):
            # the step that was taken in float64, which is not exactly twice `step`
            high, low, apart = problem.value(ahead), problem.value(behind), float(ahead[i] - behind[i])
            yield (high - low) / apart, _ROUNDING * max(abs(high), abs(low)) / apart


def _contradiction(gradient: float, found: Floats, rounding: Floats) -> float | None:
    """Return what the differences say where they agree on another number than the gradient, otherwise None."""
    if not np.isfinite(found).all():
        return None
    apart = np.abs(found - gradient)
    if np.isnan(gradient):
        return float(found[len(found) // 2])
    if (apart <= _AGREE * np.maximum(np.abs(found), abs(gradient)) + rounding).any():
        return None
    between = np.abs(np.diff(found))
    best = int(between.argmin())
    sure = between[best] <= 0.01 * apart[best + 1]
    return float(found[best + 1]) if sure else None
