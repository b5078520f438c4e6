"""The dry run: what it says of bits, sizes and memory, against what a run then does; and that it does nothing."""

import math
import os
import re
import shlex
import tracemalloc

import h5py
import numpy as np
import pytest

from launch import mpirun
from mpisign.aggregation.exchange import Sharded
from mpisign.aggregation.exchange_registry import EXCHANGES
from mpisign.algorithms.methods import METHODS
from mpisign.cli import main as cli
from mpisign.cli.main import main
from mpisign.comm.communicator import SerialCommunicator
from mpisign.config import experiment
from mpisign.config.validation import InputError
from mpisign.data.linear_rows import signed
from mpisign.engine import planning, runner
from mpisign.problems import reference_solution
from mpisign.problems.distributed_objective import SMALL
from mpisign.problems.logistic import Logistic
from mpisign.storage import writer
from mpisign.tools.bench.collectives import Network
from mpisign.tools.dryrun import commands, memory, report, trial
from mpisign.tools.dryrun import duration as duration_module
from mpisign.tools.dryrun.bits import bits, exchanges
from mpisign.tools.dryrun.duration import duration
from mpisign.tools.dryrun.file_size import size
from mpisign.tools.dryrun.mock_communicator import MockCommunicator
from mpisign.tools.dryrun.trial import Seconds, Trial

JOB = """
repeats = {repeats}
iterations = {iterations}
problem = {{ kind = "separable", eigenvalues = {eigenvalues} }}
oracle = {{ kind = "additive", noise = "normal", size = 1.0 }}
log = {{ points = {points}, iterates = {iterates} }}
"""

RUN = """
[[runs]]
method = "{method}"
workers = {workers}
step = {{ kind = "constant", alpha = 0.01 }}
"""


@pytest.fixture(autouse=True)
def _short_trials(monkeypatch):
    monkeypatch.setattr(trial, "_SLICE", 0.002)


def job(*methods, d=70, workers=3, repeats=1, iterations=20, points=5, iterates="false", more=""):
    values = {"eigenvalues": [1.0] * d, "repeats": repeats, "iterations": iterations, "points": points}
    runs = "".join(RUN.format(method=method, workers=workers) for method in methods)
    return more + JOB.format(iterates=iterates, **values) + runs


def planned(*methods, **settings):
    return planning.plan(experiment.parse(job(*methods, **settings), []), SerialCommunicator())


def run(plan, folder):
    output = folder / "out.h5"
    runner.run(plan, SerialCommunicator(), output, range(plan.experiment.repeats))
    return output


@pytest.mark.parametrize("d", [1, 70])
@pytest.mark.parametrize("workers", [1, 3])
def test_bits_are_those_that_the_file_counts(d, workers, tmp_path):
    """Normal noise is never zero, and an odd M has no ties."""
    plan = planned(*METHODS, d=d, workers=workers)
    with h5py.File(run(plan, tmp_path)) as file:
        for planned_run in plan.runs:
            columns = file[f"runs/{planned_run.settings.label}/repeats/0000"]
            found = bits(planned_run, d)
            assert columns["bits_up"][-1] == 20 * found.up
            assert columns["bits_down"][-1] == 20 * found.down


def test_most_bits_are_those_where_every_sign_is_zero(tmp_path):
    """At the minimum, with exact gradients, every vote is a tie of zeros."""
    text = job(*METHODS, workers=2).replace('kind = "additive", noise = "normal", size = 1.0', 'kind = "full"')
    plan = planning.plan(experiment.parse(text, ["start.kind=zeros"]), SerialCommunicator())
    with h5py.File(run(plan, tmp_path)) as file:
        for planned_run in plan.runs:
            columns, found = file[f"runs/{planned_run.settings.label}/repeats/0000"], bits(planned_run, 70)
            assert columns["bits_up"][-1] == 20 * found.most_up
            assert columns["bits_down"][-1] == 20 * found.most_down


