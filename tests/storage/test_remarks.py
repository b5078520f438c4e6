"""What `run` and `info` say of values that need a word: gaps that f* does not bear, data in units that blow up."""

import numpy as np
import pytest

from launch import mpisign
from mpisign.storage import remarks
from mpisign.storage.trajectory import RepeatRecord, RunRecord

JOB = """
iterations = 150
log.points = 10
problem = {{ kind = "logistic", data = "breast-cancer", {problem} }}
[[runs]]
method = "gd"
step = {{ kind = "constant", alpha = {alpha} }}
"""

UNCERTAIN = "f* is known to +- 0.6: gaps below 6e+01 may be off by more than 1 %"
RAW = "'gd': f grew more than 10 times within 100 iterations on features in their raw units"


@pytest.mark.parametrize(
    ("problem", "alpha", "said"),
    [
        ('scaling = "unit-rows"', 0.1, []),
        ('regulariser = "nonconvex"', 1.0, [UNCERTAIN]),
        ('scaling = "raw"', 0.1, [RAW]),
        ('scaling = "raw"', 1e-9, []),
        ('scaling = "unit-rows"', 1e3, []),
    ],
)
def test_what_is_said_after_a_run_and_by_info(tmp_path, problem, alpha, said):
    (tmp_path / "job.toml").write_text(JOB.format(problem=problem, alpha=alpha))
    ran, info = mpisign("run", "job.toml", "-o", "r.h5", cwd=tmp_path), mpisign("info", "r.h5", cwd=tmp_path)
    for done, lines in (ran, ran.stdout.splitlines()[:-1]), (info, info.stdout.splitlines()[5:]):
        assert done.returncode == 0, done.stderr
        assert len(lines) == len(said)
        assert all(line.startswith(start) for line, start in zip(lines, said, strict=True))


class File(list):
    """The runs of a file of one repeat."""

    repeats = range(1)


def record(values, status="diverged"):
    run = RunRecord.__new__(RunRecord)
    run.label = "gd"
    run.attributes = {
        "f_star": 0.0,
        "f_star_error": 0.0,
        "problem.scaling": "raw",
        "L": 9.0,
        "dimension": 2,
        "iterations": 90,
    }
    repeat = RepeatRecord.__new__(RepeatRecord)
    repeat.ended = ""
    repeat.status, repeat.diverged_at = status, None
    repeat.columns = {"k": np.arange(len(values)), "value": np.array(values, dtype=float)}
    run.repeats = [repeat]
    return run


@pytest.mark.parametrize(
    ("values", "said"),
    [([], 0), ([np.nan], 1), ([1.0, np.nan], 1), ([1.0, 0.5], 0), ([1.0, -1.0], 1), ([1.0, -1e-12], 0)],
)
def test_a_repeat_that_has_just_begun_or_is_no_number_is_no_error(values, said):
    """`info` reads a file while it is written; a NaN is growth, not an f below f*."""
    assert len(list(remarks.remarks(File([record(values)])))) == said
    assert len(list(remarks.remarks(File([record(values, "running")])))) == said + 1


@pytest.mark.parametrize(
    ("statuses", "said"),
    [
        (["complete", "diverged"], ""),
        (["complete", "running"], "1 of 2 repeats"),
        (["running", "running"], "k = 4 of 90"),
        (["diverged", "running"], "k = 4 of 90"),
        (["running"], "k = 4 of 90"),
        ([], "0 of 2 repeats"),
        (["diverged"], "1 of 2 repeats"),
    ],
)
def test_how_far_a_run_is(statuses, said):
    runs = [record([1.0] * (5 + number), status) for number, status in enumerate(statuses)]
    run = record([])
    run.repeats = [each.repeats[0] for each in runs]
    if len({"diverged", "running"} & set(statuses)) == 2:
        run.repeats[0].columns, run.repeats[1].columns = run.repeats[1].columns, run.repeats[0].columns
    assert remarks.progress(run, range(2)) == said
