"""Run a job from its text, in this process."""

from textwrap import dedent

from mpisign import experiment, planning, runner
from mpisign.ranks import Alone


def planned(text, *overrides):
    """The plan of a job's text."""
    return planning.plan(experiment.parse(dedent(text), list(overrides)), Alone())


def run_alone(folder, text, *overrides):
    """Run a job's text; returns the path of its trajectory file."""
    job = experiment.parse(dedent(text), list(overrides))
    output = folder / "out.h5"
    runner.run(planning.plan(job, Alone()), Alone(), output, range(job.repeats))
    return output
