"""Run repeats by teams of ranks side by side: each team has its server, exchanges and checkpoints.

Rank 0, the server of the first team, has the trajectory file. The servers of the others send it what they would write;
it takes that up whenever its own team pauses. A repeat is dealt to a team before the first one begins.
"""

import signal
import time
from itertools import product

import numpy as np

from mpisign.aggregation.exchange_registry import exchange_factory
from mpisign.comm.teams import Posts, Team
from mpisign.comm.watchdog import Watch
from mpisign.config.validation import InputError
from mpisign.engine.checkpointing import Checkpoints
from mpisign.engine.parallel.desk import Desk
from mpisign.engine.parallel.remote import RemoteWriter, Task
from mpisign.engine.planning import Plan
from mpisign.engine.repeat import Site, run_repeat
from mpisign.stop_signals import StopRequested, StopSignals
from mpisign.storage.checkpoint import Checkpoint

_TOLD = 0.5
"""Seconds between two words of a server on how far it is."""
_LOOK = 0.005
"""Seconds between two looks of rank 0 for what the others send, when its own team has nothing to do."""


def run_repeats(
    planned: Plan,
    exchanges: list[str],
    repeats: range,
    desk: Desk | None,
    team: Team,
    signals: StopSignals,
    watch: Watch,
) -> None:
    """Run the repeats that the file lacks; every rank calls it.

    Args:
        planned: what is run.
        exchanges: the exchange of each run, in this team.
        repeats: the numbers of the repeats.
        desk: what has the file; None except on rank 0.
        team: this rank's team.
        signals: those that ask for a stop.
        watch: the watchdog of all ranks.

    Raises:
        StopRequested: a rank was sent a signal; all teams have saved their states.
        InputError: a team was refused something, such as room for its exchange.
    """
    office = _Office(desk, team, signals)
    tasks = office.deal([Task(*pair) for pair in product(range(len(planned.runs)), repeats)])
    try:
        with Checkpoints(team, signals, lambda k: office.count(k, watch), office.due) as checkpoints:
            site = Site(team, checkpoints, office.writer)
            for task in tasks:
                office.begin(task)
                run = planned.runs[task.run]
                watch.enter(f"in {run.settings.label!r}, repeat {task.number}")
                run_repeat(planned, run, task.number, exchange_factory(exchanges[task.run], team), site)
    except StopRequested as stop:
        office.heard = True
        office.say("stopped", signal.Signals[stop.signal].value)
    except InputError as error:  # the team's ranks all have it, the others do not
        office.say("refused", error.key, error.complaint)
    office.end()


class _Office:
    """What a rank has to do with the other teams: of the servers, rank 0 hears, and the others speak.

    Attributes:
        writer: where this team's server writes; None on other ranks.
        heard: whether rank 0 knows that this rank was asked to stop.
    """

    def __init__(self, desk: Desk | None, team: Team, signals: StopSignals):
        self._desk, self._team, self._signals, self._posts = desk, team, signals, Posts(team.world)
        self.writer = RemoteWriter(lambda name, arguments: self.say(name, *arguments)) if team.root else None
        self._task = Task(-1, -1)
        self._states: dict[Task, Checkpoint | None] = {}
        self._working = {team.leader(number) for number in range(1, team.count)}
        self._asked, self._told = 0, 0.0
        self.heard = False
        self._complaint: InputError | None = None

    def deal(self, tasks: list[Task]) -> list[Task]:
        """Return the repeats of this team, on all of its ranks; its server has their states from rank 0, too."""
        left = np.zeros(len(tasks), dtype=np.uint64)
        if self._desk is not None:
            left[:] = [task in self._desk.left for task in tasks]
        self._team.world.broadcast(left)
        rest = [task for task, there in zip(tasks, left, strict=True) if there]
        shares = [rest[number :: self._team.count] for number in range(self._team.count)]
        if self._desk is not None:
            states = [{task: self._desk.kept(task) for task in share} for share in shares]
            self._states = states[0]
            for number in range(1, self._team.count):
                self._posts.send(self._team.leader(number), states[number])
        elif self._team.root:
            self._states = self._posts.wait()
        return shares[self._team.number]

    def begin(self, task: Task) -> None:
        """Say that this team begins a repeat."""
        self._task = task
        if self.writer is not None:
            self.say("open")
            self.writer.begin(self._states.get(task))
            self._look()

    def say(self, name: str, *arguments: object) -> None:
        """Have rank 0 do what `name` says, for this team's repeat; only a team's server speaks for it."""
        if self._desk is not None:
            self._do(self._team.world.rank, self._task, name, arguments)
        elif self._team.root:
            self._posts.send(0, (self._task, name, arguments))

    def _do(self, rank: int, task: Task, name: str, arguments: tuple[object, ...]) -> None:
        """Do on rank 0 what the server with that rank says."""
        assert self._desk is not None
        if name == "open":
            self._desk.left.remove(task)
            self._desk.open(task)
        elif name == "stopped":
            self._ask(*arguments)  # type: ignore[arg-type]
        elif name == "refused":
            self._complaint = self._complaint or InputError(*arguments)  # type: ignore[arg-type]
            self._ask(signal.SIGUSR1)
        elif name == "ended":
            self._working.discard(rank)
        else:
            self._desk.take(task, name, arguments)

    def _ask(self, number: int) -> None:
        """Ask all teams to stop, from rank 0, once."""
        if not self._asked:
            self._asked = self._signals.number = int(number)
            for leader in self._working:
                self._posts.send(leader, self._asked)

    def _look(self) -> None:
        """Take up what the other servers have sent."""
        for rank, message in self._posts.received():
            if self._desk is None:  # rank 0 asks for a stop; at the next agreement this team has it
                self._signals.number = self._signals.number or message
            else:
                self._do(rank, *message)
        if self._desk is not None and self._signals.number:
            self._ask(self._signals.number)

    def count(self, k: int, watch: Watch) -> None:
        """Tell the watchdog where this rank is, and now and then rank 0 where the team is."""
        watch.at(k)
        if time.monotonic() - self._told > _TOLD:
            self._told = time.monotonic()
            self.say("at", k)

    def due(self) -> bool:
        """Return whether this team's server is to save a state; it looks at what has been sent meanwhile."""
        if self.writer is None:
            return False
        self._look()
        return self.writer.commit_due()

    def end(self) -> None:
        """Wait for all teams; raise on all ranks what any has met."""
        self.say("ended")
        while self._desk is not None and self._working:
            self._look()
            time.sleep(_LOOK)
        self._posts.meet(self._meanwhile)
        self._team.world.raise_collectively(self._complain)
        asked = np.array([self._asked if self._desk is not None and not self._desk.over else 0], dtype=np.uint64)
        self._team.world.broadcast(asked)
        if asked[0]:
            if self._desk is not None:
                self._desk.commit()
            raise StopRequested(int(asked[0]))

    def _meanwhile(self) -> None:
        """Pass on a signal that a rank hears while other teams are at work, whose own ranks may not have it."""
        if self._desk is not None:
            self._look()
        elif self._signals.number and not self.heard:
            self.heard = True
            self._posts.send(0, (self._task, "stopped", (self._signals.number,)))

    def _complain(self) -> None:
        """Raise what a team was refused, on rank 0, with all that was done in the file."""
        if self._desk is not None and self._complaint is not None:
            self._desk.commit()
            raise self._complaint
