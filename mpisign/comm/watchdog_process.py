"""The watchdog of a machine's ranks, a process of its own (`mpisign.comm.watchdog`); it imports nothing slow to start.

    python watchdog_process.py PAGE RANK:PROCESS...     PAGE: the descriptor of the ranks' page

The first rank that is gone without having left is named, with where it was. If the launcher lets the others wait for
ever, as srun may, they are ended.
"""

import mmap
import os
import platform
import select
import signal
import sys
import time
from contextlib import suppress

LINE = 64
"""Bytes of a rank in the page: whether it has left, then k, both of 8 bytes."""

TEXT = 512
"""Bytes for what a rank does; the texts of all ranks stand behind their lines."""

RUNNING, LEFT, FAILED = 0, 1, 2
"""What a rank says of itself; one that failed says why, and is not spoken for."""

_LAUNCHER = 1.0
"""Seconds that the launcher has to end the other ranks."""


def main(page: mmap.mmap, ranks: list[tuple[int, int]]) -> None:
    """Wait for the end of all ranks; `ranks`: their numbers and processes."""
    descriptors = {os.pidfd_open(process): i for i, (_, process) in enumerate(ranks)}
    # epoll tells of them in the order in which they ended: a launcher may have killed the others before this wakes up.
    ends = select.epoll()
    for descriptor in descriptors:
        ends.register(descriptor, select.EPOLLIN)
    while descriptors:
        for descriptor, _ in ends.poll():
            i = descriptors.pop(descriptor)
            ends.unregister(descriptor)
            states = [_word(page, LINE * j) for j in range(len(ranks))]
            # The page outlives the rank: its last state says whether it left or was killed.
            if states[i] == RUNNING:
                if FAILED not in states:
                    text = LINE * len(ranks) + TEXT * i
                    _say(ranks[i], _word(page, LINE * i + 8), page[text : text + TEXT])
                _end(ends, list(descriptors))
                return


def _word(page: mmap.mmap, start: int) -> int:
    """Return the unsigned number in the 8 bytes of the page from `start` on."""
    return int.from_bytes(page[start : start + 8], sys.byteorder)


def _say(rank: tuple[int, int], k: int, what: bytes) -> None:
    """Write to standard error which rank is gone, and where it was."""
    who = f"rank {rank[0]} (process {rank[1]} on {platform.node()})"
    where = what.rstrip(b"\0").decode(errors="ignore")  # a long one is cut, perhaps inside of a letter
    if where:
        line = f"mpisign: {who} is gone, {where}, past iteration k = {k}; --resume goes on from the last checkpoint\n"
    else:
        line = f"mpisign: {who} is gone, before the first repeat; the same command starts again\n"
    os.write(2, line.encode())


def _end(ends: "select.epoll", descriptors: list[int]) -> None:
    """Give the launcher its time to end the other ranks, then kill those that are left."""
    late = time.monotonic() + _LAUNCHER
    while descriptors and time.monotonic() < late:
        for descriptor, _ in ends.poll(0.01):
            ends.unregister(descriptor)
            descriptors.remove(descriptor)
    for descriptor in descriptors:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)


if __name__ == "__main__":
    pairs = (pair.split(":") for pair in sys.argv[2:])
    main(mmap.mmap(int(sys.argv[1]), 0), [(int(rank), int(process)) for rank, process in pairs])
