"""What a script or a notebook calls: experiments from job files or from objects, run, loaded and checked.

import mpisign

experiment = mpisign.load_experiment("job.toml", overrides={"iterations": 100})
results = mpisign.run(experiment)
results["scaled signSGD"].gap
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpisign.algorithms.initial_points import STARTS, InitialPoint
from mpisign.algorithms.methods import METHODS, Method
from mpisign.algorithms.oracles import ORACLES, Oracle
from mpisign.algorithms.step_sizes import STEPS, StepSize
from mpisign.comm.communicator import Communicator
from mpisign.comm.startup import connected, for_jobs
from mpisign.config import experiment as job
from mpisign.config.document import document_of
from mpisign.config.objects import Described, known_settings, table_of, toml
from mpisign.config.validation import InputError
from mpisign.engine import planning, resuming, runner
from mpisign.engine.parallel import processes
from mpisign.engine.parallel.pool import Pool
from mpisign.engine.runner import Mode
from mpisign.problems import PROBLEMS, Problem
from mpisign.storage.output_file import check_output
from mpisign.storage.results import Results, counted
from mpisign.storage.trajectory import Trajectory

if TYPE_CHECKING:
    from mpisign.audit.bounds.verdicts import Verdicts

Table = Mapping[str, Any]


class Run:
    """One curve of an experiment: a method with its step size, and what differs from the other runs.

    Args:
        method: the update rule, such as `mpisign.ScaledSign()`.
        step: the step size, such as `mpisign.Constant(alpha=0.1)`.
        label: its name, by default the method's.
        workers: M; by default as many as there are ranks besides rank 0, or 1 in one process.
        oracle: its stochastic gradients, by default the experiment's.
        iterations: by default the experiment's.
        precision: "float64", the default, or "float32": what x, gradients and messages consist of.
        stop: where a repeat ends early, such as {"gap": 1e-3}.
    """

    def __init__(
        self,
        *,
        method: Method | Table,
        step: StepSize | Table,
        label: str | None = None,
        workers: int | None = None,
        oracle: Oracle | Table | None = None,
        iterations: int | None = None,
        precision: str | None = None,
        stop: Table | None = None,
    ):
        self.method, self.step, self.oracle = method, step, oracle
        self._more: dict[str, Any] = {"label": label, "workers": workers, "iterations": iterations}
        self._more |= {"precision": precision, "stop": stop}

    def table(self, key: str) -> dict[str, Any]:
        """Return the run as a table of a job file; key: its place in the experiment, for complaints."""
        own = {name: value for name, value in self._more.items() if value is not None}
        own |= table_of(self.method, METHODS, f"{key}.method", kind="method")
        own["step"] = table_of(self.step, STEPS, f"{key}.step")
        if self.oracle is not None:
            own["oracle"] = table_of(self.oracle, ORACLES, f"{key}.oracle")
        return own


class Experiment:
    """One problem, and the runs that are compared on it; the same checks and messages as those of a job file.

    Args:
        problem: such as `mpisign.Logistic(data="digits")`, or a `Problem` of your own.
        runs: the curves.
        iterations: K, for the runs that do not say their own.
        repeats: how often each run is repeated, with other random numbers.
        seed: of all random numbers.
        oracle: the stochastic gradients of the runs that do not say their own; by default exact ones.
        start: the rule for x_0, by default N(0, I).
        log: what is recorded, such as {"every": 1, "iterates": True}; see `mpisign.config.experiment.Log`.
        exchange: how messages travel.
        name: the experiment's.

    Raises:
        InputError: something does not fit; it names the key.
    """

    def __init__(
        self,
        *,
        problem: Problem | Described | Table,
        runs: Sequence[Run | Table],
        iterations: int | None = None,
        repeats: int = 1,
        seed: int = 1,
        oracle: Oracle | Table | None = None,
        start: InitialPoint | Table | None = None,
        log: Table | None = None,
        exchange: str = "server",
        name: str = "unnamed",
    ):
        document: dict[str, Any] = {"name": name, "seed": seed, "repeats": repeats, "exchange": exchange}
        if iterations is not None:
            document["iterations"] = iterations
        self._made = problem if isinstance(problem, Problem) and not known_settings(problem) else None
        document["problem"] = (
            {"kind": _path_of(type(problem))} if self._made is not None else table_of(problem, PROBLEMS, "problem")
        )
        document |= {} if oracle is None else {"oracle": table_of(oracle, ORACLES, "oracle")}
        document |= {} if start is None else {"start": table_of(start, STARTS, "start")}
        if log is not None:
            document["log"] = dict(log)
        document["runs"] = [_run_table(run, f"runs.{i}") for i, run in enumerate(runs)]
        self._settings = job.parse(toml(document), [], name)

    @classmethod
    def _of(cls, settings: job.Experiment) -> "Experiment":
        made = cls.__new__(cls)
        made._settings, made._made = settings, None
        return made

    @property
    def settings(self) -> job.Experiment:
        """What a job file's text becomes: tables of plain values."""
        return self._settings

    @property
    def made(self) -> Problem | None:
        """The problem, where it is an object that no job file can describe, such as one with arrays of yours."""
        return self._made

    def to_toml(self) -> str:
        """Return the experiment as the text of a job file, which gives the same trajectories.

        Raises:
            InputError: the problem is an object whose settings are not known.
        """
        if self._made is not None:
            table_of(self._made, PROBLEMS, "problem")  # it says what is missing
        if not self._settings.overrides:
            return self._settings.text
        return toml(document_of(self._settings.text, self._settings.overrides))

    def __repr__(self) -> str:
        found = self._settings
        labels = ", ".join(repr(run.label) for run in found.runs)
        return f"<experiment {found.name}: {found.problem.get('kind')}, {counted(found.repeats, 'repeat')} of {labels}>"


