"""mpisign certify: a job in, fractions out; the numbers of the job's own digits, and what it refuses."""

import itertools
import json
import math
import sys
from fractions import Fraction as F

import numpy as np
import pytest

import mpisign
from launch import ROOT
from mpisign.audit.certify.exact_job import exact_run
from mpisign.cli.main import main
from mpisign.config import experiment
from mpisign.storage.trajectory import Trajectory
from mpisign.theory.certificates.expectation import moments

SIGMAS = 5  # of each comparison with a simulation: a false alarm in 1.7 million, were the seed not fixed


def certified(capsys, *arguments):
    longest = sys.get_int_max_str_digits()
    assert main(["certify", *map(str, arguments)]) == 0
    assert sys.get_int_max_str_digits() == longest  # what Python reads and prints of the rest is as it was
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("job", "options", "line"),
    [
        ("x1", (), "Theorem 2(1), (19): refuted at k = 5"),
        ("x2", ("--upto", 9), "Theorem 2(1), (19): refuted at k = 9"),
        ("x4", (), "Theorem 2(2), (20): refuted at k = 1"),
        ("ce-a", ("--run", "alpha = 1e-3", "--upto", 4), "Theorem 2(1), (19): not refuted up to k = 4"),
        ("ce-b", ("--run", "M = 3", "--upto", 2), "Theorem 3, repaired: not refuted up to k = 2"),
        ("x5", ("--run", "M = 2", "--upto", 3), "Theorem 3, (21): not refuted up to k = 3"),
    ],
)
def test_what_it_says_of_a_job(capsys, job, options, line):
    assert line in certified(capsys, ROOT / "jobs" / f"{job}.toml", *options)


def test_the_json_has_both_fractions_of_every_bound_at_every_k(tmp_path, capsys):
    certified(capsys, ROOT / "jobs" / "x1.toml", "--json", tmp_path / "new" / "x1.json")
    rows = json.loads((tmp_path / "new" / "x1.json").read_text())
    assert {row["bound"] for row in rows} == {"theorem2", "theorem2_repaired", "floor_bound"}
    assert [row["k"] for row in rows if row["bound"] == "theorem2"] == list(range(1, 9))
    fifth = next(row for row in rows if row["bound"] == "theorem2" and row["k"] == 5)
    assert set(fifth) == {"run", "bound", "k", "expected", "bound_value", "refuted", "constants"}
    assert fifth["bound_value"] == "308038339586427377/622558593750000000"
    assert F(fifth["expected"]) == F(1, 2) * (F(3, 10) + F(7, 10) * F(24999, 25000) ** 2) ** 5
    assert fifth["refuted"] is True
    assert fifth["constants"]["sigma2"] == "30189037/7500000"
    assert not any(row["refuted"] for row in rows if row["bound"] != "theorem2" or row["k"] < 5)


@pytest.mark.parametrize(("number", "workers", "advantage"), [(0, 1, F(4, 5)), (1, 3, F(37, 125))])
def test_the_tight_controls_have_the_least_drift_that_the_proofs_take(number, workers, advantage):
    """E[M_k g'v] over ||g||_1^2 by plain enumeration; with a larger b it is less than the advantage."""
    for b, above in ((None, True), ("5/2" if workers == 1 else "7/2", False)):
        changed = [f"runs.{number}.oracle.b={b}"] if b else []
        job = experiment.read(ROOT / "jobs" / "controls-tight.toml", changed)
        outcomes = exact_run(job, job.runs[number]).process.law((F(1), F(0)))
        drift = F(0)
        for drawn in itertools.product(outcomes, repeat=workers):
            weight = math.prod((each.weight for each in drawn), start=F(1))
            votes = sum(1 if each.gradient[0] > 0 else -1 for each in drawn)
            norm = sum(abs(value) for each in drawn for value in each.gradient) / workers
            drift += weight * norm * (1 if votes > 0 else -1)
        assert (drift >= advantage) == above
        assert not above or drift - advantage < F(1, 10**5)


@pytest.mark.parametrize("batch", [2, 3])
def test_a_mini_batch_is_the_mean_of_its_draws(batch):
    """E V_1 and E V_2 of CE-A by every sequence of draws, 4^batch of them in an iteration, none of them merged."""
    job = experiment.read(ROOT / "jobs" / "ce-a.toml", [f"oracle.batch={batch}", "runs.0.step.alpha=1/7"])
    exact = exact_run(job, job.runs[0])
    atoms, weights = (
        [(F(-2, 5), F(1)), (F(-2, 5), F(-1)), (F(2, 5), F(0)), (F(0), F(0))],
        [F(1, 10), F(1, 10), F(1, 5), F(3, 5)],
    )
    states = {(F(1, 10), F(1, 100)): F(1)}
    for moment in itertools.islice(moments(exact.process, 10**6), 3):
        assert moment.gap == sum(w * (x * x + y * y) / 2 for (x, y), w in states.items())
        reached = {}
        for (x, y), weight in states.items() if moment.k < 2 else ():
            for drawn in itertools.product(range(4), repeat=batch):
                g = [value + sum(atoms[i][j] for i in drawn) / batch for j, value in enumerate((x, y))]
                length = F(1, 7) * (abs(g[0]) + abs(g[1]))
                to = tuple(value - length * ((each > 0) - (each < 0)) for value, each in zip((x, y), g, strict=True))
                reached[to] = reached.get(to, F(0)) + weight * math.prod((weights[i] for i in drawn), start=F(1))
        states = reached
    outcomes = exact.process.law((F(1, 10), F(1, 100)))
    assert sum(each.weight for each in outcomes) == 1
    assert len({each.gradient for each in outcomes}) == len(outcomes) < 4**batch


