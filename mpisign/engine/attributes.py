"""What a trajectory file says of a run: every resolved setting, f* and the constants, each with how it is known."""

from collections.abc import Iterator
from typing import Any

from mpisign.algorithms.initial_points import STARTS
from mpisign.algorithms.methods import METHODS
from mpisign.algorithms.oracles import ORACLES
from mpisign.algorithms.step_sizes import STEPS
from mpisign.config.validation import in_utf8
from mpisign.engine.planning import Plan, PlannedRun
from mpisign.problems import PROBLEMS
from mpisign.problems.reference_solution import Known
from mpisign.theory.noise import Noise


def attributes(planned: Plan, run: PlannedRun, known: Known) -> dict[str, Any]:
    """The attributes of a run's group, but for its exchange."""
    return settings(planned, run) | dict(_noise(run.oracle.assumption4(planned.problem))) | dict(_known(known))


def settings(planned: Plan, run: PlannedRun) -> dict[str, Any]:
    """Every setting of a run, flat, with dots: what the job says, and the defaults of what it leaves out."""
    experiment, asked = planned.experiment, run.settings
    tables = {
        "problem": {**planned.problem.defaults, **PROBLEMS.filled(experiment.problem)},
        "start": STARTS.filled(experiment.start),
        "oracle": ORACLES.filled(asked.oracle),
        "step": STEPS.filled(asked.step),
    }
    flat = dict(_flatten(tables | METHODS.filled(asked.method, "method")))
    flat |= {"iterations": asked.iterations, "workers": run.workers, "seed": experiment.seed}
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
            yield f"{prefix}{key}", in_utf8(value) if isinstance(value, str) else value
