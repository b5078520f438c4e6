"""A job file (TOML) as frozen settings: what to run, nothing that runs.

Unknown keys, wrong types and impossible values are refused with the key's path, before anything is made.
What a kind of problem, oracle, start, method or step takes besides is checked where that kind is defined.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PlainValidator

from mpisign.config.document import Table, document_of
from mpisign.config.validation import Count, InputError, Positive, make, refuse_unknown, settings, shown


def _group_name(label: str) -> str:
    """Return a label that can name a group of the file; raise ValueError for another one."""
    if not label.strip(". ") or not label.isprintable() or "/" in label:
        raise ValueError("a printable label, more than dots and without /")
    return label


Label = Annotated[str, AfterValidator(_group_name)]


def _name_of_exchange(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("the name of an exchange, such as 'server' or 'auto'")
    return value


@settings
class Log:
    """When a trajectory is recorded: about `points` log-spaced k, or each multiple of `every`, and always 0 and K.

    Attributes:
        points: About how many k are recorded, log-spaced; it counts only where `every` is not given.
        every: Record each multiple of this number instead.
        iterates: Whether x_k is kept with each record.
        clocks: Whether the seconds of each part of an iteration are recorded; every iteration is then interpreted.
    """

    points: Annotated[int, Field(ge=2, le=10**6)] = 200
    every: Count | None = None
    iterates: bool = False
    clocks: bool = False


@settings
class Stop:
    """Rules by which a repeat ends before K: at the first record, before K, at which one of them holds.

    Attributes:
        gap: f(x_k) - f* is at most this.
        gradient: The l1 norm of the exact gradient at x_k is at most this.
        bits: What all workers together have sent and were sent, `bits_up` + `bits_down`, is at least this.
    """

    gap: Positive | None = None
    gradient: Positive | None = None
    bits: Positive | None = None

    def __post_init__(self) -> None:
        if self.gap is self.gradient is self.bits is None:
            raise InputError("", "expected one or more of gap, gradient and bits")


@settings
class Run:
    """One curve: a method with its settings.

    Attributes:
        label: Its name, another one for each run; by default its method's.
        method: The name of a method, whose own settings stand beside it in the run's table.
        step: The step size alpha_k: a table with `kind`, and the settings of that kind.
        oracle: The stochastic gradients: a table with `kind`, and the settings of that kind; at the top of the job, for
            all runs that have none of their own.
        workers: M; by default as many as there are ranks besides rank 0, or 1 in one process.
        iterations: K; at the top of the job, for all runs that have none of their own.
        precision: What x, gradients and messages consist of; records are in float64, and bounds are checked there only.
        stop: Where a repeat ends before K: a table, see `stop`; at the top of the job, for all runs that have none of
            their own.
        earlier: K of the shorter runs that this one went on from, whose log-spaced records it has, too: --resume writes
            it.
    """

    label: Label
    method: Table
    step: Table
    oracle: Table
    workers: Annotated[int, Field(ge=1, le=10**6)] | None = None
    iterations: Count
    precision: Literal["float64", "float32"] = "float64"
    stop: Stop | None = None
    earlier: Annotated[list[Count], Field(min_length=1)] | None = None

    def __post_init__(self) -> None:
        if self.earlier is not None and sorted({*self.earlier, self.iterations}) != [*self.earlier, self.iterations]:
            what = f"expected increasing numbers below iterations = {self.iterations}, got {shown(self.earlier)}"
            raise InputError("earlier", what)


@settings
class Experiment:
    """One problem, and the runs that are compared on it.

    Attributes:
        name: What it is called in the trajectory file, in `info`, and by the report; by default the file's name.
        seed: All randomness is a function of (seed, repeat, worker, k).
        repeats: How often each run is repeated, each time with other random numbers.
        problem: The objective f: a table with `kind`, and the settings of that kind.
        start: The rule for x_0: a table with `kind`, and the settings of that kind.
        log: When a trajectory is recorded: a table, see `[log]`.
        exchange: How messages travel under a launcher, or "auto": the fastest way on the ranks at hand, which is tried
            before a run. It changes no trajectory.
        runs: The runs that are compared, one table `[[runs]]` each.
        text: The job file as it was read.
        overrides: What --set changed in it.
    """

    name: str
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    repeats: Count
    problem: Table
    start: Table
    log: Log
    exchange: Annotated[str, PlainValidator(_name_of_exchange)]
    runs: list[Run]
    text: str
    overrides: list[str]


RUN_KEYS = ("label", "step", "oracle", "workers", "iterations", "precision", "stop", "earlier")
"""The keys of a run that are not its method's."""

_MOST_BYTES = 2**24
"""Of a job file: its size."""

TOP_KEYS = ("name", "seed", "repeats", "iterations", "stop", "exchange", "problem", "oracle", "start", "log", "runs")
"""The keys at the top of a job file."""

