"""What a trajectory file says of a run: every resolved setting, f* and the constants, each with how it is known."""

from collections.abc import Iterator
from typing import Any

from mpisign.optimum import Known
from mpisign.planning import Plan, PlannedRun
from mpisign.theory.noise import Noise


def attributes(planned: Plan, run: PlannedRun, known: Known) -> dict[str, Any]:
    """The attributes of a run's group, but for its exchange."""
    return _settings(planned, run) | dict(_noise(run.oracle.assumption4(planned.problem))) | dict(_known(known))


def _settings(planned: Plan, run: PlannedRun) -> dict[str, Any]:
    """Every resolved setting of a run, flat, with dots."""
    experiment, settings = planned.experiment, run.settings
    tables = {
        "problem": experiment.problem,
        "start": experiment.start,
        "oracle": settings.oracle,
        "step": settings.step,
    }
    flat = dict(_flatten(tables))
    flat |= {"iterations": settings.iterations, "workers": run.workers, "seed": experiment.seed}
    flat |= {"method": settings.method["method"]}
    for key in getattr(run.method, "__dataclass_fields__", {}):
        flat[key] = getattr(run.method, key)
    flat |= {"dimension": planned.problem.dimension, "samples": planned.problem.samples or 0}
    return flat


def _noise(noise: Noise) -> Iterator[tuple[str, Any]]:
    """What is known of Assumption 4."""
    yield "noise_independent", noise.independent
    for name in ("sigma2", "p_min", "p_min_literal"):
        constant = getattr(noise, name)
        if constant is not None:
            yield name, constant.value
            yield f"{name}_known", constant.how


def _known(known: Known) -> Iterator[tuple[str, Any]]:
    """f* with its error; L and mu, each with how it is known."""
    yield "f_star", known.minimum.value
    yield "f_star_error", known.minimum.error
    for name, constant in known.constants.items():
        yield name, constant.value
        yield f"{name}_known", constant.how


def _flatten(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
