"""Iterations in compiled code give the trajectory of the interpreted loop, bit for bit."""

import ctypes
import os
import signal

import h5py
import numpy as np
import pytest
from numba.core import caching, types
from numba.core.runtime import _nrt_python, rtsys

import mpisign
from digests import digests, policies
from mpisign.aggregation.compiled_travel import NO_SIGNALS, Travel
from mpisign.aggregation.exchange import Central
from mpisign.algorithms import compiled_loop
from mpisign.algorithms.methods import METHODS, ScaledSign
from mpisign.algorithms.oracles import ORACLES
from mpisign.cli.main import main
from mpisign.compiled import mpi_calls, native, routines
from mpisign.compiled.draws import draws_of
from mpisign.config.validation import settings
from mpisign.problems import PROBLEMS
from mpisign.problems.quadratic import Separable
from mpisign.rng import RandomStreams, Stream
from mpisign.storage.trajectory import Trajectory

HEAD = "seed = 7\nrepeats = 2\niterations = 60\nlog = { every = 25, iterates = true }\n"
STEP = 'step = { kind = "constant", alpha = 1e-3 }\n'


def run(label, method, workers, oracle="", step=STEP):
    """A run of a job, as text."""
    return f'[[runs]]\nlabel = "{label}"\nmethod = "{method}"\nworkers = {workers}\n{step}{oracle}'


def compared(folder, monkeypatch, text):
    """Run a job in the interpreter and compiled; returns both files and asserts that they are the same."""
    (folder / "job.toml").write_text(text)
    files = [folder / "never.h5", folder / "always.h5"]
    for file in files:
        monkeypatch.setenv("MPISIGN_COMPILE", file.stem)
        assert main(["run", str(folder / "job.toml"), "-o", str(file)]) == 0
    interpreted, compiled = (digests(file) for file in files)
    assert interpreted == compiled
    return files


def compiled_iterations(file):
    """How many iterations of each run's first repeat were compiled."""
    return {one.label: one.repeats[0].compiled for one in Trajectory(file)}


def test_every_method_zeros_policy_and_number_of_workers(tmp_path, monkeypatch):
    """Raw counts with many zero pixels: planes of zeros travel, coins are tossed, votes are tied."""
    runs = [
        run(f"{method} {zeros} {workers}", method, workers)
        + (f'zeros = "{zeros}"\n' if len(policies(method)) > 1 else "")
        for method in METHODS
        for zeros in policies(method)
        for workers in (1, 2, 3, 7)
    ]
    problem = 'problem = { kind = "logistic", data = "digits", scaling = "raw" }\n'
    oracle = 'oracle = { kind = "minibatch", batch = 2 }\nstart = { kind = "zeros" }\n'
    files = compared(tmp_path, monkeypatch, HEAD + problem + oracle + "".join(runs))
    # Of 60 iterations those at 0, 25 and 50 are recorded, which the interpreter does.
    assert set(compiled_iterations(files[1]).values()) == {57}
    assert set(compiled_iterations(files[0]).values()) == {0}
    with h5py.File(files[1]) as file:
        assert file["runs/sign exact 2/repeats/0000/bits_up"][-1] > 60 * 128 * 2  # zeros were met


PROBLEM_TABLES = {
    "logistic": 'kind = "logistic", data = "wine", scaling = "raw", regulariser = "nonconvex"',
    "separable": 'kind = "separable", eigenvalues = [1.0, 0.5, 3.0]',
    "quadratic": 'kind = "quadratic", matrix = [[2.0, 1.0, 0.0], [1.0, 2.0, 0.5], [0.0, 0.5, 1.0]]',
    "toy": 'kind = "toy", frequencies = [1.0, 2.0, 0.7]',
    "finite-quadratic": 'kind = "finite-quadratic", eigenvalues = [1.0, 1.0], weights = [0.25, 0.25, 0.5], '
    "atoms = [[-1.0, 1.0], [1.0, -1.0], [0.0, 0.0]]",
}
ORACLE_TABLES = {
    "full": ['kind = "full"'],
    "minibatch": ['kind = "minibatch", batch = 3', 'kind = "minibatch", batch = 2, decoupled = true'],
    "additive": [
        'kind = "additive", noise = "normal", size = 0.1, flipped = 1',
        'kind = "additive", noise = "uniform", size = 0.1',
        'kind = "additive", noise = "three-point", size = 0.1, q = 0.2',
    ],
    "paired": ['kind = "paired", e = 0.05, h = 0.01'],
    "sideways": ['kind = "sideways", e = 0.25, h = 0.01, b = 0.5'],
}