_KINDS = {"oracle": {"kind": "full"}, "start": {"kind": "normal"}}
DEFAULTS: Table = {"seed": 1, "repeats": 1, "exchange": "server", **_KINDS}
"""What stands for a key that a job file leaves out."""


def read(path: str | Path, overrides: list[str] | None = None) -> Experiment:
    """Return the experiment in the job file at `path`, after `overrides` such as ``runs.0.step.alpha=0.1``.

    Raises InputError, naming the file and the key.
    """
    path = Path(path)
    try:
        return parse(_text(path), overrides or [], name=path.stem)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(str(path), f"cannot read this job file: {reason}") from None
    except InputError as error:
        raise InputError(str(path), str(error)) from None


def _text(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise InputError("", f"expected a job file of at most {_MOST_BYTES >> 20} MB")
    return content.decode("utf-8-sig").replace("\r\n", "\n")


def parse(text: str, overrides: list[str], name: str = "unnamed") -> Experiment:
    """Return the experiment in a job file's text; raises InputError, naming the key."""
    document = document_of(text, overrides)
    refuse_unknown(document, sorted(TOP_KEYS), "")
    tables = {key: _table(document, key) for key in ("problem", "oracle", "start", "log")}
    if not tables["problem"]:
        raise InputError("problem", "missing; expected a table with the key kind")
    return make(
        Experiment,
        {
            "name": document.get("name", name),
            **{key: document.get(key, DEFAULTS[key]) for key in ("seed", "repeats", "exchange")},
            "problem": tables["problem"],
            "start": tables["start"] or DEFAULTS["start"],
            "log": _log(tables["log"]),
            "runs": _runs(document, tables["oracle"]),
            "text": text,
            "overrides": overrides,
        },
        "",
    )


def difference(one: Experiment, other: Experiment) -> str | None:
    """Return the first key in which two experiments differ, with both values; None for the same trajectories."""
    missing = object()
    these, those = ({key: value for key, value in _flat(_deciding(each)) if value is not None} for each in (one, other))
    for key in these | those:
        here, there = these.get(key, missing), those.get(key, missing)
        if here != there:
            return f"{key} is {'not set' if here is missing else here}, not {'not set' if there is missing else there}"
    return None


def _deciding(experiment: Experiment) -> Table:
    """Return what the trajectories depend on: all but the name, the text and how messages travel."""
    table = asdict(experiment)
    for key in ("name", "text", "overrides", "exchange"):
        del table[key]
    return table


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list) and value:
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def with_workers(experiment: Experiment, workers: Sequence[int]) -> Experiment:
    """Return the same with the M of each run settled."""
    return replace(experiment, runs=[replace(run, workers=m) for run, m in zip(experiment.runs, workers, strict=True)])


def _table(document: Table, key: str) -> Table:
    table = document.get(key, {})
    if not isinstance(table, dict):
        raise InputError(key, f"expected a table, got {shown(table)}")
    return table


def _log(table: Table) -> Log:
    refuse_unknown(table, [field.name for field in fields(Log)], "log")
    return make(Log, table, "log")


def _stop(table: Table, path: str) -> Stop:
    """Return the rules that a table has as `stop`; path: its key in the job."""
    rules = table["stop"]
    if not isinstance(rules, dict):
        raise InputError(path, f"expected a table, got {shown(rules)}")
    refuse_unknown(rules, [field.name for field in fields(Stop)], path)
    return make(Stop, rules, path)


def _runs(document: Table, oracle: Table) -> list[Run]:
    tables = document.get("runs")
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise InputError("runs", "expected one or more [[runs]] tables")
    shared = {"oracle": oracle or DEFAULTS["oracle"]}
    if "iterations" in document:
        shared["iterations"] = document["iterations"]
    if "stop" in document:
        shared["stop"] = _stop(document, "stop")
    runs = [_run(table, shared, f"runs.{index}") for index, table in enumerate(tables)]
    labels = [run.label for run in runs]
    for index, label in enumerate(labels):
        if label in labels[:index]:
            raise InputError(
                f"runs.{index}.label", f"{shown(label)} is the label of an earlier run; labels differ: give it its own"
            )
    return runs


def _run(table: Table, shared: Table, path: str) -> Run:
    """Return what a run's table says of the run itself; its other keys are its method's."""
    arguments = shared | {key: value for key, value in table.items() if key in RUN_KEYS}
    arguments["method"] = {key: value for key, value in table.items() if key not in RUN_KEYS}
    # a missing method is refused by the registry
    arguments.setdefault("label", table["method"] if isinstance(table.get("method"), str) else path)
    if "stop" in table:
        arguments["stop"] = _stop(table, f"{path}.stop")
    if "iterations" not in arguments:
        raise InputError(f"{path}.iterations", "missing; give iterations once at the top of the job, or to each run")
    return make(Run, arguments, path)
