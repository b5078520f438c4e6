"""Count the threads that a process computes with, and compute in them, the results in their order."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from typing import Protocol, TypeVar

import numpy as np

from mpisign.config.validation import InputError, shown

T = TypeVar("T")

SETTING = "MPISIGN_THREADS"
"""The variable of the environment that says how many threads each process has."""


class HasCores(Protocol):
    """What is asked of the ranks of a node; see `mpisign.comm.nodes.Nodes`."""

    @property
    def cores_each(self) -> int:
        """Return how many cores each rank has for itself, at least 1."""


def threads(node: HasCores) -> int:
    """Return how many threads this rank computes with; every rank calls it, the first time.

    Args:
        node: The ranks, which know the cores that they share.

    Returns:
        What MPISIGN_THREADS says, or else the cores of the node over its ranks, at least 1.

    Raises:
        InputError: MPISIGN_THREADS is no such number.
    """
    cores = node.cores_each  # before the variable, which some ranks may lack: ranks count their cores together
    return asked() or cores


def asked() -> int | None:
    """Return what MPISIGN_THREADS says, None where it is not set.

    Raises:
        InputError: It is no whole number from 1 to 9999.
    """
    text = os.environ.get(SETTING)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and 0 < len(text) <= 4 and int(text)):
        raise InputError(SETTING, f"expected a whole number from 1 to 9999, got {shown(text)}")
    return int(text)


def in_threads(
    compute: Callable[[int, T], object], work: Iterable[tuple[int, T]], count: int
) -> Iterator[tuple[int, T]]:
    """Yield each of `work` in its order, once compute(item, room) has returned.

    A room may be that of the item `count` places before: it is written again when the next result is asked for.

    Args:
        compute: Writes the result of an item into its room; called by several threads at once where count > 1.
        work: The items, each with its room; taken as they are needed, by the calling thread.
        count: How many threads; with 1 all is done by the calling one.

    Yields:
        An item and its room.
    """
    if count == 1:
        for item, room in work:
            compute(item, room)
            yield item, room
        return
    compute = _with_errors_of_caller(compute)
    begun: deque[tuple[int, T, Future[object]]] = deque()
    try:
        for item, room in work:
            if len(begun) == count:
                yield _first(begun)
            begun.append((item, room, _pool(count).submit(compute, item, room)))
        while begun:
            yield _first(begun)
    finally:  # after an error the others end before their rooms are gone
        wait([done for _, _, done in begun if not done.cancel()])


@cache
def _pool(count: int) -> ThreadPoolExecutor:
    """Return so many threads: to start them takes as long as a slice of a gradient, so that they are kept."""
    return ThreadPoolExecutor(count)


os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked process has none of them


def _first(begun: "deque[tuple[int, T, Future[object]]]") -> tuple[int, T]:
    """Return the first item that was begun, and its room, when it is done."""
    item, room, done = begun.popleft()
    done.result()
    return item, room


def _with_errors_of_caller(compute: Callable[[int, T], object]) -> Callable[[int, T], object]:
    """Return the same with numpy's warnings as they are here: a new thread has numpy's defaults."""
    errors = np.geterr()

    def quietly(item: int, room: T) -> object:
        """Compute one item."""
        with np.errstate(**errors):
            return compute(item, room)

    return quietly