def test_a_mini_batch_with_too_many_values_is_refused_before_it_is_enumerated(capsys, tmp_path):
    path = job_in(tmp_path, (ROOT / "jobs" / "ce-a.toml").read_text().replace("batch = 1\n", "batch = 64\n"))
    assert main(["certify", str(path), "--run", "alpha = 1e-3"]) == 2
    said = "oracle.batch: the mean of 64 draws can have 47905 values; expected at most 20000"
    assert said in capsys.readouterr().err


THREE = """
iterations = 2
problem = { kind = "finite-quadratic", eigenvalues = [1, 1], atoms = [[-0.2, 1], [-0.2, -1], [0.2, 0], [0, 0]], \
            weights = [0.2, 0.2, 0.4, 0.2] }
oracle = { kind = "minibatch", batch = 1 }
start = { kind = "point", x = [0.05, 0.001] }
log = { every = 1 }
[[runs]]
method = "scaled-sign"
workers = 3
zeros = "coin"
step = { kind = "constant", alpha = "1/9" }
"""


@pytest.mark.parametrize(("job", "upto"), [("x1", 8), ("x2", 4), ("three", 2)])
def test_the_same_job_run_by_the_loop_agrees(tmp_path, job, upto):
    """Its mean gap over the repeats, to five standard errors; with the errors of floats beside them."""
    path, repeats, run = ROOT / "jobs" / f"{job}.toml", 150, 0
    if job == "three":
        path = job_in(tmp_path, THREE.replace("\\\n", ""))
    changed = [f"iterations={upto}", f"repeats={repeats}", "log.every=1"]
    options = [word for change in changed for word in ("--set", change)]
    assert main(["run", str(path), "-o", str(tmp_path / "out.h5"), *options]) == 0
    job = experiment.read(path)
    exact = exact_run(job, job.runs[run])
    simulated = Trajectory(tmp_path / "out.h5").runs[run]
    gaps = np.array([simulated.gap(repeat) for repeat in simulated.repeats])
    for moment in moments(exact.process, 10**6):
        error = gaps[:, moment.k].std(ddof=1) / np.sqrt(repeats)
        assert abs(gaps[:, moment.k].mean() - float(moment.gap)) <= SIGMAS * error + 1e-14
        if moment.k == upto:
            break


JOB = """
iterations = 3
problem = { kind = "separable", eigenvalues = [1, "2/3"] }
oracle = { kind = "paired", e = 0.1, h = 1e-3 }
start = { kind = "point", x = [0.1, "1/3"] }
[[runs]]
method = "scaled-sign"
scale = "mean"
step = { kind = "constant", alpha = 0.1 }
"""


def job_in(tmp_path, text):
    path = tmp_path / "job.toml"
    path.write_text(text)
    return path


def test_numbers_are_what_the_digits_say(tmp_path):
    job = experiment.read(job_in(tmp_path, JOB))
    exact = exact_run(job, job.runs[0])
    assert exact.process.matrix == ((1, 0), (0, F(2, 3)))
    assert exact.process.start == (F(1, 10), F(1, 3))
    assert exact.alpha == F(1, 20)  # divided by d, the reading of Remark 4
    assert exact.process.law((F(1), F(1)))[1].weight == F(1, 10)