def test_coins_need_no_second_plane():
    plan = planning.plan(experiment.parse(job("sign"), ["runs.0.zeros=coin"]), SerialCommunicator())
    up, down, most_up, most_down = bits(plan.runs[0], 70)
    assert (up, down) == (most_up, most_down)


@pytest.mark.parametrize("iterates", ["false", "true"])
@pytest.mark.parametrize(("repeats", "points", "d"), [(1, 5, 3), (9, 10, 3), (2, 600, 130), (1, 1000, 5)])
def test_the_file_is_as_large_as_was_said(repeats, points, d, iterates, tmp_path):
    settings = {"repeats": repeats, "points": points, "d": d, "iterations": 2 * points, "iterates": iterates}
    plan = planned("sign", "gd", "ef-sign", **settings)
    said, found = size(plan, repeats), run(plan, tmp_path).stat().st_size
    assert found <= said <= 1.15 * found


NOTHING = memory.Base(0, 0, 0, 0)


@pytest.mark.parametrize("name", METHODS)
def test_one_process_holds_all_rows(name):
    """8 (1 + W) bytes a row of signs, W = d / 64, as much for its weak plane; 8 (1 + d) a dense one."""
    d, workers = 16000, 40
    plan = planned(name, d=d, workers=workers)
    row = 8 * d if plan.runs[0].method.message == "dense" else 2 * d / 8
    held = memory.held(plan, 0, 1, NOTHING)
    dense_reply = 8 * d if plan.runs[0].method.message != "signs" else 2 * d / 8
    assert workers * row <= held.messages <= 1.05 * (workers * row + dense_reply) + 3000 * workers
    kept = plan.runs[0].method.memory(d).nbytes
    # x, the gradient, the noise of the oracle and the eigenvalues
    assert held.vectors == pytest.approx(4 * 8 * d + workers * kept, rel=0.01)


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """Data with a d that no list in a job file has."""
    path = tmp_path_factory.mktemp("wide") / "wide.h5"
    assert main(["data", "synth", "--like", "epsilon", str(path), "--n", "60", "--d", "6000"]) == 0
    return path


