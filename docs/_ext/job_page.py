"""Write the page on the job file, key by key, from the settings' own types, defaults and docstrings."""

import inspect
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from docstrings import described, in_the_paper, markdown, prose, table

from mpisign.aggregation.exchange_registry import EXCHANGES
from mpisign.algorithms.initial_points import STARTS
from mpisign.algorithms.methods import METHODS
from mpisign.algorithms.oracles import ORACLES
from mpisign.algorithms.step_sizes import STEPS
from mpisign.cli.list_kinds import AUTO, asked, default_of, values
from mpisign.config import document, experiment
from mpisign.config.experiment import DEFAULTS, RUN_KEYS, TOP_KEYS, Experiment, Log, Run, Stop
from mpisign.config.registry import Registry
from mpisign.data.bundled import BUNDLED
from mpisign.problems import PROBLEMS

EXAMPLE = """\
name = "wine"
seed = 1
repeats = 3
iterations = 200
exchange = "server"
stop = { bits = 1e9 }

[problem]
kind = "logistic"
data = "wine"

[oracle]
kind = "minibatch"
batch = 8

[start]
kind = "normal"

[log]
points = 50

[[runs]]
label = "SGD"
method = "gd"
workers = 3
step = { kind = "constant", alpha = 0.5 }

[[runs]]
label = "scaled signSGD"
method = "scaled-sign"
scale = "l1"
zeros = "exact"
workers = 3
iterations = 400
step = { kind = "harmonic", c = 2.0, k0 = 20.0 }
"""
"""The job at the head of the page."""

_POWERS = {str(2**63): "2^63", str(2**31 - 1): "2^31 - 1"}

_HEAD = """\
# The job file

A job file is an experiment in TOML: one problem, and the runs that are compared on it. This page is made from the
program's own settings when it is built. What a job file gets wrong is refused in one line that names the key, before
anything is written.
"""

_RULES = f"""\
A job file is UTF-8 text of at most {experiment._MOST_BYTES >> 20} MB, with integers of 64 bits and at most
{document._DEEPEST} tables and lists within one another. `--set KEY=VALUE` changes a key from the command line, such
as `--set runs.0.step.alpha=0.1`; runs are numbered from 0. A table of a kind holds the key `kind` (a run: `method`)
and the settings of that kind, and no other key.
"""

_ELSEWHERE = """\
## Kinds from elsewhere

Where a job names a kind it can also give the dotted path of one, `package.module:Name`, a subclass of the base class
or a function whose annotation says that it returns one; or the name of an entry point in the group """

_SECTIONS: tuple[tuple[str, str, Registry[Any]], ...] = (
    ("Methods", "A run names one as `method`, and gives its settings beside it.", METHODS),
    ("Problems", "The table `[problem]`.", PROBLEMS),
    ("Oracles", "The table `[oracle]`, or a run's own `oracle`: how a gradient becomes stochastic.", ORACLES),
    ("Steps", "A run's table `step`: the learning rate alpha_k.", STEPS),
    ("Starts", "The table `[start]`: where each repeat of every run starts.", STARTS),
)


def page() -> str:
    """Return the page."""
    lines = [_HEAD, "```toml", EXAMPLE.rstrip(), "```\n", _RULES, *_top(), *_log(), *_runs(), *_stop()]
    for title, line, registry in _SECTIONS:
        lines += [f"## {title}\n", f"{markdown(line)}\n"]
        for name in built_in(registry):
            lines += _kind(registry, name)
    return "\n".join([*lines, *_exchanges(), *_data_sets(), *_elsewhere()])


def built_in(registry: Registry[Any]) -> list[str]:
    """Return the names that the package itself has: what is installed besides is not on the page."""
    return [name for name in registry if registry.built_in(name) is not None]


def parameters(cls: Any) -> dict[str, inspect.Parameter]:
    """Return the settings of a class, by their names."""
    return dict(inspect.signature(cls).parameters)


def _row(key: str, annotation: Any, default: str, meaning: str) -> tuple[str, ...]:
    kind = "tables" if key == "runs" else "table" if annotation in (Log, Stop | None) else values(annotation)
    for number, power in _POWERS.items():
        kind = kind.replace(number, power)
    return f"`{key}`", f"`{kind}`" if "|" in kind or "[" in kind else markdown(kind), default, markdown(meaning)


def _shown(default: object) -> str:
    words = default_of(default).removeprefix("default ")
    return words if words in ("required", "optional") else f"`{words}`"


def _default_at_top(key: str) -> str:
    if key in DEFAULTS:
        default = DEFAULTS[key]
        if not isinstance(default, dict):
            return f"`{json.dumps(default)}`"
        inner = ", ".join(f"{name} = {json.dumps(value)}" for name, value in default.items())
        return f"`{{ {inner} }}`"
    words = {"name": "the file's name", "log": "its own defaults", "iterations": "required here or in each run"}
    return (words | {"stop": "none"}).get(key, "required")


