"""Signs that are packed as gradients are made give the trajectory of whole gradients, bit for bit."""

import threading
from typing import get_args

import h5py
import numpy as np
import pytest

from digests import digests, policies
from mpisign.aggregation import bitplanes
from mpisign.aggregation.bitplanes import SLICE
from mpisign.aggregation.messages import SignMessage, Zeros
from mpisign.algorithms import sliced
from mpisign.algorithms.methods import METHODS, Method
from mpisign.algorithms.oracles import ORACLES, Minibatch
from mpisign.cli.main import main
from mpisign.comm.shared_arrays import unshared
from mpisign.config.threads import SETTING
from mpisign.config.validation import settings
from mpisign.problems import PROBLEMS

D = SLICE + 200
"""One slice, and a short one whose last word is not full."""
ROWS = 22
RNG = np.random.default_rng(3)


@pytest.fixture(scope="module")
def problems(tmp_path_factory):
    """Dense data with zeros in float64 and float32, and a problem whose coordinates are made one by one."""
    folder = tmp_path_factory.mktemp("data")
    features = RNG.integers(-1, 2, (ROWS, D)) * RNG.random((ROWS, D))
    labels = np.where(np.arange(ROWS) % 2, 1.0, -1.0)
    for dtype in (np.float64, np.float32):
        with h5py.File(folder / f"{dtype.__name__}.h5", "w") as file:
            file["features"], file["labels"] = features.astype(dtype), labels
    tables = {
        "float64 rows": {"kind": "logistic", "data": f"{folder}/float64.h5"},
        "float32 rows": {"kind": "logistic", "data": f"{folder}/float32.h5", "regulariser": "nonconvex"},
        "separable": {"kind": "separable", "eigenvalues": np.round(RNG.random(D), 1).tolist()},
    }
    return {name: PROBLEMS.make(table, "problem", share=unshared) for name, table in tables.items()}


SOURCES = {
    "full": {"kind": "full"},
    "flipped": {"kind": "full", "flipped": 1},
    "minibatch": {"kind": "minibatch", "batch": 7},
    "shard": {"kind": "minibatch", "batch": 3, "sampling": "shard", "flipped": 2},
    "normal": {"kind": "additive", "noise": "normal", "size": 0.1},
    "uniform": {"kind": "additive", "noise": "uniform", "size": 0.1},
    "three-point": {"kind": "additive", "noise": "three-point", "size": 0.1, "q": 0.25},
}


def message(zeros):
    """A message of signs on rows of its own."""
    width, coin = bitplanes.words(D), np.random.default_rng(5).integers(0, 2**64, bitplanes.words(D), np.uint64)
    return SignMessage(D, np.zeros(1 + width, np.uint64), np.zeros(width, np.uint64), zeros, lambda: coin)


def held(message):
    """All that a message has to say."""
    parts = [np.float64(message.number), message.positive, *([message.nonnegative] if message.ternary else [])]
    return [part.tobytes() for part in parts]


@pytest.mark.parametrize("real", [np.float64, np.float32])
@pytest.mark.parametrize("name", SOURCES)
def test_messages_are_those_of_whole_gradients(name, real, problems):
    """Of every source, by every zeros policy, by one thread and by three; noise is drawn in order, and so by one."""
    oracle = ORACLES.make(SOURCES[name], "oracle")
    rooms = [np.empty(SLICE, real) for _ in range(1 if oracle.slices_in_order else 3)]
    assert oracle.slices_in_order == ("noise" in SOURCES[name])
    x = (RNG.standard_normal(D) * RNG.integers(0, 2, D)).astype(real)
    with_zeros = set()
    for problem in problems.values():
        if problem.samples is None and "minibatch" in SOURCES[name].values():
            continue
        problem = problem if real is np.float64 else problem.in_float32
        source, slices = oracle.plan(problem, 3), oracle.plan_slices(problem, 3)
        for worker, zeros in enumerate(get_args(Zeros)):
            whole, gradient = message(zeros), np.empty(D, real)
            source(x, worker, np.random.default_rng(worker), gradient)
            whole.put(gradient)
            with_zeros.add(whole.ternary)
            for some in (rooms[:1], rooms):
                cut = message(zeros)
                sliced.put_slices(cut, slices(x, worker, np.random.default_rng(worker)), some)
                assert held(cut) == held(whole)
    assert True in with_zeros or "noise" in SOURCES[name]