def _path_of(maker: type[object]) -> str:
    """Return what a job file would call a class."""
    return f"{maker.__module__}:{maker.__qualname__}"


def _run_table(run: Run | Table, key: str) -> dict[str, Any]:
    if isinstance(run, Run):
        return run.table(key)
    if isinstance(run, Mapping):
        return dict(run)
    raise InputError(key, f"expected a Run or a table, got {type(run).__name__}")


def load_experiment(path: str | Path, overrides: Mapping[str, object] | None = None) -> Experiment:
    """Return the experiment in a job file.

    Args:
        path: the job file (TOML).
        overrides: keys with dots, such as "runs.0.step.alpha", and the values to put there, as --set does.

    Raises:
        InputError: the file cannot be read, or something in it does not fit; it names the file and the key.
    """
    changes = [f"{key}={_value(value, key)}" for key, value in (overrides or {}).items()]
    return Experiment._of(job.read(Path(path), changes))


def _value(value: object, key: str) -> str:
    """Return a value as TOML has it behind the equals sign."""
    text = toml({"value": value}, key)
    if not text.startswith("value = "):
        raise InputError(key, "expected a single value; give the keys of a table one by one")
    return text.removeprefix("value = ").strip()


def run(
    experiment: Experiment,
    output: str | Path | None = None,
    *,
    mode: Mode = "create",
    repeats: range | None = None,
    progress: bool = True,
    jobs: int = 1,
) -> Results | None:
    """Run an experiment, in this process or, under a launcher, on all of its ranks, which all call this.

    Args:
        experiment: what to run.
        output: the trajectory file to write; None: the results are kept in memory alone.
        mode: what becomes of a file that is there: "create" refuses it, "overwrite" replaces it, "resume" goes on
            with it.
        repeats: the numbers of the repeats to run; by default all of the experiment.
        progress: whether progress is shown.
        jobs: by how many processes of this machine the repeats are run, side by side; they find every kind of the
            experiment as a job file does, by its name or its module.

    Returns:
        The results; None on the ranks but rank 0.

    Raises:
        InputError: something does not fit; it names the key or the file.
        StopRequested: SIGTERM or SIGUSR1 asked for a stop; what was run is in the file.
    """
    settings = experiment.settings
    chosen = range(settings.repeats) if repeats is None else repeats
    if not (chosen and chosen.step == 1 and chosen.start >= 0 and chosen.stop <= settings.repeats):
        raise InputError("repeats", f"expected a range within range(0, {settings.repeats}), got {chosen}")
    processes.check_jobs(jobs, settings, experiment.made)
    with for_jobs(jobs, connected()) as ranks, Pool(min(jobs, len(chosen) * len(settings.runs))) as helpers:
        start = partial(runner.run, quiet=not progress, pool=helpers)
        if output is None:
            return _run_in_memory(experiment, chosen, ranks, start)
        wrote = _run_to_file(experiment, Path(output), mode, chosen, repeats, ranks, start)
        return load(output) if wrote else None


def _run_in_memory(
    experiment: Experiment, repeats: range, ranks: Communicator, start: Callable[..., object]
) -> Results | None:
    buffer = BytesIO()
    start(_plan(experiment, ranks), ranks, buffer, repeats)
    return Results(Trajectory.of_buffer(buffer, experiment.settings.name)) if ranks.root else None


def _run_to_file(
    experiment: Experiment,
    path: Path,
    mode: Mode,
    repeats: range,
    asked: range | None,
    ranks: Communicator,
    start: Callable[..., object],
) -> bool:
    """Run it, and return whether this is the rank that wrote the file; asked: the repeats that the caller named."""
    if mode == "resume" and experiment.made is not None:
        raise InputError("mode", "expected create or overwrite: the file cannot say what the problem's settings are")
    there = ranks.raise_collectively(lambda: ranks.root and _checked(path, mode))
    if mode == "resume" and ranks.broadcast_bool(there):
        plan, repeats = resuming.planned(path, experiment.settings, asked, ranks)
    else:
        plan, mode = _plan(experiment, ranks), "overwrite" if mode == "resume" else mode
    start(plan, ranks, path, repeats, mode)
    return ranks.root


def _plan(experiment: Experiment, ranks: Communicator) -> planning.Plan:
    return ranks.raise_collectively(lambda: planning.plan(experiment.settings, ranks, experiment.made))


def _checked(path: Path, mode: Mode) -> bool:
    """Return whether the file is there; raise InputError where it cannot be written."""
    check_output(path, mode != "create", 'give mode="resume" to go on with it, or mode="overwrite" to replace it')
    return path.exists()


def load(path: str | Path) -> Results:
    """Return the results in a trajectory file, with its iterates; raise InputError where it is none."""
    return Results(Trajectory(Path(path), iterates=True))


def check(results: Results, level: float = 0.05, **constants: float) -> "Verdicts":
    """Hold every run against each bound that speaks of it, printed and corrected, as `mpisign check` does.

    Args:
        results: those of `run` or `load`.
        level: the false-alarm rate of each verdict.
        constants: mu, L, sigma2 or p_min, in place of what the file says.

    Returns:
        A list of `mpisign.audit.bounds.BoundCheck`.

    Raises:
        InputError: no bound speaks of a run, or a constant is impossible.
    """
    from mpisign.audit import bounds  # slow to import
    from mpisign.audit.bounds.verdicts import Verdicts

    return Verdicts(bounds.check(results.trajectory, constants, level))