def test_the_tables_name_every_kind():
    assert set(PROBLEM_TABLES) == set(PROBLEMS)
    assert set(ORACLE_TABLES) == set(ORACLES)


@pytest.mark.parametrize("problem", PROBLEM_TABLES)
def test_every_problem_and_oracle(tmp_path, monkeypatch, problem):
    tables = [table for some in ORACLE_TABLES.values() for table in some]
    if problem not in ("logistic", "finite-quadratic"):
        tables = [table for table in tables if "minibatch" not in table]
    if problem == "logistic":  # its gradient takes seconds to compile; the noise is that of the other problems
        tables = [table for table in tables if "additive" not in table]
    runs = [
        run(
            f"{number}",
            "scaled-sign",
            2,
            f"oracle = {{ {table} }}\n",
            'step = { kind = "harmonic", c = 0.5, k0 = 9 }\n',
        )
        for number, table in enumerate(tables)
    ]
    files = compared(tmp_path, monkeypatch, HEAD + f"problem = {{ {PROBLEM_TABLES[problem]} }}\n" + "".join(runs))
    found = compiled_iterations(files[1])
    for number, table in enumerate(tables):
        # The laws that depend on x are Python's.
        assert found[f"{number}"] == (0 if "paired" in table or "sideways" in table else 57)


def test_shards_on_every_number_of_workers(tmp_path, monkeypatch):
    """Of 178 data points; with 3 and 7 workers some own one more than others, and one draws all that it owns."""
    oracle = 'oracle = {{ kind = "minibatch", batch = {}, sampling = "shard" }}\n'
    runs = [
        run(f"{workers}", "sign", workers, oracle.format(batch))
        for workers, batch in ((1, 178), (2, 3), (3, 59), (7, 1))
    ]
    files = compared(tmp_path, monkeypatch, HEAD + 'problem = { kind = "logistic", data = "wine" }\n' + "".join(runs))
    assert set(compiled_iterations(files[1]).values()) == {57}


def test_sparse_rows_and_a_run_that_diverges(tmp_path, monkeypatch):
    rows = "".join(f"{1 if i % 3 else -1} {1 + i % 4}:{1 + i % 5} {6 + i % 2}:2\n" for i in range(30))
    (tmp_path / "rows.svm").write_text(rows)
    problem = f'problem = {{ kind = "logistic", data = "{tmp_path / "rows.svm"}" }}\n'
    oracle = 'oracle = { kind = "minibatch", batch = 2 }\n'
    away = 'step = { kind = "constant", alpha = 1e200 }\n'
    runs = (
        run("near", "gd", 2, oracle) + run("away", "gd", 2, oracle, away) + run("off", "scaled-sign", 1, oracle, away)
    )
    with np.errstate(all="ignore"):
        files = compared(tmp_path, monkeypatch, HEAD + problem + runs)
    with h5py.File(files[0]) as never, h5py.File(files[1]) as always:
        for label in ("away", "off"):
            attributes = [file[f"runs/{label}/repeats/0000"].attrs for file in (never, always)]
            assert attributes[0]["diverged_at"] == attributes[1]["diverged_at"]
            assert 0 < attributes[1]["compiled"] < 60


def test_a_run_that_was_stopped_goes_on_the_other_way(tmp_path, monkeypatch, capsys):
    """Stopped by a signal in compiled code, and resumed in the interpreter."""
    (tmp_path / "job.toml").write_text(
        'iterations = 400000\nlog = { points = 20 }\nproblem = { kind = "separable", eigenvalues = [1.0, 2.0] }\n'
        'oracle = { kind = "additive", noise = "uniform", size = 0.1 }\n' + run("a", "signum", 2)
    )
    job = str(tmp_path / "job.toml")
    monkeypatch.setenv("MPISIGN_COMPILE", "always")
    assert main(["run", job, "-o", str(tmp_path / "whole.h5")]) == 0
    ahead = compiled_loop.Compiled._ahead
    sent = []

    def interrupted(self, k, stop):
        reached = ahead(self, k, stop)
        if reached > 60000 and not sent:
            sent.append(os.kill(os.getpid(), signal.SIGTERM))
        return reached

    monkeypatch.setattr(compiled_loop.Compiled, "_ahead", interrupted)
    output = str(tmp_path / "stopped.h5")
    assert main(["run", job, "-o", output]) == 75
    monkeypatch.setenv("MPISIGN_COMPILE", "never")
    assert main(["run", job, "-o", output, "--resume"]) == 0
    assert digests(output) == digests(tmp_path / "whole.h5")
    assert 0 <= Trajectory(output).runs[0].repeats[0].compiled < 400000


