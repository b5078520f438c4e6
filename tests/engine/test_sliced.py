"""Signs that are packed as gradients are made give the trajectory of whole gradients, bit for bit."""

import h5py
import numpy as np
import pytest

from digests import digests, policies
from mpisign.aggregation import bitplanes
from mpisign.aggregation.messages import SignMessage
from mpisign.algorithms import oracles, sliced
from mpisign.algorithms.methods import METHODS, Method
from mpisign.algorithms.oracles import ORACLES, Minibatch
from mpisign.cli.main import main
from mpisign.comm.shared_arrays import unshared
from mpisign.config.validation import settings
from mpisign.problems import PROBLEMS

D = 200
"""Three slices of 64 coordinates, and 8 more."""
RNG = np.random.default_rng(3)


def problems(folder):
    """Dense data with zeros in float64 and float32, and problems whose coordinates are made one by one."""
    features = RNG.integers(-2, 3, (40, D)) * RNG.random((40, D))
    labels = np.where(np.arange(40) % 2, 1.0, -1.0)
    for dtype in (np.float64, np.float32):
        with h5py.File(folder / f"{dtype.__name__}.h5", "w") as file:
            file["features"], file["labels"] = features.astype(dtype), labels
    frequencies = RNG.uniform(0.5, 2, D).tolist()
    return {
        "float64 rows": f'kind = "logistic", data = "{folder}/float64.h5"',
        "float32 rows": f'kind = "logistic", data = "{folder}/float32.h5", regulariser = "nonconvex"',
        "separable": f'kind = "separable", eigenvalues = {np.round(RNG.random(D), 1).tolist()}',
        "toy": f'kind = "toy", frequencies = {frequencies}',
    }


SOURCES = {
    "full": '{ kind = "full" }',
    "flipped": '{ kind = "full", flipped = 1 }',
    "minibatch": '{ kind = "minibatch", batch = 7 }',
    "shard": '{ kind = "minibatch", batch = 3, sampling = "shard", flipped = 2 }',
    "normal": '{ kind = "additive", noise = "normal", size = 0.1 }',
    "uniform": '{ kind = "additive", noise = "uniform", size = 0.1 }',
    "three-point": '{ kind = "additive", noise = "three-point", size = 0.1, q = 0.25 }',
}


def job(problem, oracle, precision):
    """Every method that sends its gradient's signs, with every zeros policy."""
    lines = [
        "iterations = 12",
        f"problem = {{ {problem} }}",
        f"oracle = {oracle}",
        "log = { every = 4, iterates = true }",
    ]
    lines += ['start = { kind = "zeros" }'] if "full" not in oracle else []
    methods = [name for name in METHODS if METHODS[name].encode is Method.encode and METHODS[name].message == "signs"]
    for method in methods:
        for number, zeros in enumerate(policies(method)):
            lines += ["[[runs]]", f'label = "{method} {zeros}"', f'method = "{method}"', f"workers = {2 + number}"]
            lines += [f'precision = "{precision}"', f'zeros = "{zeros}"', 'step = { kind = "constant", alpha = 0.01 }']
    assert len(methods) >= 3
    return "\n".join(lines)


@pytest.fixture
def small(monkeypatch):
    """Slices of 64 coordinates from whatever d on; returns how often messages were put so, and how many slices."""
    counts = [0, 0]
    put = SignMessage.put_slices

    def counted(self, write, room):
        counts[0] += 1

        def write_one(start, out):
            counts[1] += 1
            write(start, out)

        put(self, write_one, room)

    monkeypatch.setattr(sliced, "FROM", 1)
    monkeypatch.setattr(sliced, "SLICE", 64)
    monkeypatch.setattr(oracles, "SLICE", 64)
    monkeypatch.setattr(SignMessage, "put_slices", counted)
    return counts


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("oracle", SOURCES)
def test_trajectories_are_those_of_whole_gradients(oracle, precision, small, tmp_path, monkeypatch):
    tables = problems(tmp_path)
    asked = {"full": list(tables), "flipped": ["toy"], "minibatch": list(tables)[:2], "shard": list(tables)[:1]}
    for number, problem in enumerate(tables[name] for name in asked.get(oracle, ["float32 rows", "separable"])):
        (tmp_path / "job.toml").write_text(job(problem, SOURCES[oracle], precision))
        found = []
        for first in (10**9, 1):
            monkeypatch.setattr(sliced, "FROM", first)
            before, file = small[0], tmp_path / f"{number} {first}.h5"
            assert main(["run", str(tmp_path / "job.toml"), "-o", str(file)]) == 0
            assert (small[0] > before) == (first == 1)
            found.append(digests(file))
        assert found[0] == found[1]
    assert small[1] == 4 * small[0] > 0


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_slice_knows_nothing_of_the_others(dtype):
    """Zeros in one slice alone: its plane of v >= 0 is another than that of v > 0, and that of all others is not."""
    vector = RNG.standard_normal(D).astype(dtype)
    vector[130] = 0.0
    rows, planes = np.zeros((2, 1 + bitplanes.words(D)), np.uint64), np.zeros((2, bitplanes.words(D)), np.uint64)
    whole, cut = (SignMessage(D, row, plane, "exact", None) for row, plane in zip(rows, planes, strict=True))
    whole.put(vector)
    cut.put_slices(lambda start, out: np.copyto(out, vector[start : start + len(out)]), np.empty(64, dtype))
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
        "toy": {"frequencies": RNG.uniform(0.5, 2, D).tolist()},
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
        for start in range(0, each.dimension, 5):
            write(start, cut[start : start + 5])
        assert (whole == cut).all()
