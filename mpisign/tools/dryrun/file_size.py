"""Estimate the size of the trajectory file, whose repeats are written by their own writer, in memory and cut short."""

from typing import Any

import h5py
import numpy as np

from mpisign.comm.communicator import SerialCommunicator
from mpisign.config.validation import one_line
from mpisign.engine.planning import MOST_STATE, Plan, PlannedRun, run_settings, state_bytes
from mpisign.engine.records.schedule import schedule_of
from mpisign.storage import checksum
from mpisign.storage.checkpoint import Checkpoint, Counters, Memories, add_column, write_state
from mpisign.storage.provenance import provenance, sites
from mpisign.storage.repeat_datasets import create_datasets
from mpisign.storage.trajectory import CLOCKS, COLUMNS, sha256

_RECORDS, _COORDINATES = 64, 8
"""What is written of a repeat; the rest is as long as numbers are."""

_FEW, _MANY = 4, 8
"""Repeats that are written; each one more takes the same, but for HDF5's own bookkeeping of many."""
_BOOKKEEPING = 1.05

_CONSTANTS = 16
"""Attributes of a run besides its settings, at most: f*, the constants, and how each is known."""


def size(plan: Plan, repeats: int) -> int:
    """Return the most bytes of a file in which every repeat reaches its end."""
    few = _written(plan, min(repeats, _FEW))
    each = (_written(plan, _MANY) - few) / (_MANY - _FEW) if repeats > _FEW else 0.0
    return int(_BOOKKEEPING * (few + max(repeats - _FEW, 0) * each)) + checksum.BYTES


def state(plan: Plan) -> int:
    """Return the bytes of the largest state a repeat resumes from: x, and what the method keeps for all workers."""
    return max(state_bytes(run, plan.problem.dimension) for run in plan.runs)


def _written(plan: Plan, repeats: int) -> int:
    """Return the bytes of a file with so many repeats."""
    left_out = 0
    with h5py.File("forecast", "w", driver="core", backing_store=False) as file:
        file.create_group("runs", track_order=True)
        file.attrs["experiment"], file.attrs["overrides"] = plan.experiment.text, str(plan.experiment.overrides)
        file.attrs["name"] = one_line(plan.experiment.name)
        file.attrs["provenance"] = str(provenance(SerialCommunicator(), sites(SerialCommunicator())))
        for run in plan.runs:
            group = file.create_group(f"runs/{run.settings.label}", track_order=True)
            group.attrs.update(_attributes(plan, run))
            for number in range(repeats):
                left_out += _repeat(group.create_group(f"repeats/{number:04d}"), plan, run)
        file.flush()
        return len(file.id.get_file_image()) + left_out


def _repeat(group: h5py.Group, plan: Plan, run: PlannedRun) -> int:
    """Write a short repeat; return how many bytes of numbers were left out."""
    log, dimension = plan.experiment.log, plan.problem.dimension
    ks = schedule_of(log, run.settings)
    short, narrow = ks[:_RECORDS], min(dimension, _COORDINATES)
    create_datasets(group, short, narrow, log.iterates)
    for name in COLUMNS:
        group[name][...] = 0
    if log.iterates:
        group["x"][...] = 0.0
    group.attrs.update({"status": "complete", "records": len(short), "sha256": sha256(np.zeros(narrow))})
    group.attrs["columns_sha256"] = group.attrs["sha256"]  # as long
    for name in CLOCKS if log.clocks else ():
        add_column(group, name)
        group[name][...] = 0.0
    numbers = (len(ks) - len(short)) * (len(COLUMNS) + len(CLOCKS) * log.clocks)
    if log.iterates:  # x, and the numbers of its coordinates
        numbers += len(ks) * dimension - len(short) * narrow + dimension - narrow
    if (kept := state_bytes(run, dimension)) <= MOST_STATE:
        few, none = np.zeros(min(kept // 8, _COORDINATES)), Memories((run.workers, 0), ())
        write_state(group, Checkpoint(run.settings.iterations, Counters(), range(run.workers), few, none, np.zeros(0)))
        numbers += kept // 8 - len(few)
    return 8 * numbers


def _attributes(plan: Plan, run: PlannedRun) -> dict[str, Any]:
    """Return as many attributes as a run's group will have, and as long."""
    return run_settings(plan, run) | {f"constant_{i}_known": "estimate" for i in range(_CONSTANTS)}
