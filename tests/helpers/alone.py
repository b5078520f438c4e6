"""Run a job from its text, in this process."""

from contextlib import suppress
from textwrap import dedent
from unittest.mock import patch

from mpisign.comm.communicator import SerialCommunicator
from mpisign.config import experiment
from mpisign.engine import planning, runner
from mpisign.engine.checkpointing import Checkpoints
from mpisign.stop_signals import StopRequested
from mpisign.storage.trajectory import Trajectory

SGD_AND_SIGNS = """
    repeats = 3
    iterations = 60
    problem = { kind = "logistic", data = "breast-cancer" }
    oracle = { kind = "minibatch", batch = 64 }
    [[runs]]
    label = "SGD, alpha = 8"
    method = "gd"
    step = { kind = "constant", alpha = 8.0 }
    [[runs]]
    label = "scaled signSGD, alpha = 8"
    method = "scaled-sign"
    scale = "mean"
    step = { kind = "constant", alpha = 8.0 }
    """
"""A dense method and one of signs, on bundled data: what bits and bandwidths are compared on."""


def planned(text, *overrides):
    """The plan of a job's text."""
    return planning.plan(experiment.parse(dedent(text), list(overrides)), SerialCommunicator())


def run_alone(folder, text, *overrides):
    """Run a job's text; returns the path of its trajectory file."""
    job = experiment.parse(dedent(text), list(overrides))
    output = folder / "out.h5"
    runner.run(planning.plan(job, SerialCommunicator()), SerialCommunicator(), output, range(job.repeats))
    return output


def run_without(output, text, k, numbers):
    """Run a job's text, whose only run has just the workers of these numbers from iteration k on, into `output`."""
    whole = planned(text)
    repeats = range(whole.experiment.repeats)
    if k:
        with patch.object(Checkpoints, "over", _stopping_at(k)), suppress(StopRequested):
            runner.run(whole, SerialCommunicator(), output, repeats)
    left = whole._replace(runs=[whole.runs[0]._replace(numbers=numbers)])
    runner.run(left, SerialCommunicator(), output, repeats, "resume" if k else "overwrite")


def _stopping_at(k):
    def over(self, first, iterations, save):
        yield range(first, k)
        save(k)
        raise StopRequested(10)

    return over


def iterates(folder, text):
    """x_0, x_1, ... of the first repeat of a job's first run, and its columns."""
    columns = Trajectory(run_alone(folder, text), iterates=True).runs[0].repeats[0].columns
    return columns["x"], columns
