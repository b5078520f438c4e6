"""Check the bounds that apply to each run of a file, and give each a verdict with the numbers behind it."""

from functools import cached_property
from typing import NamedTuple

import numpy as np

from mpisign.audit.bound_names import failing
from mpisign.audit.bounds.hypotheses import Hypotheses, given, refuse_impossible
from mpisign.audit.bounds.measurements import Measurements, measured, probes
from mpisign.audit.bounds.statements import Statement, statements
from mpisign.audit.probing import Probe
from mpisign.config.validation import InputError
from mpisign.storage.trajectory import RunRecord, Trajectory
from mpisign.theory.verdict import MIN_REPEATS, Judgement, Word, checkpoints, judge, judge_exact, unknown, vacuous

ROUNDING = 64 * np.finfo(float).eps
"""What rounding may add to an exact run's gap or ||g||_1^2, in units of |f(x_0)| or of ||g_0||_1^2."""


class BoundCheck(NamedTuple):
    """One bound on one run.

    Attributes:
        run: Label of the run.
        bound: Name of the bound in `mpisign.theory.bounds`.
        reading: How a constant was taken that can be taken in more than one way, or "".
        k: Checkpoints, shape (m,); the judgement's mean, limits and bound have one entry for each.
        judgement: The verdict with its numbers.
        constants: The constants of the bound by name, and the least mu_k measured along the run.
        from_k: Where the premise fails when the verdict is vacuous.
        note: Why the verdict is open, or "".
        repeats: How many repeats were measured.
    """

    run: str
    bound: str
    reading: str
    k: np.ndarray
    judgement: Judgement
    constants: dict[str, float]
    from_k: int | None = None
    note: str = ""
    repeats: int = 0

    @property
    def verdict(self) -> Word:
        """Return the verdict of the judgement."""
        return self.judgement.verdict

    @property
    def worst(self) -> int:
        """Return the index of the deciding checkpoint: where a limit is highest relative to the bound.

        The limit is the lower one for "violated", otherwise the upper one. Without a finite limit and a positive
        bound at any checkpoint it is the last one; an open verdict is decided by the first one without a limit.
        """
        found = self.judgement
        limit = found.low if self.verdict == "violated" else found.high
        if self.verdict == "inconclusive" and np.isposinf(limit).any() and np.isfinite(limit).any():
            return int(np.isposinf(limit).argmax())
        finite = np.isfinite(limit) & (found.bound > 0)
        ratios = np.where(finite, limit, -np.inf) / np.where(finite, found.bound, 1.0)
        return int(ratios.argmax()) if finite.any() else len(self.k) - 1

    def remark(self) -> str:
        """Return one line: the failing premise, why it is open, or the numbers where they are worst for the bound."""
        reading = f" ({self.reading})" if self.reading else ""
        if self.verdict == "vacuous":
            return failing(self.judgement.premise, f"from k = {self.from_k}", self.reading)
        if self.note:
            return self.note + reading
        k, mean, bound = self.numbers()
        return f"k = {k}: mean {mean}, bound {bound}{reading}"

    def numbers(self) -> tuple[str, str, str]:
        """Return k, the mean with its limits, and the bound, at the checkpoint that decides."""
        i, found = self.worst, self.judgement
        limits = f"[{found.low[i]:.4g}, {found.high[i]:.4g}]"
        return str(self.k[i]), f"{found.mean[i]:.4g} {limits}", f"{found.bound[i]:.4g}"

    def document(self) -> dict[str, object]:
        """Return a dictionary for JSON, where an infinity or a NaN is null."""
        found = self.judgement
        columns = {"mean": found.mean, "low": found.low, "high": found.high, "bound": found.bound}
        rows = [
            {"k": int(k)} | {name: _number(values[i]) for name, values in columns.items()}
            for i, k in enumerate(self.k.tolist())
        ]
        premise = {"premise": found.premise, "from_k": self.from_k} if self.verdict == "vacuous" else {}
        head = {"run": self.run, "bound": self.bound, "reading": self.reading, "verdict": self.verdict}
        constants = {name: _number(value) for name, value in self.constants.items()}
        return head | premise | {"note": self.note, "constants": constants, "checkpoints": rows}


def _number(value: float) -> float | None:
    """Return the value as a float, or None when it is not finite."""
    return float(value) if np.isfinite(value) else None