class Own(ScaledSign):
    """A step of one's own."""

    def step(self, x, alpha, reply, shared):
        reply.subtract_from(x, 2 * alpha)


@settings
class OwnCompiled(ScaledSign):
    """A step of one's own that numba compiles."""

    compilable = True
    longer: float = 2.0

    def step(self, x, alpha, reply, shared):
        reply.subtract_from(x, alpha * self.longer * reply.number)


@settings
class CannotBeCompiled(ScaledSign):
    """A step that says it can be compiled, and cannot."""

    compilable = True

    def step(self, x, alpha, reply, shared):
        reply.subtract_from(x, float(str(alpha)))


@pytest.mark.parametrize(("method", "compiled"), [(OwnCompiled(), 38), (CannotBeCompiled(), 0), (Own(), 0)])
def test_a_method_of_ones_own(monkeypatch, method, compiled):
    """Three of 40 iterations are recorded, the last one among them, which is none."""
    monkeypatch.delenv("MPISIGN_COMPILE", raising=False)
    run = mpisign.Run(method=method, step=mpisign.Constant(alpha=1e-2), workers=3)
    problem, log = mpisign.Separable(eigenvalues=[1.0, 2.0]), {"points": 3}
    job = mpisign.Experiment(problem=problem, iterations=40, log=log, runs=[run])
    repeats = []
    for count in (None, 10):
        monkeypatch.setattr(compiled_loop, "_affordable", lambda kind, first, count=count: count)
        repeats.append(mpisign.run(job, progress=False).trajectory.runs[0].repeats[0])
    assert repeats[0].columns["value"].tolist() == repeats[1].columns["value"].tolist()
    assert [one.compiled for one in repeats] == [0, compiled]


@settings
class WithTemporaries(ScaledSign):
    """A step that makes new arrays of those that it is given, and numba can compile."""

    compilable = True

    def step(self, x, alpha, reply, shared):
        new, same = x.copy(), np.empty_like(x)
        same[:] = (new + x) / 2.0
        x[:] = same
        reply.subtract_from(x, alpha * reply.number)


def test_what_a_compiled_method_allocates_is_freed(monkeypatch):
    """Views own nothing; what is made of them does, and is freed."""
    monkeypatch.setenv("MPISIGN_COMPILE", "always")
    problem, log = mpisign.Separable(eigenvalues=[1.0, 2.0]), {"points": 3}
    repeats, counts = [], []
    _nrt_python.memsys_enable_stats()
    try:
        for method in (WithTemporaries(), ScaledSign()):
            run = mpisign.Run(method=method, step=mpisign.Constant(alpha=1e-2), workers=1)
            job = mpisign.Experiment(problem=problem, iterations=40, log=log, runs=[run])
            before = rtsys.get_allocation_stats()
            repeats.append(mpisign.run(job, progress=False).trajectory.runs[0].repeats[0])
            counts.append(np.subtract(rtsys.get_allocation_stats(), before))
    finally:
        _nrt_python.memsys_disable_stats()
    assert [repeat.compiled for repeat in repeats] == [38, 38]
    allocated, freed, *_ = counts[0]
    assert 3 * 38 <= allocated == freed
    assert repeats[0].columns["value"].tolist() == repeats[1].columns["value"].tolist()


class OwnGradient(Separable):
    """A gradient of one's own, whose inherited text would be another."""

    def gradient(self, x, out):
        out[:] = 3.0 * x


def test_kinds_of_ones_own_are_interpreted():
    assert ScaledSign.compilable
    assert not Own.compilable
    assert Separable(eigenvalues=[1.0]).gradient_part().compilable
    part = OwnGradient(eigenvalues=[1.0]).gradient_part()
    assert not part.compilable
    out = np.zeros(1)
    part.text.plain(part.parameters, np.ones(1), out)
    assert out == [3.0]


