"""Make and check an experiment's kinds, so that little can be refused once it runs."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from mpisign.aggregation.exchange import hosted_by
from mpisign.aggregation.exchange_registry import EXCHANGES
from mpisign.algorithms.initial_points import STARTS, InitialPoint
from mpisign.algorithms.methods import METHODS, Method
from mpisign.algorithms.oracles import ORACLES, Oracle, Source
from mpisign.algorithms.step_sizes import STEPS
from mpisign.arrays import Real
from mpisign.comm.communicator import Communicator
from mpisign.comm.shared_arrays import installed
from mpisign.config.experiment import RUN_KEYS, Experiment, Run
from mpisign.config.validation import InputError, in_utf8
from mpisign.engine.records.rough_evaluation import ERRORS
from mpisign.problems import PROBLEMS, Minimum, Problem
from mpisign.problems.reference_solution import CertifiedOptimum, on_every_rank
from mpisign.rng import RandomStreams
from mpisign.theory.noise import Noise

_MOST_RECORDS = 10**7
"""Records of a repeat at most: with more of them, nobody can read the file."""


MOST_STATE = 2**24
"""Bytes of a state, at most, that is kept of a repeat that is complete, so that it can go on to more iterations."""


class PlannedRun(NamedTuple):
    """A run whose kinds are made.

    Attributes:
        settings: the run as the job gives it.
        method: the method.
        oracle: the oracle.
        source: writes a worker's stochastic gradient.
        step: alpha_k, by k.
        workers: M.
        numbers: those of its workers, 0 to M - 1 (fewer once some were lost, see `mpisign.engine.elastic`).
        problem: the problem whose gradients are taken, in the run's precision.
    """

    settings: Run
    method: Method
    oracle: Oracle
    source: Source
    step: Callable[[int], float]
    workers: int
    numbers: tuple[int, ...]
    problem: Problem

    @property
    def real(self) -> Real:
        """Return what x, gradients and messages consist of."""
        return self.problem.real


_LITTLE_USED = 0.7
"""Below this share of the ranks' time that is used, it is said how more of it would be."""


class Plan(NamedTuple):
    """An experiment whose kinds are made.

    Attributes:
        experiment: the experiment.
        problem: the problem.
        start: the rule for x_0.
        runs: the runs.
        minimum: f* with its error, once it is known, on every rank.
    """

    experiment: Experiment
    problem: Problem
    start: InitialPoint
    runs: list[PlannedRun]
    minimum: Minimum | None = None


def plan(experiment: Experiment, ranks: Communicator, made: Problem | None = None) -> Plan:
    """Make the problem, the start and every run; every rank calls it.

    Args:
        experiment: what is planned.
        ranks: the ranks that will run it.
        made: the problem, where a script has made it and no job file can describe it.

    Raises:
        InputError: the experiment cannot be run as it is; the message names the key.
    """
    _check_records(experiment)
    _check_exchange(experiment.exchange)
    problem = made if made is not None else PROBLEMS.make(experiment.problem, "problem", share=ranks.share)
    _check_dimension(problem)
    start = STARTS.make(experiment.start, "start")
    with _naming("start"):
        start.point(problem.dimension, RandomStreams(experiment.seed, 0))
    default_workers = max(1, ranks.size - 1)
    runs = [_plan_run(run, problem, default_workers, f"runs.{i}") for i, run in enumerate(experiment.runs)]
    return Plan(experiment, problem, start, runs)


