"""The process that has the trajectory file: it deals repeats out, and writes what is sent back of them."""

from collections import deque
from itertools import product
from typing import Any

from mpisign.config.experiment import Run
from mpisign.engine.parallel.remote import Task
from mpisign.engine.planning import Plan
from mpisign.engine.records.schedule import schedule_of
from mpisign.progress import Progress
from mpisign.storage.checkpoint import Checkpoint
from mpisign.storage.writer import RepeatWriter, TrajectoryWriter


class Desk:
    """The repeats that the file lacks, those that are being run, and the file.

    Args:
        planned: what is run.
        repeats: the numbers of the repeats.
        writer: the file's.
        progress: where the iterations of all repeats are shown.

    Attributes:
        left: the repeats that nobody has yet, run by run.
    """

    def __init__(self, planned: Plan, repeats: range, writer: TrajectoryWriter, progress: Progress):
        self._planned, self._writer, self._progress = planned, writer, progress
        tasks = [Task(*pair) for pair in product(range(len(planned.runs)), repeats)]
        self.left = deque(task for task in tasks if not writer.finished(self._run(task).label, task.number))
        self._done = sum(self._run(task).iterations for task in set(tasks) - set(self.left))
        self._open: dict[Task, RepeatWriter] = {}
        self._at: dict[Task, int] = {}

    def _run(self, task: Task) -> Run:
        """Return the settings of a repeat's run."""
        return self._planned.runs[task.run].settings

    @property
    def over(self) -> bool:
        """Return whether all repeats have ended."""
        return not (self.left or self._open)

    def kept(self, task: Task) -> Checkpoint | None:
        """Return the state in which a repeat was saved, whole, so that it can be sent; or None."""
        kept = self._writer.kept(self._run(task).label, task.number)
        return kept and kept.whole()

    def open(self, task: Task) -> Checkpoint | None:
        """Make the group of a repeat that somebody begins; return the state in which it was saved, or None."""
        run, log = self._run(task), self._planned.experiment.log
        kept = self.kept(task)
        ks, dimension = schedule_of(log, run), self._planned.problem.dimension
        self._open[task] = self._writer.repeat(run.label, task.number, ks, dimension, log.iterates)
        self._at[task] = 0 if kept is None else kept.k
        self._progress.at(f"{run.label}, repeat {task.number}")
        return kept

    def take(self, task: Task, name: str, arguments: tuple[Any, ...]) -> None:
        """Do what is asked for a repeat: count ("at"), or call the method of that name of its `RepeatWriter`."""
        if name == "at":
            (self._at[task],) = arguments
        else:
            getattr(self._open[task], name)(*arguments)
        if name == "keep" and self._writer.commit_due():
            self._writer.commit()
        if name == "finish":
            self._done += self._run(task).iterations
            del self._open[task], self._at[task]
        self._progress.show(self._done + sum(self._at.values()))

    def commit(self) -> None:
        """Commit all that was taken."""
        self._writer.commit()

    def where(self, task: Task) -> str:
        """Return how far a repeat is known to have come."""
        return f"in {self._run(task).label!r}, repeat {task.number}, past iteration k = {self._at[task]}"
