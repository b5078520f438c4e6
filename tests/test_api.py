"""The Python API: experiments from job files and from objects, run in memory and to files, and what comes back."""

import sys
import threading

import numpy as np
import pytest

import mpisign
from alone import run_alone
from launch import HELPERS, ROOT, call, programs, python_of_ranks
from launch import mpisign as launched
from mpisign.algorithms.methods import METHODS
from mpisign.algorithms.oracles import ORACLES
from mpisign.problems import PROBLEMS

NOTEBOOK = """
import matplotlib
import mpisign

experiment = mpisign.Experiment(
    name="digits",
    problem=mpisign.Logistic(data="digits"),
    oracle=mpisign.Minibatch(batch=64),
    iterations=60,
    repeats=3,
    runs=[
        mpisign.Run(label="SGD", method=mpisign.GD(), step=mpisign.Constant(alpha=0.5), workers=3),
        mpisign.Run(label="signs", method=mpisign.ScaledSign(scale="mean"), step=mpisign.Harmonic(c=6.0), workers=3),
    ],
)
results = mpisign.run(experiment)
axes = mpisign.plot.gaps(results)
axes.figure.savefig("gaps.png")
frame = results["signs"].to_dataframe()
assert list(frame.repeat.unique()) == [0, 1, 2]
print(results)
print(frame.tail())
print(mpisign.check(results))
"""


def experiment(**more):
    settings = {
        "problem": mpisign.Separable(eigenvalues=[1.0, 2.0]),
        "runs": [mpisign.Run(method=mpisign.ScaledSign(), step=mpisign.Constant(alpha=0.05))],
        "iterations": 20,
    }
    return mpisign.Experiment(**settings | more)


def hashes(results):
    return [repeat.sha256 for record in results.trajectory for repeat in record.repeats]


def test_twenty_lines_of_a_notebook(tmp_path):
    done = call([sys.executable, "-W", "error", "-c", NOTEBOOK], cwd=tmp_path, MPLBACKEND="agg")
    assert done.returncode == 0, done.stderr
    assert "<run 'signs': scaled-sign, M = 3, 3 repeats, " in done.stdout
    assert "signs  Theorem 2(2), (20)" in done.stdout
    assert (tmp_path / "gaps.png").stat().st_size > 10_000
    assert {path.name for path in tmp_path.iterdir()} == {"gaps.png"}