def data_sha256(problem: Problem) -> str:
    """Return the sha256 of a problem's data; of one that does not say it, that of its arrays, "" where it has none."""
    arrays = sorted((name, value) for name, value in vars(problem).items() if isinstance(value, np.ndarray))
    if (told := problem.data_sha256()) or not arrays:
        return told
    digest = hashlib.sha256()
    for name, value in arrays:
        digest.update(f"{name} {value.dtype} {value.shape} ".encode() + np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()


def remarks(planned: Plan, ranks: int = 1) -> Iterator[str]:
    """Yield what to say of a plan before it runs on so many ranks, a line each."""
    if not planned.problem.says_minimum:
        what = "defines neither minimum_value nor minimum"
        yield f"problem {planned.experiment.problem['kind']}: f* is taken to be 0, since it {what}"
    for run in planned.runs:
        if (size := state_bytes(run, planned.problem.dimension)) > MOST_STATE:
            what = f"the state of a complete repeat has {size >> 20} MiB, and is kept up to {MOST_STATE >> 20}"
            yield f"{run.settings.label!r}: {what}: the run cannot go on to more iterations"
    yield from _idle(planned, ranks)


def _idle(planned: Plan, ranks: int) -> Iterator[str]:
    """Yield a line where ranks are idle while others have two workers or more, with what would keep all at work."""
    several = [count for run in planned.runs if _each(count := len(run.numbers), ranks) > 1]
    workers = min(several, key=lambda count: _use(count, ranks), default=0)
    if workers and _use(workers, ranks) < _LITTLE_USED:
        each = _each(workers, ranks)
        busy, fewer = -(-workers // each), each - 1
        uneven = f"M = {workers} on {ranks} ranks: {busy} of them host {each} workers each, {ranks - 1 - busy} none"
        better = f"M = {fewer * (ranks - 1)} or {1 - (-workers // fewer)} ranks"
        yield f"{uneven}, and rank 0 is the server; {better} would leave no rank idle, with {fewer} a rank"


def state_bytes(run: PlannedRun, dimension: int) -> int:
    """Return the size of the state that a repeat goes on from: x, and what the method keeps for all workers."""
    return 8 * dimension + run.workers * run.method.memory(dimension).nbytes + run.method.shared(dimension).nbytes


def with_minimum(planned: Plan, known: CertifiedOptimum | None, ranks: Communicator) -> Plan:
    """Return the plan with f* and its error; every rank calls it.

    Args:
        planned: the plan.
        known: what is certain of the problem, on the root; None elsewhere.
        ranks: the ranks.

    Raises:
        InputError: f* is not known as precisely as a gap is to be.
    """
    gaps = [(i, run.settings.stop.gap) for i, run in enumerate(planned.runs) if run.settings.stop is not None]
    asked = [(i, gap) for i, gap in gaps if gap is not None]
    if asked:
        ranks.raise_collectively(lambda: None if known is None else _refuse_uncertain(asked, known.minimum.error))
    return planned._replace(minimum=on_every_rank(known, ranks))


def _refuse_uncertain(asked: list[tuple[int, float]], error: float) -> None:
    """Raise InputError if the error of f* is more than a tenth of a gap that is asked for, by the number of a run."""
    for number, gap in asked:
        if 10 * error > gap:
            what = f"expected at least {10 * error:.2g}, ten times the error of f*, got {gap:g}"
            raise InputError(f"runs.{number}.stop.gap", what)


def _each(workers: int, ranks: int) -> int:
    """Return how many workers a rank hosts at most."""
    return len(hosted_by(min(1, ranks - 1), ranks, workers))


def _use(workers: int, ranks: int) -> float:
    """Return the share of the ranks' time, but for rank 0's, that goes into gradients, as all wait for the slowest."""
    return workers / (_each(workers, ranks) * max(1, ranks - 1))


def _check_records(experiment: Experiment) -> None:
    """Raise InputError if `log.every` asks for more records than `_MOST_RECORDS`."""
    every = experiment.log.every
    longest = max(run.iterations for run in experiment.runs)
    if every is not None and longest // every > _MOST_RECORDS:
        raise InputError(
            "log.every", f"expected at most {_MOST_RECORDS} records of a repeat, got {longest // every}; make it larger"
        )


def _check_exchange(name: str) -> None:
    """Raise InputError if there is no exchange of this name, and it is not "auto"."""
    if name != "auto":
        try:
            EXCHANGES[name]
        except InputError as error:
            raise InputError("exchange", f"{error.complaint}, or auto") from None


def _check_dimension(problem: Problem) -> None:
    """Raise InputError if four vectors of the problem's dimension do not fit in this machine's memory.

    A small file can name a large index; x, a gradient, a message and a record are needed at the least.
    """
    memory = installed()
    if 4 * 8 * problem.dimension > memory:
        what = f"with d = {problem.dimension} it needs more than the {memory >> 30} GB of memory of this machine"
        raise InputError("problem", what)


def _plan_run(run: Run, problem: Problem, default_workers: int, path: str) -> PlannedRun:
    """Make the kinds of one run; `path` is its key in the job, such as "runs.0"."""
    workers = run.workers or default_workers
    if run.stop is not None and run.stop.gap is not None and not problem.says_minimum:
        raise InputError(f"{path}.stop.gap", "expected a problem that says its minimum: this one says none")
    method = METHODS.make(run.method, path, kind="method", also=RUN_KEYS)
    step = STEPS.make(run.step, f"{path}.step")
    oracle = ORACLES.make(run.oracle, f"{path}.oracle")
    with _naming(path):
        taken = problem if run.precision == "float64" else problem.in_float32
    with _naming(f"{path}.oracle"):
        source = oracle.plan(taken, workers)
    with _naming(f"{path}.step"):
        alpha = step.plan(problem.samples)
    return PlannedRun(run, method, oracle, source, alpha, workers, tuple(range(workers)), taken)


class _naming:
    """A context that puts `path` before the key of an InputError raised inside it."""

    def __init__(self, path: str):
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, InputError):
            raise error.inside(self._path) from None


def run_attributes(planned: Plan, run: PlannedRun, known: CertifiedOptimum) -> dict[str, Any]:
    """Return the attributes of a run's group, but for its exchange."""
    return (
        run_settings(planned, run)
        | dict(_noise(run.oracle.assumption4(planned.problem)))
        | dict(_known(known, not planned.problem.says_minimum))
        | (ERRORS if planned.problem.has_rough_part else {})
    )


def run_settings(planned: Plan, run: PlannedRun) -> dict[str, Any]:
    """Return every setting of a run, flat, with dots: what the job says, and the defaults of what it leaves out."""
    experiment, asked = planned.experiment, run.settings
    tables = {
        "problem": {**planned.problem.defaults, **PROBLEMS.filled(experiment.problem)},
        "start": STARTS.filled(experiment.start),
        "oracle": ORACLES.filled(asked.oracle),
        "step": STEPS.filled(asked.step),
    }
    flat = dict(_flatten(tables | METHODS.filled(asked.method, "method")))
    flat |= {"iterations": asked.iterations, "workers": run.workers, "seed": experiment.seed}
    flat |= {"precision": asked.precision}
    rules = {} if asked.stop is None else vars(asked.stop)
    flat |= {f"stop.{name}": limit for name, limit in rules.items() if limit is not None}
    flat |= {"dimension": planned.problem.dimension, "samples": planned.problem.samples or 0}
    return flat


def _noise(noise: Noise) -> Iterator[tuple[str, Any]]:
    """Yield what is known of Assumption 4, as names and values of attributes."""
    yield "noise_independent", noise.independent
    for name in ("sigma2", "p_min", "p_min_literal"):
        constant = getattr(noise, name)
        if constant is not None:
            yield name, constant.value
            yield f"{name}_known", constant.how


def _known(known: CertifiedOptimum, assumed: bool) -> Iterator[tuple[str, Any]]:
    """Yield f* with its error, and L and mu, each with how it is known."""
    yield "f_star", known.minimum.value
    yield "f_star_error", known.minimum.error
    if assumed:
        yield "f_star_assumed", True
    for name, constant in known.constants.items():
        yield name, constant.value
        yield f"{name}_known", constant.how


def _flatten(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the keys of nested tables, joined by dots, with their values."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", in_utf8(value) if isinstance(value, str) else value
