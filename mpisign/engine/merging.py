"""Merge slices of one experiment, each with some of its repeats, into one file: copied, or as a view of the slices."""

import json
import os
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from mpisign.config.experiment import difference
from mpisign.config.validation import InputError, in_utf8
from mpisign.engine.embedded_experiment import carried, resolved
from mpisign.storage.output_file import lock_output
from mpisign.storage.trajectory import RunRecord, Trajectory
from mpisign.storage.writer import TrajectoryWriter

_OWN = ("exchange",)
"""Attributes of a run in which slices may differ."""

_DEFAULTED = ("problem.", "start.", "oracle.", "step.")
"""Tables whose defaults an older version did not write.

Where a key of theirs is missing in one file, the experiments are the same nevertheless.
"""


def merge(output: Path, inputs: list[Path], virtual: bool = False) -> None:
    """Write the file at `output` with every repeat of the experiment whose slices are `inputs`.

    Args:
        output: the file to write.
        inputs: the slices.
        virtual: whether the datasets are views of those of the inputs, which have to stay where they are, seen from
            the output.

    Raises:
        InputError: the inputs are not slices of one experiment, or repeats are missing, unfinished or there twice;
            the message names them.
    """
    for path in inputs if virtual else ():
        _refuse_a_name(path, output)
    with lock_output(output):
        slices = [Trajectory(path) for path in inputs]
        for other in slices[1:]:
            _refuse_another_experiment(slices[0], other)
        _refuse_gaps(slices)
        with TrajectoryWriter(output, _header(slices)) as writer:
            for run in slices[0]:
                writer.run(run.label, run.attributes)
                for number, source in _in_order(run.label, slices):
                    writer.copy(run.label, number, source.path, virtual)


def _refuse_a_name(path: Path, output: Path) -> None:
    """Raise InputError if the slice's name, seen from the output, is not UTF-8: so a view keeps it, as HDF5 does."""
    name = os.path.relpath(path, output.parent)
    if name != in_utf8(name):
        raise InputError(str(path), "expected a name in UTF-8, which a view keeps; rename it, or leave out --virtual")


def _refuse_another_experiment(one: Trajectory, other: Trajectory) -> None:
    """Raise InputError if the slices' experiments, their data or their runs' attributes differ."""
    if apart := difference(resolved(carried(one)), resolved(carried(other))):
        raise InputError(str(other.path), f"another experiment than {one.path}: there {apart} as here")
    if one.provenance.get("data_sha256") != other.provenance.get("data_sha256"):
        raise InputError(str(other.path), f"made from other data than {one.path}")
    for run, same in zip(one, other, strict=True):
        _refuse_other_attributes(one, other, run, same)


def _refuse_other_attributes(one: Trajectory, other: Trajectory, run: RunRecord, same: RunRecord) -> None:
    """Raise InputError if an attribute of a run differs between two slices, but for those in which it may."""
    for name in run.attributes | same.attributes:
        here, there = (attributes.get(name, "missing") for attributes in (run.attributes, same.attributes))
        # A list, such as eigenvalues, is an array: it is not compared with a word.
        older = name.startswith(_DEFAULTED) and not (name in run.attributes and name in same.attributes)
        if name not in _OWN and not older and not np.array_equal(here, there):
            raise InputError(str(other.path), f"{run.label!r} has {name} = {there}, but in {one.path} it is {here}")


def _refuse_gaps(slices: list[Trajectory]) -> None:
    """Raise InputError if a repeat of the experiment is in two slices, or in none."""
    wanted = set(range(carried(slices[0]).repeats))
    for label in (run.label for run in slices[0]):
        found = _in_order(label, slices)
        for (number, one), (next_number, other) in pairwise(found):
            if number == next_number:
                raise InputError(str(other.path), f"repeat {number} of {label!r} is in {one.path}, too")
        if missing := wanted - {number for number, _ in found}:
            which = f"the repeats {_listed(missing)} are" if len(missing) > 1 else f"repeat {_listed(missing)} is"
            raise InputError("inputs", f"of {label!r} {which} missing")


def _in_order(label: str, slices: list[Trajectory]) -> list[tuple[int, Trajectory]]:
    """Return the numbers of a run's repeats, increasing, and the slice in which each is.

    Raises:
        InputError: a repeat is unfinished.
    """
    found = []
    for source in slices:
        for repeat in next(run for run in source if run.label == label).repeats:
            if repeat.status == "running":
                unfinished = f"repeat {repeat.number} of {label!r} is unfinished: give its job --resume"
                raise InputError(str(source.path), unfinished)
            found.append((repeat.number, source))
    return sorted(found, key=itemgetter(0))


def _listed(numbers: set[int]) -> str:
    """Return sorted numbers as text, such as "3, 5 to 7"."""
    groups = groupby(enumerate(sorted(numbers)), key=lambda pair: pair[1] - pair[0])
    blocks = [[number for _, number in block] for _, block in groups]
    return ", ".join(f"{block[0]} to {block[-1]}" if len(block) > 1 else str(block[0]) for block in blocks)


def _header(slices: list[Trajectory]) -> dict[str, Any]:
    """Return the merged file's attributes: the first slice's, and the provenance of all."""
    first, resumed = slices[0], [origin for source in slices for origin in source.resumed]
    header = {
        "name": first.name,
        "experiment": first.experiment,
        "overrides": json.dumps(first.overrides),
        "repeats": (0, carried(first).repeats),
        "provenance": json.dumps(first.provenance, indent=1),
        "merged": json.dumps([{"file": source.path.name} | source.provenance for source in slices], indent=1),
    }
    return header | ({"resumed": json.dumps(resumed, indent=1)} if resumed else {})