def _top() -> Iterator[str]:
    """Yield the keys at the top: some are the experiment's, the others are for the runs that have none of their own."""
    yield "## Keys at the top\n"
    rows = []
    for key in TOP_KEYS:
        owner = Experiment if key in parameters(Experiment) else Run
        rows.append(_row(key, parameters(owner)[key].annotation, _default_at_top(key), described(owner, key)))
    yield from table(("key", "type", "default", "meaning"), rows)


def _log() -> Iterator[str]:
    yield "## `[log]`\n"
    yield from (f"{markdown(each)}\n" for each in prose(Log, set()))
    yield from _settings(Log, ((key, each.annotation, each.default) for key, each in parameters(Log).items()))


def _stop() -> Iterator[str]:
    yield "## `stop`\n"
    yield from (f"{markdown(each)}\n" for each in prose(Stop, set()))
    yield "At the top of a job or in a run. The file says which rule has ended a repeat; its datasets end there, too.\n"
    yield from _settings(Stop, ((key, each.annotation, each.default) for key, each in parameters(Stop).items()))


def _runs() -> Iterator[str]:
    own, never = set(RUN_KEYS) & set(TOP_KEYS), [key for key in TOP_KEYS if key not in (*RUN_KEYS, "name", "runs")]
    yield "## `[[runs]]`\n"
    shared = " and ".join(f"`{key}`" for key in sorted(own))
    common = ", ".join(f"`{key}`" for key in never[:-1])
    yield f"One table a curve. A run may have {shared} of its own in place of those at the top; {common} and"
    yield f"`{never[-1]}` are common to all runs of a job: a file compares methods on one problem.\n"
    own_type = {"method": str}  # in the file it is a name; what is read is a table with the method's settings
    defaults = {"label": "the method's name", "oracle": "that at the top", "iterations": "those at the top"}
    defaults |= {"stop": "that at the top"}
    rows = [
        _row(key, own_type.get(key, each.annotation), defaults.get(key, _shown(each.default)), described(Run, key))
        for key, each in parameters(Run).items()
    ]
    yield from table(("key", "type", "default", "meaning"), rows)


def _kind(registry: Registry[Any], name: str) -> Iterator[str]:
    """Yield a kind's section."""
    maker, keys = registry[name], list(asked(registry, name))
    paragraphs = prose(maker, {key for key, _, _ in keys})
    yield f"### `{name}`\n"
    yield from (f"{markdown(each)}\n" for each in paragraphs)
    meanings = [described(maker, key) for key, _, _ in keys]
    if found := in_the_paper(" ".join([*paragraphs, *meanings])):
        yield f"In the paper: {', '.join(found)}.\n"
    yield from _settings(maker, iter(keys))


def _settings(maker: Any, keys: Iterator[tuple[str, Any, object]]) -> Iterator[str]:
    """Yield the table of a maker's settings, or that it has none."""
    rows = [_row(key, annotation, _shown(default), described(maker, key)) for key, annotation, default in keys]
    yield from table(("setting", "type", "default", "meaning"), rows) if rows else ["It has no settings.\n"]


def _exchanges() -> Iterator[str]:
    yield "## Exchanges\n"
    yield "The key `exchange`, or `--exchange`: how messages travel under a launcher; the trajectory is the same by"
    yield "all of them. An exchange has no settings. {doc}`messages` says what each sends.\n"
    for name in built_in(EXCHANGES):
        first, *more = prose(EXCHANGES[name], set())
        text = " ".join([first.removeprefix("Return the "), *more])
        yield f"### `{name}`\n\n{markdown(text[0].upper() + text[1:])}\n"
    yield f"### `auto`\n\n{markdown(AUTO)}\n"


def _data_sets() -> Iterator[str]:
    yield "## Data sets\n"
    yield "What `data` of the problem `logistic` may name besides a file; they come with scikit-learn.\n"
    rows = []
    for name, load in BUNDLED.items():
        features, labels = load()
        n, d = features.shape
        rows.append((f"`{name}`", str(n), str(d), str(int(np.sum(labels > 0))), markdown(load.__doc__ or "")))
    yield from table(("name", "n", "d", "rows with label +1", "what it is"), rows)


def _elsewhere() -> Iterator[str]:
    sorts = [registry.sort for _, _, registry in _SECTIONS] + [EXCHANGES.sort]
    groups = [f"`mpisign.{sort}`" for sort in sorts]
    yield f"{_ELSEWHERE}{', '.join(groups[:-1])} or {groups[-1]}. {{doc}}`api` says what each has to give.\n"
