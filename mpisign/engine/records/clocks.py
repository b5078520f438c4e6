"""Clock the parts of an iteration: each part's seconds end where those of the next one begin, so that they add up."""

import time
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from mpisign.aggregation.server import Server
from mpisign.algorithms.methods import Method
from mpisign.algorithms.oracles import Source
from mpisign.arrays import Floats
from mpisign.comm.collectives import Collectives
from mpisign.storage.trajectory import PHASES

GRADIENT, ENCODE, EXCHANGE, STEP, EVALUATION, WRITING = range(len(PHASES))


class NoClocks:
    """Clocks that are off.

    Attributes:
        on: whether times are taken.
    """

    on = False

    def start(self) -> None:
        """Do nothing."""

    def lap(self, phase: int) -> None:
        """Do nothing."""

    def own(self) -> dict[str, float]:
        """Return nothing."""
        return {}

    def columns(self, rows: Floats) -> dict[str, Floats]:
        """Return nothing."""
        return {}

    def totals(self) -> Floats:
        """Return nothing."""
        return np.zeros(0)


OFF = NoClocks()


class Clocks(NoClocks):
    """The seconds that a rank has spent on each of PHASES, and the most that any rank with workers has.

    Args:
        ranks: the ranks.
        hosts: whether this rank hosts workers.
        records: how many records are looked at together, at most.
        earlier: the totals of the jobs that this one goes on from, on the root.
    """

    on = True

    def __init__(self, ranks: Collectives, hosts: bool, records: int, earlier: Floats | None = None):
        self._ranks, self._hosts, self._at = ranks, hosts, 0
        self._spent = [0] * len(PHASES)
        self._table = ranks.table(records, len(PHASES))
        self._earlier: Floats = np.zeros((2, len(PHASES)))
        if earlier is not None and len(earlier):
            self._earlier += np.reshape(earlier, (2, -1))

    def start(self) -> None:
        """Begin a part."""
        self._at = time.perf_counter_ns()

    def lap(self, phase: int) -> None:
        """End a part, whose time it is since the last one ended."""
        now = time.perf_counter_ns()
        self._spent[phase] += now - self._at
        self._at = now

    def own(self) -> dict[str, float]:
        """Return what this rank has spent by now, in this job."""
        return {f"clock_{name}": spent * 1e-9 for name, spent in zip(PHASES, self._spent, strict=True)}

    def columns(self, rows: Floats) -> dict[str, Floats]:
        """Return the columns of a few records, on the root; every rank calls it.

        Args:
            rows: what this rank had spent in this job at each of them, shape (records, phases); evaluation and writing
                are put there.
        """
        # A block's evaluation is known once it is done: all of its records have it.
        rows[:, EVALUATION:] = np.array(self._spent[EVALUATION:]) * 1e-9
        own, slowest = rows + self._earlier[0], self._slowest(rows) + self._earlier[1]
        named = {f"clock_{name}": own[:, place] for place, name in enumerate(PHASES)}
        return named | {f"slowest_{name}": slowest[:, place] for place, name in enumerate(PHASES)}

    def totals(self) -> Floats:
        """Return what all jobs have spent by now, for the state that is kept, on the root; every rank calls it."""
        now = np.array([list(self.own().values())])
        return np.concatenate([now + self._earlier[:1], self._slowest(now) + self._earlier[1:]]).ravel()

    def _slowest(self, rows: Floats) -> Floats:
        """Return the most that a rank with workers has spent, on the root."""
        count, own = len(self._table) // (self._ranks.size if self._ranks.root else 1), self._table.view(np.float64)
        own[: len(rows)] = rows if self._hosts else 0.0
        self._ranks.gather(self._table)
        most: Floats = own.reshape(-1, count, len(PHASES)).max(axis=0)[: len(rows)]
        return most

    def timed(self, method: Method, source: Source, server: Server) -> tuple[Method, Source, Server]:
        """Return the parts of an iteration, each of which ends with a lap."""
        encode, step = self._after(method.encode, ENCODE), self._after(method.step, STEP)
        aggregate = self._after(server.aggregate, EXCHANGE)
        clocked_method = _Clocked(method, "query", encode=encode, step=step)
        clocked_server = _Clocked(server, "hosted", "message", "start_iteration", aggregate=aggregate)
        return cast(Method, clocked_method), self._after(source, GRADIENT), cast(Server, clocked_server)

    def _after(self, function: Callable[..., Any], phase: int) -> Callable[..., Any]:
        """Return the function with a lap after it."""
        lap = self.lap

        def timed(*arguments: Any) -> Any:
            """Call it, and end the part."""
            result = function(*arguments)
            lap(phase)
            return result

        return timed


class _Clocked:
    """What the loop asks of a part, some of it with a lap after it."""

    def __init__(self, part: object, *asked: str, **clocked: Callable[..., Any]):
        vars(self).update({name: getattr(part, name) for name in asked} | clocked)
