"""What a benchmark found, as JSON: `mpisign-bench/1`."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from mpisign.bench.timing import Ratio, Time, Unmeasured
from mpisign.launcher import cores
from mpisign.settings import BadInput

_SCHEMA = "mpisign-bench/1"
_KINDS = {"ratios": Ratio, "times": Time, "unmeasured": Unmeasured}


class Record(NamedTuple):
    """machine: where it was measured: versions, MPI library, hosts, cores, date. The rest in the order of measuring."""

    machine: dict[str, Any]
    ratios: list[Ratio]
    times: list[Time]
    unmeasured: list[Unmeasured]


def write(path: Path, results: Iterable[Ratio | Time | Unmeasured], machine: dict[str, str]) -> None:
    """Write what was found; the folder is made."""
    found = list(results)
    document: dict[str, Any] = {"schema": _SCHEMA, "machine": {**machine, "cores": cores()}}
    for key, kind in _KINDS.items():
        document[key] = [result._asdict() for result in found if isinstance(result, kind)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1))


def read(path: Path) -> Record:
    """A record that `write` wrote; raises BadInput."""
    try:
        document = json.loads(path.read_text())
        if document["schema"] != _SCHEMA:
            raise ValueError
        return Record(document["machine"], *([kind(**row) for row in document[key]] for key, kind in _KINDS.items()))
    except OSError as error:
        raise BadInput(str(path), f"cannot read this file: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise BadInput(str(path), "expected a file that `mpisign bench -o` wrote") from None