@pytest.mark.parametrize("name", ["gd", "sign", "signum", "ef-sign-shifted"])
def test_a_run_holds_what_was_said(name, wide, tmp_path, monkeypatch):
    """Python's count of a whole run's memory at its peak, with f* to be found first or not."""
    text = f'iterations = 40\nproblem = {{ kind = "logistic", data = "{wide}" }}\nlog = {{ every = 1 }}'
    plan = planning.plan(experiment.parse(text + RUN.format(method=name, workers=40), []), SerialCommunicator())
    held = memory.held(plan, 0, 1, NOTHING)
    monkeypatch.setattr(writer, "_SECONDS", math.inf)  # no state is saved, however slow this is
    tracemalloc.start()
    run(plan, tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0.8 * peak < held._replace(state=0).private < 1.2 * peak


def test_the_server_holds_all_rows_and_a_worker_one():
    d, workers = 16000, 40
    plan = planned("gd", d=d, workers=workers)
    root, other = (memory.held(plan, rank, workers + 1, NOTHING) for rank in (0, 1))
    assert root.messages == pytest.approx((workers + 1 + 1) * 8 * d, rel=0.01)
    assert other.messages == pytest.approx(2 * 8 * d, rel=0.05)
    assert root.records > other.records
    assert (root.common, other.common) == (0, 0)


def test_by_the_node_rows_are_held_once():
    d, workers = 16000, 40
    plan = planning.plan(experiment.parse(job("gd", d=d, workers=workers), ["exchange=node"]), SerialCommunicator())
    root = memory.held(plan, 0, workers + 1, NOTHING)
    assert root.common == pytest.approx((workers + 1 + 1) * 8 * d, rel=0.01)
    assert root.messages < 0.05 * root.common
    automatic = plan._replace(experiment=experiment.parse(job("gd", d=d, workers=workers), ["exchange=auto"]))
    assert sum(memory.held(automatic, 0, 41, NOTHING)) == pytest.approx(sum(root), rel=0.01)


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_what_cannot_be_promised_is_counted_in_proportion(exchange, monkeypatch):
    d, ranks = 20000, MockCommunicator(0, 9)
    plan = planned("gd", d=d, workers=8)
    hosted, exact = memory._messages(plan.runs[0], exchange, d, ranks)
    common, allocated = ranks.in_common, memory.allocated

    def refused(make):
        found = allocated(make)
        if found[0] > 200_000:
            raise MemoryError
        return found

    monkeypatch.setattr(memory, "allocated", refused)
    again, counted = memory._messages(plan.runs[0], exchange, d, ranks)
    assert again == hosted
    assert exact < counted < 1.3 * exact
    assert ranks.in_common == pytest.approx(common, rel=0.01)


def test_a_round_that_no_part_of_has_room_is_refused_with_its_d(monkeypatch):
    def refused(make):
        raise MemoryError

    monkeypatch.setattr(memory, "allocated", refused)
    with pytest.raises(MemoryError, match=r"^d = 20000$"):
        memory._messages(planned("sign", d=20000, workers=8).runs[0], "server", 20000, MockCommunicator(0, 9))


def test_data_is_held_once_a_node():
    text = 'iterations = 1\nproblem = { kind = "logistic", data = "digits" }' + RUN.format(method="gd", workers=2)
    plan = planning.plan(experiment.parse(text, []), SerialCommunicator())
    base = memory.base(plan.problem, alone=True)
    assert base.data == 1797 * 64 * 8
    assert base.private > 10**7


@pytest.mark.parametrize(("d", "fewer"), [(SMALL, 0), (SMALL + 1, 5)])
def test_a_hessian_is_held_where_the_problem_makes_one(d, fewer, monkeypatch):
    """L of much data is found without; f* of few features always with."""
    problem = Logistic(signed(np.random.default_rng(0).standard_normal((9, d)), np.resize([1.0, -1.0], 9)))
    monkeypatch.setattr(Logistic, "data_sha256", lambda self: "of data")
    wholly = memory._minimum(problem, MockCommunicator(0, 1))
    monkeypatch.setattr("mpisign.problems.solving.largest_hessian._WORK", 9 * d**2 - 1)
    found = wholly - memory._minimum(problem, MockCommunicator(0, 1))
    assert found == pytest.approx(
        fewer * 8 * d**2, abs=1000
    )  # Python's own objects vary by some bytes from call to call


def test_a_trial_takes_iterations_and_leaves_the_run_alone():
    plan = planned("scaled-sign")
    with Trial(plan, plan.runs[0], "server", SerialCommunicator(), 3) as tried:
        for low, high in (tried.iteration(), tried.round()):
            assert 0 < low <= high < 10
    again = planned("scaled-sign")
    assert duration(again, again.runs[0], SerialCommunicator(), 4).here.low > 0


def test_more_ranks_than_processes_are_modelled():
    plan = planned("gd", workers=40)
    found = duration(plan, plan.runs[0], SerialCommunicator(), 41)
    assert found.ranks is not None
    assert 0 < found.ranks.low < found.ranks.high


def test_a_step_that_is_too_large_is_no_trouble():
    text = job("gd").replace("alpha = 0.01", "alpha = 1e300")
    plan = planning.plan(experiment.parse(text, []), SerialCommunicator())
    assert duration(plan, plan.runs[0], SerialCommunicator(), 4).here.high > 0


@pytest.mark.parametrize(
    ("seconds", "limit"),
    [(1, "00:01:00"), (60, "00:01:00"), (61, "00:02:00"), (7500, "02:05:00"), (90000, "1-01:00:00")],
)
def test_time_limits_are_whole_minutes(seconds, limit):
    assert commands.time_limit(seconds) == limit


@pytest.mark.parametrize("name", ["sign", "gd"])
def test_messages_are_as_long_as_the_exchange_makes_them(name, monkeypatch):
    """On a network without latency, of a byte a second: 3 of 4 parts of what an Alltoall and an Allgather hold."""
    ranks = 4
    plan = planned(name, d=64 * ranks * 10, more='exchange = "sharded"\n')
    for network in ("_FAST", "_SLOW"):
        monkeypatch.setattr(duration_module, network, Network(latency=0.0, bandwidth=1.0, adding=1.0, flag=0.0))
    form = exchanges(plan.runs[0], plan.problem.dimension)[0].form
    sharded = Sharded(MockCommunicator(1, ranks), ranks - 1, form)
    found = duration_module._round(plan, plan.runs[0], Seconds(0.0, 0.0), ranks)
    held = sharded._sent.nbytes + sharded._parts._parts.nbytes
    assert found == Seconds(pytest.approx(held * 3 / 4), pytest.approx(held * 3 / 4))


@pytest.mark.parametrize(
    ("bytes_", "said"), [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (25e6, "25 MB"), (3e12, "3.0 TB")]
)
def test_amounts(bytes_, said):
    assert report.amount(bytes_) == said


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "job.toml").write_text(job("gd", "sign", workers=4, repeats=3))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def dry(capsys, *options):
    assert main(["run", "job.toml", "-o", "out.h5", *options, "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_a_dry_run_writes_nothing_and_solves_nothing(folder, capsys, monkeypatch):
    monkeypatch.setattr(runner, "run", lambda *arguments: pytest.fail("it was run"))
    monkeypatch.setattr(reference_solution, "optimum", lambda *arguments: pytest.fail("f* was solved for"))
    out = dry(capsys)
    assert os.listdir(folder) == ["job.toml"]
    assert re.search(r"^sign +sign +4 +20 +3 +768 +768 +server +[\d.e-]+", out, re.MULTILINE)
    assert re.search(r"^rank 0 of 5 ", out, re.MULTILINE)
    assert "f*, which need not be solved for" in out
    disk = r"while it runs the disk needs three times that, and [\d.]+ \w+ for the state of a repeat"
    assert re.search(rf"^out\.h5: [\d.]+ kB; {disk}$", out, re.MULTILINE)


def test_bits_and_cores_are_said_in_words(folder, capsys, monkeypatch):
    """The zeros of signs come in a second plane; 5 ranks on one core take turns."""
    monkeypatch.setattr(report, "cores", lambda: 1)
    out = dry(capsys)
    assert re.search(r" a second plane travels: up to (\d+) bits up and (\d+) down$", out, re.MULTILINE)
    assert "this process may use 1 cores: more ranks than that take longer here" in out


def test_f_star_that_is_to_be_found_is_named(folder, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    (folder / "job.toml").write_text(
        'iterations = 9\nproblem = { kind = "logistic", data = "wine" }' + RUN.format(method="gd", workers=2)
    )
    assert "which is solved for first" in dry(capsys)
    assert main(["run", "job.toml", "-o", "out.h5"]) == 0
    capsys.readouterr()
    assert "f*, which need not be solved for" in dry(capsys, "--overwrite")


def test_only_what_is_there_is_suggested(folder, capsys, monkeypatch):
    """A launcher on PATH, one beside Python alone, none; a script of a checkout, or none."""
    monkeypatch.setattr(commands.shutil, "which", lambda name: None)
    monkeypatch.setattr(commands, "mpiexec", lambda: None)
    assert dry(capsys).splitlines()[-1].startswith("mpisign launch -n 5 python -m mpi4py -m mpisign run job.toml")

    def none():
        raise InputError("launcher", "none")

    monkeypatch.setattr(commands, "mpiexec", none)
    assert dry(capsys).splitlines()[-1].startswith("5 ranks need a launcher, and none is here: mpisign doctor")


def test_the_commands_have_the_options_and_can_be_typed(folder, capsys, monkeypatch):
    monkeypatch.setattr(commands.shutil, "which", lambda name: f"/usr/bin/{name}")
    (folder / "jobs" / "slurm").mkdir(parents=True)
    (folder / "jobs" / "slurm" / "experiment.sbatch").write_text("")
    given = ["--set", "runs.0.label=a b", "--set", "seed=2", "--repeats", "1:3", "--exchange", "sharded", "--overwrite"]
    *_, mpirun_, sbatch = dry(capsys, *given).splitlines()
    typed = shlex.split(mpirun_)
    assert typed[:8] == ["mpirun", "-n", "5", "python", "-m", "mpi4py", "-m", "mpisign"]
    as_typed, as_given = (
        cli._parser().parse_args(line) for line in (typed[8:], ["run", "job.toml", "-o", "out.h5", *given])
    )
    as_given.command = as_typed.command
    assert vars(as_typed) == vars(as_given)
    batch = re.fullmatch(r"sbatch --ntasks=5 --time=\d\d:\d\d:00 --mem=(\d+)M (\S+) job\.toml out\.h5 (.*)", sbatch)
    assert batch[2] == "jobs/slurm/experiment.sbatch"
    assert int(batch[1]) > 100
    assert sorted(shlex.split(batch[3])) == sorted(given[:-1])


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--repeats", "2:9"], "--repeats"),
        (["--set", "runs.0.step.alpha=-1"], "alpha"),
        (["--set", "iterations=many"], "iterations"),
    ],
)
def test_what_a_run_refuses_a_dry_run_refuses(options, complaint, folder, capsys):
    assert main(["run", "job.toml", "-o", "out.h5", "--dry-run", *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert complaint in err
    assert err.count("\n") == 1


def test_a_job_and_an_output_may_have_any_names(folder, capsys):
    """Also those that a parser would show."""
    (folder / "job.toml").rename(folder / "JOB")
    assert main(["run", "JOB", "-o", "FILE", "--dry-run"]) == 0
    assert "mpisign run JOB -o FILE\n" in capsys.readouterr().out


def test_an_output_that_exists_is_refused(folder, capsys):
    (folder / "out.h5").write_text("")
    assert main(["run", "job.toml", "-o", "out.h5", "--dry-run"]) == 2
    assert "exists already" in capsys.readouterr().err


def test_too_little_memory_is_said_in_one_line(folder, capsys, monkeypatch):
    def none(*arguments):
        raise MemoryError("Unable to allocate 3 TiB")

    monkeypatch.setattr(memory, "held", none)
    assert main(["run", "job.toml", "-o", "out.h5", "--dry-run"]) == 2
    assert "Unable to allocate 3 TiB" in capsys.readouterr().err


def test_more_than_rank_0_has_room_for_is_said_with_what_has(folder, capsys, monkeypatch):
    run = ["run", "job.toml", "-o", "out.h5", "--dry-run"]
    assert main(run) == 0
    assert "of this machine" not in capsys.readouterr().out
    monkeypatch.setattr(report.shared_arrays, "installed", lambda: 2**20)
    monkeypatch.setattr(planning, "installed", lambda: 2**40)
    assert main(run) == 0
    larger = r"\nrank 0 of \d+ holds .* [MG]B, more than the 1.0 MB of this machine"
    assert re.search(rf"{larger}; by --exchange sharded it holds .* [MG]B\n", capsys.readouterr().out)


@pytest.mark.ranks
def test_on_ranks_it_is_said_once(folder):
    done = mpirun("mpich", 3, "run", "job.toml", "-o", "out.h5", "--dry-run", "--exchange", "auto", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("dry run of job.toml") == 1
    assert "time, these 3 ranks: " in done.stdout
    assert "mpirun -n 5 " in done.stdout
    assert os.listdir(folder) == ["job.toml"]


def test_sums_of_times():
    assert Seconds(1, 2).plus(Seconds(3, 4)).times(2) == (8, 12)