def check(trajectory: Trajectory, options: dict[str, float] | None = None, level: float = 0.05) -> list[BoundCheck]:
    """Check every bound on every run of a file.

    Args:
        trajectory: The file; its iterates are used where they were recorded.
        options: Constants (mu, L, sigma2, p_min) that replace the file's.
        level: Error probability of the limits of all checkpoints of a run together.

    Returns:
        One entry for each run and bound, in the order of the file.

    Raises:
        InputError: If there is no run of scaled-sign that came to its end, or a constant cannot be.
    """
    refuse_impossible(options or {}, level)
    found = [checked for run in trajectory for checked in _Run(trajectory, run, options or {}, level).checked()]
    if not found:
        raise InputError(str(trajectory.path), 'expected a run with method = "scaled-sign" that came to its end')
    return found


def every_l(k: np.ndarray) -> int:
    """Count the checkpoints before the first k that was not recorded.

    Args:
        k: Checkpoints without k = 0, shape (m,).
    """
    return int((k == np.arange(1, len(k) + 1)).cumprod().sum())


def judge_least(least: np.ndarray, bounds: np.ndarray, known: int, rounding: float) -> Judgement:
    """Judge (17) on the least ||g_l||_1^2 over the recorded l <= k, as `judge_exact` does.

    The least over the recorded l is at least the minimum over all l <= k that (17) is about, and equal to it at
    the first `known` checkpoints. Below the bound it confirms (17) anywhere; above the bound it violates (17)
    only at these checkpoints, and elsewhere the verdict is inconclusive.

    Args:
        least: Least values so far, shape (R, m).
        bounds: Right-hand sides of (17), shape (R, m).
        known: Number of checkpoints up to which every k was recorded.
        rounding: Absolute error that rounding may add.
    """
    found = judge_exact(least, bounds, rounding=rounding)
    if found.verdict == "confirmed":
        return found
    seen = known and judge_exact(least[:, :known], bounds[:, :known], rounding=rounding).verdict == "violated"
    return found if seen else found._replace(verdict="inconclusive")


