"""Run a job from its text, in this process."""

from textwrap import dedent

from mpisign.comm.communicator import SerialCommunicator
from mpisign.config import experiment
from mpisign.engine import planning, runner
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


def iterates(folder, text):
    """x_0, x_1, ... of the first repeat of a job's first run, and its columns."""
    columns = Trajectory(run_alone(folder, text), iterates=True).runs[0].repeats[0].columns
    return columns["x"], columns
