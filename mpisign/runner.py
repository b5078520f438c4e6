"""An experiment, run: everything is made and checked first, then each run's repeats go through the loop."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from mpisign import loop
from mpisign.choice import Choice, choose
from mpisign.exchanges import Meeting, meeting
from mpisign.experiment import RUN_KEYS, Experiment, Run
from mpisign.methods import METHODS, Method
from mpisign.optimum import Known, optimum
from mpisign.oracles import ORACLES, Oracle, Source
from mpisign.problems import PROBLEMS, Problem
from mpisign.progress import Progress
from mpisign.provenance import provenance
from mpisign.randomness import Draws
from mpisign.ranks import Ranks
from mpisign.recorder import Evaluation, Recorder, schedule
from mpisign.server import SERVERS, Server
from mpisign.settings import BadInput
from mpisign.starts import STARTS, Start
from mpisign.steps import STEPS
from mpisign.theory.noise import Noise
from mpisign.trajectory import TrajectoryWriter


class PlannedRun(NamedTuple):
    """A run whose kinds are made."""

    settings: Run
    method: Method
    oracle: Oracle
    source: Source
    step: Callable[[int], float]
    workers: int


class Plan(NamedTuple):
    """An experiment whose kinds are made: nothing in it can be refused any more."""

    experiment: Experiment
    problem: Problem
    start: Start
    runs: list[PlannedRun]


def plan(experiment: Experiment, ranks: Ranks) -> Plan:
    """Make the problem, the start and every run; raises BadInput, naming the key."""
    problem = PROBLEMS.make(experiment.problem, "problem", share=ranks.share)
    start = STARTS.make(experiment.start, "start")
    with _naming("start"):
        start.point(problem.dimension, Draws(experiment.seed, 0))
    default_workers = max(1, ranks.size - 1)
    runs = [_plan_run(run, problem, default_workers, f"runs.{i}") for i, run in enumerate(experiment.runs)]
    return Plan(experiment, problem, start, runs)


def _plan_run(run: Run, problem: Problem, default_workers: int, path: str) -> PlannedRun:
    workers = run.workers or default_workers
    method = METHODS.make(run.method, path, kind="method", also=RUN_KEYS)
    step = STEPS.make(run.step, f"{path}.step")
    oracle = ORACLES.make(run.oracle, f"{path}.oracle")
    with _naming(f"{path}.oracle"):
        source = oracle.plan(problem, workers)
    with _naming(f"{path}.step"):
        alpha = step.plan(problem.samples)
    return PlannedRun(run, method, oracle, source, alpha, workers)


class _naming:
    """Complaints raised inside name their key below `path`."""

    def __init__(self, path: str):
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, BadInput):
            raise error.inside(self._path) from None


def run(planned: Plan, ranks: Ranks, output: Path, repeats: range) -> None:
    """Run everything and write the trajectory file at `output`, on rank 0, over what may be there."""
    # More BLAS threads would add in another order; a run that diverges is recorded, not warned of.
    with threadpool_limits(limits=1), np.errstate(over="ignore", invalid="ignore"):
        total = sum(run.settings.iterations for run in planned.runs) * len(repeats)
        origin = provenance(ranks)
        known = optimum(planned.problem, ranks)
        with ExitStack() as stack:
            progress = stack.enter_context(Progress(total, quiet=not ranks.root))
            writer = stack.enter_context(_create(planned, output, origin)) if ranks.root else None
            for run in planned.runs:
                choice = _choice(planned, run, ranks)
                if writer is not None and known is not None:
                    attributes = _attributes(planned, run) | {"exchange": choice.exchange}
                    writer.run(run.settings.label, attributes | dict(_known(known)))
                for number in repeats:
                    progress.at(f"{run.settings.label}, repeat {number}")
                    _repeat(planned, run, number, meeting(choice.exchange, ranks), ranks, writer, progress)


def _choice(planned: Plan, run: PlannedRun, ranks: Ranks) -> Choice:
    """The run's exchange; where it was chosen, the root says why."""
    asked = planned.experiment.exchange
    choice = choose(asked, ranks, lambda meet: _server(run, planned.problem, meet, Draws(0, 0)))
    if asked == "auto" and ranks.root:
        print(f"{run.settings.label}: exchange {choice.exchange}; {choice.why}", flush=True)
    return choice


def _repeat(
    planned: Plan,
    run: PlannedRun,
    number: int,
    meet: Meeting,
    ranks: Ranks,
    writer: TrajectoryWriter | None,
    progress: Progress,
) -> None:
    problem, log = planned.problem, planned.experiment.log
    draws = Draws(planned.experiment.seed, number)
    x = planned.start.point(problem.dimension, draws)
    ks = schedule(log, run.settings.iterations)
    sink = None
    if writer is not None:
        sink = writer.repeat(run.settings.label, number, ks, problem.dimension, log.iterates)
    with _server(run, problem, meet, draws) as server:
        recorder = Recorder(Evaluation(problem, ranks, len(ks)), server, ks, sink, log.iterates)
        iterations = run.settings.iterations
        repeat = loop.Repeat(run.method, run.source, run.step, iterations, server, draws, recorder, progress)
        x = server.keep(x)
        diverged_at = loop.iterate(repeat, x)
        if sink is not None:
            sink.finish(x, diverged_at)


def _server(run: PlannedRun, problem: Problem, meet: Meeting, draws: Draws) -> Server:
    return SERVERS[run.method.message](meet, run.workers, problem.dimension, run.method.zeros, draws)


def _create(planned: Plan, output: Path, origin: dict[str, str]) -> TrajectoryWriter:
    experiment = planned.experiment
    data = {"data_sha256": planned.problem.data_sha256()}
    return TrajectoryWriter(output, experiment.text, experiment.overrides, origin | data)


def _attributes(planned: Plan, run: PlannedRun) -> dict[str, Any]:
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
    return flat | dict(_noise(run.oracle.assumption4(planned.problem)))


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
