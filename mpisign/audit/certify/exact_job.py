"""Read a job file in fractions: what its digits say, 1/10 for 0.1, and not the nearest floats."""

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import comb
from typing import Any, NamedTuple

from mpisign.algorithms.initial_points import STARTS
from mpisign.algorithms.methods import METHODS
from mpisign.algorithms.oracles import ORACLES
from mpisign.algorithms.step_sizes import STEPS
from mpisign.config.document import Table, document_of
from mpisign.config.experiment import Experiment, Run
from mpisign.config.numbers import exactly, fraction
from mpisign.config.validation import InputError, shown
from mpisign.problems import PROBLEMS
from mpisign.theory.certificates import laws
from mpisign.theory.certificates.expectation import Process
from mpisign.theory.certificates.laws import Law, Vector
from mpisign.theory.certificates.quadratics import MOST_COORDINATES, Matrix, diagonal

_MOST_VALUES = 20_000
"""Values of the mean of a mini-batch, before equal ones are merged: each is met at every state."""


class ExactRun(NamedTuple):
    """One run of a job in fractions.

    Attributes:
        label: Its label.
        process: What is enumerated.
        alpha: The constant step size, or None.
        harmonic: (c, k0) of alpha_k = c / (k + k0), or None.
        iterations: How many the job asks for.
    """

    label: str
    process: Process
    alpha: Fraction | None
    harmonic: tuple[Fraction, Fraction] | None
    iterations: int


def exact_run(job: Experiment, run: Run) -> ExactRun:
    """Return a run of a job in fractions.

    Raises:
        InputError: If it is not a run of scaled-sign on a quadratic from a point, its stochastic gradient has no finite
            law, it is in float32, or a number cannot be read exactly; it names the key.
    """
    document = document_of(job.text, job.overrides, exactly)
    number = job.runs.index(run)
    table, path = document["runs"][number], f"runs.{number}"
    problem = _Table(document["problem"], "problem")
    matrix = _matrix(problem)
    if run.precision != "float64":
        raise InputError(f"{path}.precision", f'expected "float64", got {shown(run.precision)}')
    method = METHODS.make(run.method, path, kind="method")
    if run.method["method"] != "scaled-sign":
        raise InputError(f"{path}.method", f'expected "scaled-sign", got {shown(run.method["method"])}')
    own = "oracle" in table
    oracle = _Table(table["oracle"] if own else document.get("oracle", {}), f"{path}.oracle" if own else "oracle")
    divisor = len(matrix) if getattr(method, "scale", "l1") == "mean" else 1
    samples = len(problem.table["atoms"]) if "atoms" in problem.table else None
    alpha, harmonic = _step(_Table(table["step"], f"{path}.step"), divisor, samples)
    c, k0 = harmonic or (Fraction(0), Fraction(1))
    process = Process(
        matrix,
        _start(_Table(document.get("start", {}), "start"), len(matrix)),
        _law(oracle, problem, run, len(matrix)),
        (lambda k: alpha) if alpha is not None else (lambda k: c / (k + k0)),
        run.workers or 1,
        getattr(method, "zeros", "exact"),
        bool(oracle.table.get("decoupled", False)),
    )
    return ExactRun(run.label, process, alpha, harmonic, run.iterations)


class _Table:
    """A table of the job with its path, whose numbers are asked for as fractions."""

    def __init__(self, table: Table, path: str):
        self.table, self.path = table, path

    @property
    def kind(self) -> object:
        return self.table.get("kind")

    def number(self, key: str, default: Fraction | None = None) -> Fraction:
        """Return a number."""
        if key not in self.table and default is not None:
            return default
        return _number(self.table.get(key), f"{self.path}.{key}")

    def vector(self, key: str) -> Vector:
        """Return a list of numbers."""
        return _vector(self.table[key], f"{self.path}.{key}")

    def rows(self, key: str) -> list[Vector]:
        """Return a list of lists of numbers."""
        return [_vector(row, f"{self.path}.{key}.{i}") for i, row in enumerate(self.table[key])]

    def refusal(self, expected: str) -> InputError:
        """Return the complaint about another kind."""
        return InputError(f"{self.path}.kind", f"expected {expected}, got {shown(self.kind)}")