def test_import_is_fast_and_names_all():
    """Nothing heavy is imported until it is asked for."""
    code = "import sys, mpisign; print(sorted({'numpy', 'numba', 'scipy', 'h5py', 'mpi4py'} & set(sys.modules)))"
    assert call([sys.executable, "-c", code]).stdout == "[]\n"
    for name in mpisign.__all__:
        assert getattr(mpisign, name) is not None
    assert dir(mpisign) == sorted(mpisign.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        mpisign.nothing  # noqa: B018


def test_every_kind_has_a_name_of_its_own():
    makers = {getattr(mpisign, name) for name in mpisign.__all__}
    for registry in (METHODS, ORACLES):
        assert {registry.built_in(name) for name in registry} <= makers
    described = {each.__name__.replace("_", "-") for each in makers if hasattr(each, "__name__")}
    assert set(PROBLEMS) <= described


@pytest.mark.parametrize("job", ["quickstart", "ce-a", "example2", "theorem1-smooth"])
def test_a_job_file_from_python_is_the_same_experiment(job, tmp_path):
    path = ROOT / "jobs" / f"{job}.toml"
    few = {"iterations": 12, "repeats": 2}
    given = mpisign.load_experiment(path, overrides=few)
    expected = run_alone(tmp_path, path.read_text(), *(f"{key}={value}" for key, value in few.items()))
    results = mpisign.run(given, progress=False)
    assert hashes(results) == hashes(mpisign.load(expected))
    (tmp_path / "again.toml").write_text(given.to_toml())
    again = mpisign.run(mpisign.load_experiment(str(tmp_path / "again.toml")), progress=False)
    assert hashes(again) == hashes(results)


def test_an_experiment_of_objects_is_that_of_its_job_file(tmp_path):
    made = experiment(repeats=3, log={"every": 1, "iterates": True}, start=mpisign.Point(x=[1.0, -2.0]))
    (tmp_path / "job.toml").write_text(made.to_toml())
    in_memory = mpisign.run(made, progress=False)
    in_file = mpisign.run(mpisign.load_experiment(tmp_path / "job.toml"), str(tmp_path / "r.h5"), progress=False)
    assert hashes(in_memory) == hashes(in_file)
    assert (in_memory["scaled-sign"].x == in_file["scaled-sign"].x).all()
    assert in_memory["scaled-sign"].x.shape == (3, 21, 2)


def test_the_arrays_are_over_repeats_and_records():
    run = mpisign.run(experiment(repeats=2, log={"every": 5}), progress=False)["scaled-sign"]
    assert run.k.tolist() == [0, 5, 10, 15, 20]
    assert run.gap.shape == run.value.shape == run.bits_up.shape == (2, 5)
    assert run.bits_up.dtype == np.int64
    assert (run.gap == run.value - run.f_star).all()
    assert run.attributes["step.alpha"] == 0.05
    assert (run.repeats, run.status) == ([0, 1], ["complete", "complete"])
    assert "2 repeats" in repr(run)
    assert repr(experiment()) == "<experiment unnamed: separable, 1 repeat of 'scaled-sign'>"
    with pytest.raises(AttributeError, match="it has k, value"):
        run.nothing  # noqa: B018
    with pytest.raises(AttributeError, match="iterates = true"):
        run.x  # noqa: B018


def test_a_repeat_that_diverges_is_filled_up():
    wild = mpisign.Run(method=mpisign.GD(), step=mpisign.Constant(alpha=1e200))
    run = mpisign.run(experiment(runs=[wild], log={"every": 1}), progress=False)["gd"]
    assert run.status == ["diverged"]
    assert "none complete" in repr(run)
    assert run.to_dataframe().shape[0] == len(run.k)


def test_frames_and_datasets():
    results = mpisign.run(
        experiment(
            repeats=2,
            runs=[
                mpisign.Run(method=mpisign.GD(), step=mpisign.Constant(alpha=0.1), iterations=10),
                mpisign.Run(method=mpisign.Sign(), step=mpisign.Harmonic(c=1.0)),
            ],
        ),
        progress=False,
    )
    frame = results.to_dataframe()
    assert set(frame.run) == {"gd", "sign"}
    assert len(frame) == 2 * (len(results["gd"].k) + len(results["sign"].k))
    dataset = results.to_xarray()
    assert dict(dataset.sizes) == {"run": 2, "repeat": 2, "k": 21}
    last = dataset["gap"].sel(run="sign", k=20).to_numpy()
    assert (last == results["sign"].gap[:, -1]).all()
    assert np.isnan(dataset["gap"].sel(run="gd", k=20)).all()
    assert results["gd"].to_xarray()["bits_up"].attrs["units"] == "bit"


WRONG = {
    "an unknown setting": (lambda: mpisign.Logistic(dat="digits"), "dat: unknown key; did you mean data?"),
    "a value of a method": (lambda: mpisign.ScaledSign(scale="l2"), "scale: expected 'l1' or 'mean', got 'l2'"),
    "a step": (lambda: mpisign.Constant(alpha=-1.0), "alpha: expected a number greater than 0, got -1.0"),
    "a method for a step": (
        lambda: experiment(runs=[mpisign.Run(method=mpisign.GD(), step=mpisign.GD())]),
        "runs.0.step: expected a StepSize, got GD",
    ),
    "no run": (lambda: experiment(runs=[3]), "runs.0: expected a Run or a table, got int"),
    "no iterations": (lambda: experiment(iterations=None), "runs.0.iterations: missing"),
    "repeats": (lambda: experiment(repeats=0), "repeats: expected"),
    "a repeat": (
        lambda: mpisign.run(experiment(), repeats=range(1, 3)),
        "repeats: expected a range",
    ),
    "data": (lambda: mpisign.run(experiment(problem=mpisign.Logistic(data="nowhere"))), "problem.data: no file and no"),
    "an axis": (lambda: mpisign.plot.gaps(mpisign.run(experiment(), progress=False), x="days"), "x: expected one of"),
    "a constant": (
        lambda: mpisign.check(mpisign.run(experiment(), progress=False), mu=-1.0),
        "mu: expected a finite number > 0, got -1.0",
    ),
    "no constant": (lambda: mpisign.check(mpisign.run(experiment(), progress=False), nu=1.0), "nu: unknown key"),
    "an override": (lambda: mpisign.load_experiment(ROOT / "jobs/ce-a.toml", {"repeats": "many"}), "repeats"),
    "a setting by position": (
        lambda: mpisign.Constant(0.1),
        "Constant: expected settings by keyword, such as alpha=0.1",
    ),
    "a class": (
        lambda: experiment(problem=mpisign.Problem),
        "problem: expected a Problem, got the class Problem; make one of it",
    ),
    "a file": (lambda: mpisign.load("nowhere.h5"), "nowhere.h5: no such file"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_does_not_fit_names_the_key(what):
    make, said = WRONG[what]
    with pytest.raises(mpisign.InputError) as refused:
        make()
    assert said in str(refused.value)


def test_a_label_that_is_not_there_names_those_that_are():
    results = mpisign.run(experiment(), progress=False)
    with pytest.raises(KeyError, match="did you mean scaled-sign"):
        results["scaled-sing"]


def test_a_file_is_refused_replaced_or_gone_on_with(tmp_path):
    path = tmp_path / "r.h5"
    first = mpisign.run(experiment(repeats=2), path, progress=False)
    with pytest.raises(mpisign.InputError, match='mode="resume"'):
        mpisign.run(experiment(repeats=2), path, progress=False)
    assert hashes(mpisign.run(experiment(repeats=2), path, mode="resume", progress=False)) == hashes(first)
    other = mpisign.run(experiment(repeats=2, seed=2), path, mode="overwrite", progress=False)
    assert hashes(other) != hashes(first)
    with pytest.raises(mpisign.InputError, match="seed"):
        mpisign.run(experiment(repeats=2), path, mode="resume", progress=False)
    assert len(hashes(mpisign.run(experiment(), tmp_path / "new.h5", mode="resume", progress=False))) == 1


class LeastSquares(mpisign.Problem):
    """f(x) = ||Ax - b||^2 / 2, of arrays that no job file can hold."""

    minimum_value = 0.0

    def __init__(self, matrix, right):
        self.matrix, self.right, self.dimension = matrix, right, matrix.shape[1]

    def value(self, x):
        return 0.5 * float(((self.matrix @ x - self.right) ** 2).sum())

    def gradient(self, x, out):
        out[:] = self.matrix.T @ (self.matrix @ x - self.right)


@mpisign.settings
class Slow(mpisign.StepSize):
    """alpha_k = first / (k + 1)^power"""

    first: float
    power: float = 0.5

    def plan(self, samples):
        return lambda k: self.first / (k + 1) ** self.power


def test_kinds_of_one_s_own(tmp_path):
    run = mpisign.Run(method=mpisign.GD(), step=Slow(first=0.3))
    results = mpisign.run(experiment(problem=LeastSquares(np.eye(2), np.ones(2)), runs=[run]), progress=False)
    assert results["gd"].gap[0, -1] < results["gd"].gap[0, 0]
    made = experiment(runs=[run])
    assert 'kind = "test_api:Slow"' in made.to_toml()
    again = mpisign.run(mpisign.load_experiment(_written(tmp_path, made)), progress=False)
    assert hashes(again) == hashes(mpisign.run(made, progress=False))


class Scaled(mpisign.Problem):
    """f(x) = factor ||x||^2 / 2; nothing of it is in a job file but its name."""

    dimension, minimum_value = 2, 0.0

    def __init__(self, factor=1.0):
        self.factor = factor

    def value(self, x):
        return 0.5 * self.factor * float(x @ x)

    def gradient(self, x, out):
        out[:] = self.factor * x


class Plain(Scaled):
    """No settings, and no state: its name says all."""

    factor = 3.0

    def __init__(self):
        pass


@pytest.mark.parametrize("factor", [1.0, 5.0])
def test_a_problem_that_is_given_is_the_one_that_is_run(factor, tmp_path):
    """Not another one of its class, made by its defaults."""
    made = experiment(problem=Scaled(factor), start=mpisign.Point(x=[1.0, 2.0]))
    results = mpisign.run(made, progress=False)
    assert results["scaled-sign"].value[0, 0] == 2.5 * factor
    with pytest.raises(mpisign.InputError, match="its settings are not known"):
        made.to_toml()
    plain = experiment(problem=Plain(), start=mpisign.Point(x=[1.0, 2.0]))
    assert 'kind = "test_api:Plain"' in plain.to_toml()
    assert mpisign.run(plain, progress=False)["scaled-sign"].value[0, 0] == 7.5


class Factor(mpisign.StepSize):
    def __init__(self, factor=1.0):
        self.factor = factor

    def plan(self, samples):
        return lambda k: self.factor


def test_other_objects_whose_settings_are_not_known_are_refused():
    with pytest.raises(mpisign.InputError, match=r"runs.0.step: Factor cannot be written .* decorate the class with"):
        experiment(runs=[mpisign.Run(method=mpisign.GD(), step=Factor(0.1))])


def test_resume_refuses_other_arrays(tmp_path, monkeypatch):
    """A problem that does not say what its data are is told apart by its arrays."""
    (tmp_path / "arrays.py").write_text(ARRAYS)
    (tmp_path / "job.toml").write_text(
        'iterations = 5\nproblem = { kind = "arrays:FromFile", data = "a.npy" }\n'
        '[[runs]]\nmethod = "gd"\nstep = { kind = "constant", alpha = 0.1 }\n'
    )
    paths = {"cwd": tmp_path, "PYTHONPATH": f"{tmp_path}:{HELPERS}"}
    done = launched("run", "job.toml", "-o", "r.h5", **paths)
    assert (done.returncode, done.stderr) == (
        2,
        "mpisign: job.toml: problem: arrays:FromFile: a.npy: No such file or directory\n",
    )
    np.save(tmp_path / "a.npy", np.ones(3))
    assert launched("run", "job.toml", "-o", "r.h5", **paths).returncode == 0
    assert launched("run", "job.toml", "-o", "r.h5", "--resume", **paths).returncode == 0
    np.save(tmp_path / "a.npy", np.full(3, 2.0))
    done = launched("run", "job.toml", "-o", "r.h5", "--resume", **paths)
    assert done.returncode == 2
    assert "other data" in done.stderr


ARRAYS = """
import numpy as np
import mpisign

class FromFile(mpisign.Problem):
    minimum_value = 0.0

    def __init__(self, data: str):
        self.weights_of_x = np.load(data)
        self.dimension = len(self.weights_of_x)

    def value(self, x):
        return float(self.weights_of_x @ (x * x))

    def gradient(self, x, out):
        out[:] = 2 * self.weights_of_x * x
"""


class Bottomless(Scaled):
    def value(self, x):
        return super().value(x) - 4.0


class Unsaid(Plain):
    minimum_value = None


def test_an_f_star_that_is_wrong_or_assumed_is_said(capsys):
    from mpisign.storage import remarks, summary

    results = mpisign.run(experiment(problem=Bottomless(1.0)), progress=False)
    (said,) = remarks.remarks(results.trajectory)
    assert "below f* = 0: that f* is wrong" in said
    assumed = mpisign.run(experiment(problem=Unsaid()), progress=False)
    assert "f* is taken to be 0" in capsys.readouterr().err
    assert "f* = 0 assumed" in summary.text(assumed.trajectory)
    known = mpisign.run(experiment(problem=Plain()), progress=False)
    assert "f* = 0 +- 0" in summary.text(known.trajectory)


def _written(folder, made):
    (folder / "job.toml").write_text(made.to_toml())
    return folder / "job.toml"


def test_a_problem_of_arrays_cannot_be_written_but_run_to_a_file(tmp_path):
    made = experiment(problem=LeastSquares(np.eye(2), np.ones(2)))
    with pytest.raises(mpisign.InputError, match="its settings are not known; decorate the class with"):
        made.to_toml()
    assert len(mpisign.run(made, tmp_path / "r.h5", progress=False)) == 1
    with pytest.raises(mpisign.InputError, match="expected create or overwrite"):
        mpisign.run(made, tmp_path / "r.h5", mode="resume", progress=False)


def test_it_runs_in_a_thread_and_twice_in_one_process():
    found = []
    thread = threading.Thread(target=lambda: found.append(mpisign.run(experiment(), progress=False)))
    thread.start()
    thread.join()
    assert hashes(found[0]) == hashes(mpisign.run(experiment(), progress=False))


def test_a_notebook_gets_a_notebook_s_bar(monkeypatch):
    from mpisign import progress

    class ZMQInteractiveShell:
        pass

    class IPython:
        get_ipython = staticmethod(ZMQInteractiveShell)

    assert not progress._in_notebook()
    monkeypatch.setitem(sys.modules, "IPython", IPython)
    monkeypatch.setattr(progress, "find_spec", lambda name: None)
    assert not progress._in_notebook()
    monkeypatch.setattr(progress, "find_spec", lambda name: name)
    assert progress._in_notebook()


SCRIPT = """
import sys
import mpisign

experiment = mpisign.load_experiment(sys.argv[1], {"iterations": 30, "repeats": 2})
for output in (None, "out.h5"):
    results = mpisign.run(experiment, output, progress=False)
    if results is not None:
        print([repeat.sha256 for record in results.trajectory for repeat in record.repeats])
"""


@pytest.mark.ranks
@pytest.mark.parametrize("mpi", ["mpich", "openmpi"])
def test_the_same_call_on_every_rank(mpi, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    job = ROOT / "jobs" / "quickstart.toml"
    folder = programs(mpi)
    done = call(
        [folder / "mpiexec", "-n", "3", *python_of_ranks(mpi), "script.py", job], cwd=tmp_path, PYTHONPATH=str(ROOT)
    )
    assert (done.returncode, done.stderr) == (0, "")
    one, other = done.stdout.splitlines()
    alone = mpisign.run(mpisign.load_experiment(job, {"iterations": 30, "repeats": 2, **_workers(job)}), progress=False)
    assert one == other == str(hashes(alone))


@pytest.mark.ranks
@pytest.mark.parametrize("mpi", ["mpich", "openmpi"])
def test_an_error_of_one_rank_ends_all(mpi, tmp_path):
    """The others have no results to work on, and rank 0 would wait for them in the second call."""
    (tmp_path / "script.py").write_text(SCRIPT.replace("    if results is not None:", "    if True:"))
    folder = programs(mpi)
    command = [folder / "mpiexec", "-n", "3", folder / "python", "script.py", ROOT / "jobs" / "quickstart.toml"]
    done = call(command, cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert done.returncode not in (0, None)
    assert "'NoneType' object has no attribute 'trajectory'" in done.stderr
    assert "ending all ranks" in done.stderr
    assert "excepthook" not in done.stderr


def _workers(job):
    """The M that three ranks give to runs without one."""
    runs = mpisign.load_experiment(job).settings.runs
    return {f"runs.{i}.workers": 2 for i, run in enumerate(runs) if run.workers is None}
