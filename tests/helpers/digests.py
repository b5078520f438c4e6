"""What runs that have to be the same are compared by, and what they should be tried with."""

import hashlib

import h5py
import numpy as np

from mpisign.algorithms.methods import METHODS
from mpisign.storage.trajectory import Trajectory

ZEROS = ("exact", "coin", "plus")


def policies(method):
    """The zeros policies of a method: all three where it has the key."""
    return ZEROS if "zeros" in METHODS[method].__dataclass_fields__ else ("exact",)


def digests(path, states=True):
    """Every dataset except `seconds`, and every sha256, by their place in the file; states: theirs too."""
    found = {}

    def visit(name, item):
        if "/state/" in name and not states:
            return
        if isinstance(item, h5py.Dataset) and not name.endswith("/seconds"):
            found[name] = hashlib.sha256(np.ascontiguousarray(item[()]).tobytes()).hexdigest()
        elif "sha256" in item.attrs:
            found[name] = item.attrs["sha256"]

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def records(path):
    """How many records a trajectory file has."""
    return sum(len(repeat.columns["k"]) for run in Trajectory(path) for repeat in run.repeats)