@pytest.mark.parametrize("threads", [1, 3])
def test_trajectories_are_those_of_whole_gradients(threads, tmp_path, monkeypatch):
    """Of every method that sends its gradient's signs, with every zeros policy; by so many threads."""
    lines = ["iterations = 3", "log = { every = 1, iterates = true }", 'oracle = { kind = "full" }']
    lines += [f'problem = {{ kind = "separable", eigenvalues = {np.round(RNG.random(D), 1).tolist()} }}']
    methods = [name for name in METHODS if METHODS[name].encode is Method.encode and METHODS[name].message == "signs"]
    for method in methods:
        for number, zeros in enumerate(policies(method)):
            lines += ["[[runs]]", f'label = "{method} {zeros}"', f'method = "{method}"', f"workers = {2 + number}"]
            lines += [f'zeros = "{zeros}"', 'step = { kind = "constant", alpha = 0.01 }']
    assert len(methods) >= 3
    (tmp_path / "job.toml").write_text("\n".join(lines))
    monkeypatch.setenv(SETTING, str(threads))
    by, put, found = set(), sliced.put_slices, []

    def counted(message, write, rooms):
        put(message, lambda *given: by.add(threading.current_thread()) or write(*given), rooms)

    monkeypatch.setattr(sliced, "put_slices", counted)
    for first in (10**9, 1):
        monkeypatch.setattr(sliced, "FROM", first)
        assert main(["run", str(tmp_path / "job.toml"), "-o", str(tmp_path / f"{first}.h5")]) == 0
        found.append(digests(tmp_path / f"{first}.h5"))
        assert bool(by) == (first == 1)
    assert found[0] == found[1]
    assert (by == {threading.main_thread()}) == (threads == 1)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_slice_knows_nothing_of_the_others(dtype):
    """Zeros in one slice alone: its plane of v >= 0 is another than that of v > 0, and that of all others is not."""
    vector = RNG.standard_normal(D).astype(dtype)
    vector[SLICE + 130] = 0.0
    rows, planes = np.zeros((2, 1 + bitplanes.words(D)), np.uint64), np.zeros((2, bitplanes.words(D)), np.uint64)
    whole, cut = (SignMessage(D, row, plane, "exact", None) for row, plane in zip(rows, planes, strict=True))
    whole.put(vector)
    sliced.put_slices(
        cut, lambda start, out: np.copyto(out, vector[start : start + len(out)]), [np.empty(SLICE, dtype)]
    )
    assert (rows[0] == rows[1]).all()
    assert (planes[0] == planes[1]).all()
    assert bitplanes.count_zeros(cut.positive, cut.nonnegative) == 1


def test_other_sources_have_no_slices_by_inheritance():
    """A source, or a gradient, that is written anew is not what the inherited slices make."""

    @settings
    class Halved(Minibatch):
        def source(self, problem, workers):
            whole = super().source(problem, workers)

            def gradient(x, worker, generator, out):
                whole(x, worker, generator, out)
                np.multiply(out, 0.5, out)

            return gradient

    @settings
    class Planned(Minibatch):
        def plan(self, problem, workers):
            return Halved(batch=self.batch).plan(problem, workers)

    class Doubled(type(PROBLEMS.make({"kind": "toy"}, "problem", share=unshared))):
        def gradient(self, x, out):
            super().gradient(x, out)
            out *= 2

    wine = PROBLEMS.make({"kind": "logistic", "data": "wine"}, "problem", share=unshared)
    assert Minibatch(batch=2).plan_slices(wine, 1) is not None
    assert Halved(batch=2).plan_slices(wine, 1) is None
    assert Planned(batch=2).plan_slices(wine, 1) is None
    assert Minibatch(batch=2, decoupled=True).plan_slices(wine, 1) is None
    assert ORACLES["full"]().plan_slices(Doubled(), 1) is None


@pytest.mark.parametrize("kind", PROBLEMS)
def test_a_problem_with_slices_writes_its_gradient(kind, tmp_path):
    """Every registered problem that says it has slices; slices of any length that begin at whole words."""
    tables = {
        "logistic": {"data": "wine"},
        "separable": {"eigenvalues": RNG.random(D).tolist()},
        "toy": {"frequencies": RNG.uniform(0.5, 2, 2000).tolist()},
        "quadratic": {"matrix": np.eye(3).tolist()},
        "finite-quadratic": {"eigenvalues": [1.0], "atoms": [[1.0], [-1.0]], "weights": [0.5, 0.5]},
    }
    problem = PROBLEMS.make({"kind": kind, **tables[kind]}, "problem", share=unshared)
    assert problem.has_slices == (kind in ("logistic", "separable", "toy"))
    if not problem.has_slices:
        return
    for each in (problem, problem.in_float32):
        x = RNG.standard_normal(each.dimension).astype(each.real)
        whole, cut = np.empty((2, each.dimension), each.real)
        each.gradient(x, whole)
        write = each.gradient_slices(x)
        step = 5 if each.dimension < 1000 else 3000
        for start in range(0, each.dimension, step):
            write(start, cut[start : start + step])
        assert (whole == cut).all()
