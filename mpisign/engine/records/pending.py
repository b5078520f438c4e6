"""Records that a stop leaves unevaluated: kept in the state, and evaluated by the job that goes on from it."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from mpisign.arrays import Floats, Signs
from mpisign.comm.communicator import Communicator
from mpisign.storage.checkpoint import Pending
from mpisign.storage.trajectory import CLOCKS

Row: TypeAlias = dict[str, float]
"""What is known of a record before f is evaluated there."""


def pending_of(rows: Sequence[Row], points: Floats, signs: Signs) -> Pending:
    """Return records as a state keeps them: with copies of their points and signs, without this job's clocks."""
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0] if name not in CLOCKS}
    return Pending(points.copy(), signs.copy(), columns)


def hand_out(
    pending: Pending | None,
    ranks: Communicator,
    points: Floats,
    signs: Signs,
    written: int,
    clocks: Mapping[str, float],
) -> list[Row]:
    """Put the records of a state into their places in a block, on every rank; every rank calls it.

    Args:
        pending: the records, on the root; None elsewhere, and where there are none.
        ranks: the ranks.
        points: the block's points, shape (r, d).
        signs: what the server answered there, shape (r, d); needed on the root alone.
        written: how many records lie before them.
        clocks: what this rank has spent in this job, which is nothing yet.

    Returns:
        What is known of each record, on the root; elsewhere as many rows.
    """
    count = np.array([0 if pending is None else len(pending.points)], dtype=np.uint64)
    ranks.broadcast(count)
    if not count[0]:
        return []
    first = written % len(points)
    places = slice(first, first + int(count[0]))
    if pending is not None:
        points[places], signs[places] = pending.points, pending.signs
    ranks.broadcast(points[places].view(np.uint64))
    if pending is None:
        return [dict(clocks) for _ in range(int(count[0]))]
    names, columns = list(pending.columns), (column.tolist() for column in pending.columns.values())
    return [dict(zip(names, values, strict=True)) | dict(clocks) for values in zip(*columns, strict=True)]
