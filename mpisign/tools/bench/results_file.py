"""Read and write what a benchmark found, as JSON: `mpisign-bench/1`."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ConfigDict, TypeAdapter

from mpisign.comm.launcher import cores
from mpisign.config.validation import InputError
from mpisign.tools.bench.timing import Ratio, Time, Traffic, Unmeasured

_SCHEMA = "mpisign-bench/1"
_STRICT = ConfigDict(strict=True, allow_inf_nan=False)
_KINDS = {"ratios": Ratio, "times": Time, "unmeasured": Unmeasured, "traffic": Traffic}


class Record(NamedTuple):
    """What a benchmark found, in the order of measuring.

    Attributes:
        machine: Where it was measured: versions, MPI library, hosts, cores, date.
        ratios: The ratios.
        times: The times.
        unmeasured: What could not be measured, and why.
        traffic: Bytes on links.
    """

    machine: dict[str, Any]
    ratios: list[Ratio]
    times: list[Time]
    unmeasured: list[Unmeasured]
    traffic: list[Traffic]


def write(path: Path, results: Iterable[Ratio | Time | Unmeasured | Traffic], machine: dict[str, str]) -> None:
    """Write what was found; the folder is made."""
    found = list(results)
    document: dict[str, Any] = {"schema": _SCHEMA, "machine": {**machine, "cores": cores()}}
    for key, kind in _KINDS.items():
        document[key] = [result._asdict() for result in found if isinstance(result, kind)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1))


def read(path: Path) -> Record:
    """Read a record that `write` wrote.

    Raises:
        InputError: If the file cannot be read or is no such record.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != _SCHEMA:
            raise ValueError
        rows = (_rows(document, key, kind) for key, kind in _KINDS.items())
        record = Record(dict(document["machine"]), *rows)
        if not _possible(record):
            raise ValueError
        return record
    except OSError as error:
        raise InputError(str(path), f"cannot read this file: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(str(path), "expected a file that `mpisign bench -o` wrote") from None


def _rows(document: dict[str, Any], key: str, kind: type) -> Any:
    """Return the rows of one kind; files of earlier versions have no traffic."""
    rows = document.get(key, []) if kind is Traffic else document[key]
    return TypeAdapter(list[kind], config=_STRICT).validate_python(rows)  # type: ignore[valid-type]


def _possible(record: Record) -> bool:
    """Return whether the numbers of a record can have been measured."""
    times = all(time.ranks > 0 and time.dimension > 0 and min(time.seconds, default=0) > 0 for time in record.times)
    times = times and all(len(each.sent) == len(each.received) > 0 for each in record.traffic)
    cores = record.machine.get("cores")
    return times and isinstance(cores, int) and cores > 0