def _number(value: object, key: str) -> Fraction:
    """Return a value of the job as a fraction."""
    if isinstance(value, int | Fraction) and not isinstance(value, bool):
        return Fraction(value)
    found = fraction(value)
    if found is None:
        raise InputError(key, f'expected a number that can be read exactly, such as 0.1 or "1/3", got {shown(value)}')
    return found


def _vector(values: list[object], key: str) -> Vector:
    """Return a list of the job as fractions."""
    return tuple(_number(value, f"{key}.{i}") for i, value in enumerate(values))


def _matrix(problem: _Table) -> Matrix:
    """Return H, after the checks of a run."""
    PROBLEMS.make(_floats(problem.table), "problem")
    if problem.kind not in ("separable", "quadratic", "finite-quadratic"):
        raise problem.refusal("a quadratic: separable, quadratic or finite-quadratic")
    if "eigenvalues" in problem.table:
        return diagonal(problem.vector("eigenvalues"))
    matrix = tuple(problem.rows("matrix"))
    if len(matrix) > MOST_COORDINATES and matrix != diagonal([matrix[i][i] for i in range(len(matrix))]):
        raise InputError(
            "problem.matrix", f"expected at most {MOST_COORDINATES} rows, or a diagonal, got {len(matrix)}"
        )
    return matrix