def test_an_override_is_read_exactly_too(tmp_path):
    job = experiment.read(job_in(tmp_path, JOB), ["runs.0.step.alpha=0.3", "oracle.e=1/7"])
    exact = exact_run(job, job.runs[0])
    assert (exact.alpha, exact.process.law((F(1), F(1)))[1].weight) == (F(3, 20), F(1, 7))


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('kind = "paired", e = 0.1, h = 1e-3', 'kind = "additive", size = 1.0', 'oracle.noise: expected "three-point"'),
        ("e = 0.1", "e = 0.6", "oracle.e: expected a number less than or equal to 0.5, got 0.6"),
        ('kind = "separable", eigenvalues = [1, "2/3"]', 'kind = "toy"', "problem.kind: expected a quadratic"),
        ('x = [0.1, "1/3"]', "x = [0.1]", "start.x: expected 2 numbers"),
        ('start = { kind = "point", x = [0.1, "1/3"] }', "", 'start.kind: expected "point"'),
        ("alpha = 0.1", "alpha = 9.0", "no bound applies: 0 < alpha"),
        ("h = 1e-3", "h = 1e-900", "oracle.h: expected a number greater than 0"),
        ('[0.1, "1/3"]', '[1e-900, "1/3"]', "start.x.0: expected a number that can be read exactly"),
        ('method = "scaled-sign"\nscale = "mean"', 'method = "sign"', 'runs.0.method: expected "scaled-sign"'),
        ("e = 0.1", "e = 0.1, flipped = 1", "oracle.flipped: expected 0"),
    ],
)
def test_what_does_not_fit_is_one_line_and_nothing_is_written(tmp_path, capsys, old, new, complaint):
    assert old in JOB
    path = job_in(tmp_path, JOB.replace(old, new))
    assert main(["certify", str(path), "--json", str(tmp_path / "out.json")]) == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out.json").exists()


def test_too_few_states(tmp_path, capsys):
    path = job_in(tmp_path, JOB)
    assert main(["certify", str(path), "--states", "1"]) == 2
    assert "--states: expected room for x_1: it has more than 1 states" in capsys.readouterr().err
    assert "stopped: x_2 has too many states" in certified(capsys, path, "--states", 3)


def test_runs_without_a_law_are_left_out_and_named(tmp_path, capsys):
    more = '[[runs]]\nlabel = "GD"\nmethod = "gd"\nstep = { kind = "constant", alpha = 0.1 }\n'
    path = job_in(tmp_path, JOB + more)
    assert "run 'GD' is left out: runs.1.method: expected \"scaled-sign\"" in certified(capsys, path)
    assert main(["certify", str(path), "--run", "GD"]) == 2
    assert main(["certify", str(path), "--run", "scaled-sing"]) == 2
    assert "did you mean scaled-sign?" in capsys.readouterr().err


def test_both_readings_of_p_min(tmp_path, capsys):
    """From an axis: where g_1 = 0 its sign is right only where g~_1 is 0, a fifth of the time."""
    text = (ROOT / "jobs" / "ce-b.toml").read_text()
    path = job_in(tmp_path, text.replace("x = [0.05, 0.001]", "x = [0, 0.001]"))
    said = certified(capsys, path, "--run", "M = 3", "--upto", 1)
    assert "p_min = 4/5 over g_i != 0, and 1/5 over all i" in said
    assert "Theorem 3, (21), over all i: says nothing; p_min > 1/2 fails (p_min = 1/5)" in said


def test_from_python_the_rows_are_those_of_the_command(tmp_path, capsys):
    certified(capsys, ROOT / "jobs" / "x1.toml", "--json", tmp_path / "x1.json", "--upto", 6)
    rows = mpisign.certify(ROOT / "jobs" / "x1.toml", upto=6)
    assert [row.document() for row in rows] == json.loads((tmp_path / "x1.json").read_text())
    assert repr(rows).splitlines()[0].startswith("X1: Theorem 2(1), (19): refuted at k = 5; E V_k over the bound")


def test_from_python_an_experiment_is_certified_by_its_digits(capsys):
    """d = 1, V_k = (1 - alpha)^(2k) / 2 without noise, against zeta_1^k V_0 = (1 - 2 alpha + 2 alpha^2)^k / 2."""
    settings = {"problem": mpisign.Separable(eigenvalues=[1.0]), "start": mpisign.Point(x=[1.0]), "iterations": 3}
    signs = mpisign.Run(method=mpisign.ScaledSign(), step=mpisign.Constant(alpha=0.1), label="signs")
    dense = mpisign.Run(method=mpisign.GD(), step=mpisign.Constant(alpha=0.1))
    rows = mpisign.certify(mpisign.Experiment(runs=[signs, dense], **settings))
    third = next(row for row in rows if (row.bound, row.k) == ("theorem2", 3))
    assert (third.run, third.expected, third.bound_value) == ("signs", F(9, 10) ** 6 / 2, F(82, 100) ** 3 / 2)
    assert not third.refuted
    assert third.constants["alpha"] == F(1, 10)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({"run": "X2"}, "^run: no run 'X2'; "),
        ({"upto": 0}, "^upto: expected a whole number > 0, got 0"),
        ({"states": 1.5}, "^states: expected a whole number > 0, got 1.5"),
        ({"states": 1}, "^states: expected room for x_1"),
        ({"experiment": "nowhere.toml"}, "^nowhere.toml: "),
        ({"experiment": str(ROOT / "jobs" / "quickstart.toml")}, "quickstart.toml: problem.kind: expected a quadratic"),
    ],
)
def test_from_python_a_complaint_names_what_was_asked_for(asked, complaint):
    with pytest.raises(mpisign.InputError, match=complaint):
        mpisign.certify(**{"experiment": ROOT / "jobs" / "x1.toml"} | asked)