def test_nothing_is_compiled_before_its_time(monkeypatch):
    """By default compilation waits for as many seconds as it takes; what is on the disk is used earlier."""
    monkeypatch.delenv("MPISIGN_COMPILE", raising=False)
    kind = ("a kind",)
    monkeypatch.setitem(compiled_loop._spent, kind, 0.01)
    assert compiled_loop._affordable(kind) is None
    compiled_loop._spent[kind] = 0.1
    assert compiled_loop._affordable(kind) == 0
    compiled_loop._absent.add(kind)
    assert compiled_loop._affordable(kind) is None
    compiled_loop._spent[kind] = 2 * compiled_loop.PATIENCE
    assert compiled_loop._affordable(kind) == 1
    monkeypatch.setenv("MPISIGN_COMPILE", "never")
    assert compiled_loop._affordable(kind) is None
    compiled_loop._absent.discard(kind)


def test_routines_of_one_name_are_two_symbols():
    """Compiled in two processes they may have the same number; the name alone tells them apart in a third."""

    def adding(number):
        def glue(x):
            x[0] += number

        return glue

    kinds = (types.Array(types.float64, 1, "C"),)
    made = [routines.routine(adding(n), kinds, ["test", n], routines.Budget(1)) for n in (1, 2)]
    names = [next(iter(one.overloads.values())).fndesc.qualname for one in made]
    assert len(set(names)) == 2
    out = np.zeros(1)
    made[0](out)
    assert out == [1.0]
    made[1](out)
    assert out == [3.0]


def test_a_function_from_elsewhere_is_not_kept_on_disk():
    """What it calls may change in a file that nobody looks at."""
    kinds = (types.Array(types.float64, 1, "C"),)

    def glue(x):
        x[0] += 1.0

    with pytest.raises(routines.NotOnDisk):
        routines.routine(glue, kinds, [Own.step], routines.Budget(0))
    made = routines.routine(glue, kinds, [Own.step], routines.Budget(1))
    assert isinstance(made._cache, caching.NullCache)


def test_by_default_it_is_compiled_one_routine_after_the_other(monkeypatch):
    monkeypatch.delenv("MPISIGN_COMPILE", raising=False)
    monkeypatch.setattr(compiled_loop, "PATIENCE", 0.0)
    run = mpisign.Run(method=mpisign.Sign(), step=mpisign.Constant(alpha=1e-2), workers=3)
    problem, log = mpisign.Separable(eigenvalues=[1.0, 2.0]), {"points": 3}
    job = mpisign.Experiment(problem=problem, iterations=3000, log=log, runs=[run])
    repeat = mpisign.run(job, progress=False).trajectory.runs[0].repeats[0]
    assert 0 < repeat.compiled < 3000


def test_an_error_of_mpi_ends_the_run(monkeypatch):
    """In its place abs(-7), whose answer is no 0; nothing is called after it."""
    absolute = ctypes.cast(ctypes.CDLL(None).abs, ctypes.c_void_p).value
    calls = np.zeros((1, native.WORDS), dtype=np.int64)
    calls[0, :2] = absolute, -7
    monkeypatch.setattr(Central, "travel", lambda self: Travel(calls, native.NO_CALLS, NO_SIGNALS))
    monkeypatch.setenv("MPISIGN_COMPILE", "always")
    run = mpisign.Run(method=mpisign.Sign(), step=mpisign.Constant(alpha=1e-2), workers=3)
    problem, log = mpisign.Separable(eigenvalues=[1.0, 2.0]), {"points": 3}
    job = mpisign.Experiment(problem=problem, iterations=40, log=log, runs=[run])
    with pytest.raises(OSError, match="MPI's error code 7 in a round"):
        mpisign.run(job, progress=False)


def test_the_generator_is_placed_as_numpy_has_it():
    streams = RandomStreams(3, 2)
    draws = draws_of(streams)
    streams.generator(Stream.ORACLE, 11, 12)
    assert draws.counter.tolist() == [0, 12, 11, 2]
    assert draws.key.tolist() == [3, Stream.ORACLE]


@pytest.mark.parametrize("code", [0, 7])
def test_a_call_is_made_until_it_says_that_it_is_finished(code):
    """As a wait for a message is; and an error of MPI ends it."""
    flag, count = np.zeros(1, dtype=np.int64), []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_long)
    def look(argument):
        count.append(argument)
        flag[0] = len(count) == 40 and not code
        return code * (len(count) == 20)

    calls = np.zeros((2, native.WORDS), dtype=np.int64)
    calls[0, [0, 1, -1]] = ctypes.cast(look, ctypes.c_void_p).value, 11, flag.ctypes.data
    calls[1, :2] = calls[0, 0], 12  # made once, where it is made
    assert mpi_calls.run(calls) == code
    assert count == ([11] * 20 if code else [11] * 40 + [12])