def _floats(value: Any) -> Any:
    """Return a table with floats in the place of fractions, as a run reads it."""
    if isinstance(value, Mapping):
        return {key: _floats(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_floats(inner) for inner in value]
    return float(value) if isinstance(value, Fraction) else value


def _start(start: _Table, dimension: int) -> Vector:
    """Return x_0 of the first repeat."""
    STARTS.make(_floats(start.table) or {"kind": "normal"}, "start")
    if start.kind == "zeros":
        return (Fraction(0),) * dimension
    if start.kind != "point":
        raise start.refusal('"point": x_0 in numbers')
    x = start.rows("x")[0] if isinstance(start.table["x"][0], list) else start.vector("x")
    if len(x) != dimension:
        raise InputError("start.x", f"expected {dimension} numbers, one a coordinate, got {len(x)}")
    return x


def _step(step: _Table, divisor: int, samples: int | None) -> tuple[Fraction | None, tuple[Fraction, Fraction] | None]:
    """Return alpha, or (c, k0); of what multiplies the l1 norm."""
    STEPS.make(_floats(step.table), step.path).plan(samples)
    if step.kind == "constant":
        return step.number("alpha") / divisor, None
    if step.kind != "harmonic":
        raise step.refusal("constant or harmonic")
    c = step.table["c"]
    of_samples = isinstance(c, str) and c.endswith("n")
    factor = Fraction(c[:-1] or "1") * (samples or 0) if of_samples else step.number("c")
    return None, (factor / divisor, step.number("k0", Fraction(1)))


def _law(oracle: _Table, problem: _Table, run: Run, dimension: int) -> Law:
    """Return the law of a worker's gradient."""
    made = ORACLES.make(run.oracle, oracle.path)
    if getattr(made, "flipped", 0):
        raise InputError(f"{oracle.path}.flipped", "expected 0: workers that send -g~ are not unbiased (Assumption 4)")
    kind = str(run.oracle.get("kind"))
    if kind not in _LAWS:
        known = ", ".join(_LAWS)
        raise InputError(
            f"{oracle.path}.kind", f"expected an oracle with finitely many values: {known}; got {shown(kind)}"
        )
    return _LAWS[kind](oracle, problem, dimension)


def _full(oracle: _Table, problem: _Table, dimension: int) -> Law:
    return laws.exact


def _minibatch(oracle: _Table, problem: _Table, dimension: int) -> Law:
    """Return the law of the mean of a few data points of a finite sum, drawn with replacement."""
    if oracle.table.get("sampling", "iid") != "iid":
        raise InputError(f"{oracle.path}.sampling", 'expected "iid": a shard is not all of the data (Assumption 4)')
    if problem.kind != "finite-quadratic":
        raise problem.refusal('"finite-quadratic", which has data points')
    atoms, weights = problem.rows("atoms"), problem.vector("weights")
    if sum(weights) != 1:
        raise InputError("problem.weights", f"expected a sum of exactly 1, got {sum(weights)}")
    mean = [
        sum((w * a for w, a in zip(weights, column, strict=True)), Fraction(0)) for column in zip(*atoms, strict=True)
    ]
    if any(mean):
        raise InputError("problem.atoms", "expected sum_i w_i c_i = 0 exactly, as the digits are written")
    batch = int(oracle.number("batch"))
    _refuse_many_values(comb(len(atoms) + batch - 1, batch), f"{oracle.path}.batch", batch)
    means, shares = laws.mean_of_draws(atoms, weights, batch)
    return lambda gradient: laws.finite_sum(gradient, means, shares)


def _refuse_many_values(values: int, key: str, batch: int) -> None:
    """Raise InputError where the mean of a mini-batch can have too many values."""
    if values > _MOST_VALUES:
        said = str(values) if values < 10**12 else "more than 1e12"
        raise InputError(key, f"the mean of {batch} draws can have {said} values; expected at most {_MOST_VALUES}")


def _additive(oracle: _Table, problem: _Table, dimension: int) -> Law:
    """Return the law of three-point noise."""
    if oracle.table.get("noise") != "three-point":
        raise InputError(f"{oracle.path}.noise", 'expected "three-point", whose values are finitely many')
    size, q = oracle.number("size"), oracle.number("q")
    return lambda gradient: laws.three_point(gradient, size, q)


def _paired(oracle: _Table, problem: _Table, dimension: int) -> Law:
    e, h, limit = oracle.number("e"), oracle.number("h"), _limit(oracle)
    if dimension * e > 1:
        raise InputError(f"{oracle.path}.e", f"expected at most 1/d = 1/{dimension}, got {e}")
    return lambda gradient: laws.paired(gradient, e, h, limit)


def _sideways(oracle: _Table, problem: _Table, dimension: int) -> Law:
    e, h, b, limit = oracle.number("e"), oracle.number("h"), oracle.number("b"), _limit(oracle)
    if dimension < 2:
        raise InputError("problem", 'expected 2 coordinates or more for "sideways"')
    return lambda gradient: laws.sideways(gradient, e, h, b, limit)


def sideways_parameters(job: Experiment, run: Run) -> tuple[int, Fraction, Fraction, Fraction, Fraction, Fraction]:
    """Return (M, e, h, b, limit, alpha) of a run with the oracle `sideways`, from x_1 = 1 on x_1^2/2 in two dimensions.

    Raises:
        InputError: If the run is another one.
    """
    exact = exact_run(job, run)
    table = document_of(job.text, job.overrides, exactly)["runs"][job.runs.index(run)]
    oracle = _Table(table.get("oracle", {}), "oracle")
    line = exact.process.matrix == diagonal((Fraction(1), Fraction(0))) and exact.process.start == (1, 0)
    if oracle.kind != "sideways" or exact.alpha is None or not line or exact.process.zeros != "exact":
        raise InputError("oracle", "expected sideways from (1, 0), f = x_1^2/2, with a constant step")
    numbers = [oracle.number(key) for key in ("e", "h", "b", "limit")]
    return run.workers or 1, numbers[0], numbers[1], numbers[2], numbers[3], exact.alpha


def _limit(oracle: _Table) -> Fraction | None:
    return oracle.number("limit") if "limit" in oracle.table else None


_LAWS: dict[str, Callable[[_Table, _Table, int], Law]] = {
    "full": _full,
    "minibatch": _minibatch,
    "additive": _additive,
    "paired": _paired,
    "sideways": _sideways,
}
"""The laws of the oracles with finitely many values, by kind."""
