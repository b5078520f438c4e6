"""States on many ranks: their way to the file and back, the room that it takes, and the time."""

import io
import time
import tracemalloc
from collections import deque
from contextlib import nullcontext
from typing import ClassVar

import h5py
import numpy as np
import pytest

from mpisign.aggregation.exchange_registry import exchange_factory
from mpisign.aggregation.server import plan_server
from mpisign.algorithms.methods import EFSign
from mpisign.comm.communicator import SerialCommunicator
from mpisign.engine.checkpointing import Checkpoints
from mpisign.engine.state import at_start, collect, restore
from mpisign.rng import RandomStreams
from mpisign.stop_signals import StopRequested
from mpisign.storage.checkpoint import Checkpoint, Counters, Memories
from mpisign.storage.writer import TrajectoryWriter
from mpisign.tools.dryrun.mock_communicator import MockCommunicator

RESUMED = {"provenance": "{}", "experiment": "", "overrides": "[]", "repeats": (0, 1)}
"""What a job writes of itself into the file that it goes on with."""


@pytest.mark.parametrize(("left", "stops"), [(2.5, True), (40.0, False), (None, False)])
def test_a_run_stops_while_there_is_time_for_what_a_save_takes(left, stops, monkeypatch):
    """A save took 10 s: with less than 30 s left to the job the root asks for a stop, as the signal would."""
    monkeypatch.delenv("SLURM_JOB_END_TIME", raising=False)
    if left is not None:
        monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time() + left)))
    saved = []
    pauses = Checkpoints(SerialCommunicator(), longest_save=lambda: 10.0)
    with pytest.raises(StopRequested, match="SIGUSR1") if stops else nullcontext():
        list(pauses.over(0, 3, saved.append))
    assert saved == [1] * stops
    # Where nothing was saved yet, nothing is known, and the batch script's signal is what there is.
    list(Checkpoints(SerialCommunicator()).over(0, 3, saved.append))


class Hosts(MockCommunicator):
    """A rank whose messages lie in queues by sender and receiver."""

    queues: ClassVar[dict] = {}

    def send(self, words, rank):
        self.queues.setdefault((self.rank, rank), deque()).append(words.copy())

    def receive(self, words, rank):
        words[:] = self.queues[rank, self.rank].popleft()

    def broadcast(self, row):
        if self.root:
            self.queues.setdefault("all", []).append(row.copy())
        else:
            row[:] = self.queues["all"][self.at]
            self.at += 1


@pytest.mark.parametrize("size", [1, 2, 4, 6])
def test_memories_go_from_their_ranks_to_the_file_and_back(size, tmp_path):
    """Five workers' rows on any number of ranks: the file of one process byte for byte, and each row at home again."""
    d, method = 300, EFSign()
    rows = np.random.default_rng(1).standard_normal((5, d))
    Hosts.queues.clear()

    def at(rank, values):
        server = plan_server(method, 5, d, exchange_factory("server", Hosts(rank, size)), RandomStreams(0, 0))
        begin = at_start(method, np.arange(d, dtype=float), server, range(5))
        begin.memory[:, 0] = values[server.hosted.start : server.hosted.stop]
        return begin, server

    def written(name, kept):
        with TrajectoryWriter(tmp_path / name, {}) as writer:
            writer.run("run", {})
            writer.repeat("run", 0, np.arange(3), d, iterates=False).keep(kept)
        return (tmp_path / name).read_bytes()

    for rank in reversed(range(1, size)):
        begin, server = at(rank, rows)
        collect(begin, Counters(), server)
    waiting = {key: list(sent) for key, sent in Hosts.queues.items()}
    begin, server = at(0, rows)
    made = written("ranks.h5", collect(begin, Counters(), server))
    Hosts.queues.update({key: deque(sent) for key, sent in waiting.items()})
    assert collect(begin, Counters(), server).whole().memory.rows.tobytes() == rows.tobytes()  # as teams send it
    whole = Memories(rows.shape, rows)
    assert made == written("alone.h5", Checkpoint(0, Counters(), range(5), begin.x, whole, begin.shared))
    with TrajectoryWriter(tmp_path / "ranks.h5", RESUMED, resume=True) as writer:
        begin, server = at(0, 0 * rows)
        restore(writer.kept("run", 0), begin, server, server._exchange.ranks)
        found = [begin.memory.copy()]
    for rank in range(1, size):
        begin, server = at(rank, 0 * rows)
        server._exchange.ranks.at = 0
        restore(None, begin, server, server._exchange.ranks)
        found.append(begin.memory)
    assert np.concatenate(found).tobytes() == rows.tobytes()


def test_the_root_holds_two_of_many_memories():
    """One that it receives, and one that is written: 160 MB of 80 GB at d = 10^7, M = 1000."""
    d, workers = 100_000, 60

    class Sending(MockCommunicator):
        def receive(self, words, rank):
            words[:] = np.float64(rank).view(np.uint64)

    server = plan_server(EFSign(), workers, d, exchange_factory("server", Sending(0, 1 + workers)), RandomStreams(0, 0))
    begin = at_start(EFSign(), np.zeros(d), server, range(workers))
    with h5py.File(io.BytesIO(), "w") as file:
        dataset = file.create_dataset("memory", (workers, d), np.float64)
        dataset[-1, -1] = 0.0  # its room is HDF5's
        tracemalloc.start()
        collect(begin, Counters(), server).memory.write(dataset)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert dataset[:, 7].tolist() == list(range(1, 1 + workers))
    assert peak < 2 * max(8 * d, 2**22) + 2**16