class _Run:
    """One run while it is checked, with measurements that are made only when a bound needs them."""

    def __init__(self, trajectory: Trajectory, run: RunRecord, options: dict[str, float], level: float):
        self._trajectory, self._run, self._options, self._level = trajectory, run, options, level
        self._no_probes = ""

    def checked(self) -> list[BoundCheck]:
        """Return the checks of all bounds that apply; none for other methods, or when no repeat has ended."""
        if self._run.attributes["method"] != "scaled-sign" or all(r.status == "running" for r in self._run.repeats):
            return []
        facts = given(self._run, self._options)
        return [self._judged(statement, facts) for statement in statements(facts)]

    @cached_property
    def _measured(self) -> Measurements:
        """Return what the run measured, read once."""
        return measured(self._trajectory, self._run)

    def _judged(self, statement: Statement, facts: Hypotheses) -> BoundCheck:
        """Check one bound: its premises first, then whether all constants are known, then the numbers."""
        chosen = self._chosen(facts)
        premise, from_k = (statement.premise, 0) if statement.premise else self._failing(statement)
        values = self._values(statement)[:, chosen]
        if premise:
            return self._row(statement, chosen, vacuous(values, premise))._replace(from_k=from_k)
        if statement.missing:
            return self._row(statement, chosen, unknown(values))._replace(note=self._unknown(statement))
        found = self._judgement(statement, facts, chosen)
        return self._row(statement, chosen, found)._replace(note=self._why_open(statement, found))

    def _why_open(self, statement: Statement, found: Judgement) -> str:
        """Return what is missing where the numbers alone do not decide, or ""."""
        if found.verdict != "inconclusive":
            return ""
        if statement.bound == "theorem1_gradient":
            return "above it at recorded k; whether the least over all l <= k is needs log = { every = 1 }"
        few = len(self._measured.gaps) < MIN_REPEATS
        return f"no violation found; {MIN_REPEATS} repeats are needed to confirm" if few else ""

    def _row(self, statement: Statement, chosen: np.ndarray, judgement: Judgement) -> BoundCheck:
        """Return the check of one bound at the chosen checkpoints, with the bound's constants."""
        known = {name: float(v) for name, v in statement.compute.keywords.items() if isinstance(v, float | int)}
        known["mu_along_the_run"] = self._measured.least_mu()
        return BoundCheck(
            self._run.label,
            statement.bound,
            statement.reading,
            self._measured.k[chosen],
            judgement,
            known,
            repeats=len(self._measured.gaps),
        )

    def _chosen(self, facts: Hypotheses) -> np.ndarray:
        """Return the indices of the checkpoints.

        They are all records of an exact run except x_0, of which no bound says anything new, and the preset
        checkpoints of any other run.
        """
        return np.arange(1, len(self._measured.k)) if facts.exact else checkpoints(self._measured.k)

    def _values(self, statement: Statement) -> np.ndarray:
        """Return what the bound limits, shape (R, records)."""
        gradients = statement.bound == "theorem1_gradient"
        values = self._measured.least_gradients() if gradients else self._measured.gaps
        return np.asarray(np.maximum(values, 0.0))  # a gap below 0 is the error of f* or rounding

    def _failing(self, statement: Statement) -> tuple[str, int]:
        """Return the condition that the bound's parameters do not meet, with its k.

        It is "" when they meet all conditions, or are not all known.
        """
        # p_min = 1 is the weakest premise: a condition that fails for it fails for every p_min
        trial = {"p_min": 1.0} if statement.missing == ("p_min",) else {}
        if set(statement.missing) - set(trial):
            return "", 0
        try:
            statement.compute(self._measured.k, self._gap0(), **trial)
        except ValueError as error:
            return f"{error}{', with p_min = 1' if trial else ''}", 0
        return self._measured_p_min() if trial else ("", 0)

    def _measured_p_min(self) -> tuple[str, int]:
        """Return the failure of p_min > 1/2, with its k, or "".

        It fails at a probed x_k where the least probability of a right sign has an upper limit of at most 1/2.
        """
        for k, probe in self._probes.items():
            low, high = probe.least()
            if high <= 0.5:
                return f"p_min > 1/2: at x_{k} it is between {low:.4g} and {high:.4g}", k
        return "", 0

    @cached_property
    def _probes(self) -> dict[int, Probe]:
        """Return the probes by k; where the job's data is missing, return none and keep the reason in `_no_probes`."""
        try:
            return probes(self._trajectory, self._run, self._level)
        except InputError as error:
            self._no_probes = f"; not measured: {error}"
            return {}

    def _unknown(self, statement: Statement) -> str:
        """Return which constants are missing, which options give them, and what was measured of p_min."""
        names = ", ".join(statement.missing)
        option = " ".join(f"--{name.replace('_', '-')}" for name in statement.missing)
        return f"{names} not known: {option}{self._seen() if 'p_min' in statement.missing else ''}"

    def _seen(self) -> str:
        """Return what was measured of p_min: a lower limit at some x_k is not one for all k."""
        least = {k: probe.least() for k, probe in self._probes.items()}
        if not least:
            return self._no_probes
        k = min(least, key=lambda k: least[k][1])
        return f"; at x_{k} the least p_{{k,i}} is between {least[k][0]:.3g} and {least[k][1]:.3g}"

    def _gap0(self) -> np.ndarray:
        """Return an upper limit of f(x_0) - f* for each repeat, shape (R, 1)."""
        highest: np.ndarray = np.maximum(self._measured.gaps[:, :1], 0.0)
        # f* may be too high by as much as its error
        return highest + float(self._run.attributes["f_star_error"])

    def _judgement(self, statement: Statement, facts: Hypotheses, chosen: np.ndarray) -> Judgement:
        """Compare measured values and bound: exactly for (17) and exact runs, otherwise with limits for the mean."""
        bounds = statement.compute(self._measured.k[chosen], self._gap0())
        values = self._values(statement)[:, chosen]
        error = float(self._run.attributes["f_star_error"])
        if statement.bound == "theorem1_gradient":  # f* is in its bound alone
            rounding = ROUNDING * float(self._measured.gradients[:, 0].max())
            return judge_least(values, bounds, every_l(self._measured.k[chosen]), rounding)
        if facts.exact:
            return judge_exact(values, bounds, rounding=ROUNDING * float(self._measured.size.max()) + error)
        return judge(values, bounds, level=self._level, f_star_error=error)
