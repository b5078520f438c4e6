"""The bounds that speak of each run of a file, each with its verdict and the numbers behind it."""

from functools import cached_property
from typing import NamedTuple

import numpy as np

from mpisign.audit.bounds.hypotheses import Hypotheses, given
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

    reading: how a constant was taken that can be taken in more than one way. k, with the judgement's mean, limits and
    bound: the checkpoints. from_k: where the premise fails, when the verdict is vacuous. note: why a verdict is open.
    """

    run: str
    bound: str
    reading: str
    k: np.ndarray
    judgement: Judgement
    constants: dict[str, float]
    from_k: int | None = None
    note: str = ""

    @property
    def verdict(self) -> Word:
        """That of the judgement."""
        return self.judgement.verdict

    @property
    def worst(self) -> int:
        """The checkpoint that decides: where a limit is highest beside the bound, the lower one for "violated"."""
        found = self.judgement
        limit = found.low if self.verdict == "violated" else found.high
        finite = np.isfinite(limit) & (found.bound > 0)
        ratios = np.where(finite, limit, -np.inf) / np.where(finite, found.bound, 1.0)
        return int(ratios.argmax()) if finite.any() else len(self.k) - 1

    def remark(self) -> str:
        """What there is to say, in a line: the premise, or the numbers where they are worst for the bound."""
        reading = f" ({self.reading})" if self.reading else ""
        if self.verdict == "vacuous":
            return f"from k = {self.from_k}: {self.judgement.premise}{reading}"
        if self.note:
            return self.note + reading
        k, mean, bound = self.numbers()
        return f"k = {k}: mean {mean}, bound {bound}{reading}"

    def numbers(self) -> tuple[str, str, str]:
        """k, the mean with its limits, and the bound, where they decide."""
        i, found = self.worst, self.judgement
        limits = f"[{found.low[i]:.4g}, {found.high[i]:.4g}]"
        return str(self.k[i]), f"{found.mean[i]:.4g} {limits}", f"{found.bound[i]:.4g}"

    def document(self) -> dict[str, object]:
        """For JSON, where an infinity or a NaN is null."""
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
    return float(value) if np.isfinite(value) else None


def check(trajectory: Trajectory, options: dict[str, float] | None = None, level: float = 0.05) -> list[BoundCheck]:
    """Every bound on every run; options: constants in place of the file's. Raises InputError when there is none."""
    found = [checked for run in trajectory for checked in _Run(trajectory, run, options or {}, level).checked()]
    if not found:
        raise InputError(str(trajectory.path), 'expected a run with method = "scaled-sign" that came to its end')
    return found


def every_l(k: np.ndarray) -> int:
    """How many of the first checkpoints (m,), without k = 0, come before a k that was not recorded."""
    return int((k == np.arange(1, len(k) + 1)).cumprod().sum())


def judge_least(least: np.ndarray, bounds: np.ndarray, known: int, rounding: float) -> Judgement:
    """(17), judged on the least ||g_l||_1^2 over the recorded l <= k, shapes (R, m), as `judge_exact` does.

    It is at least the minimum over all l <= k that (17) speaks of, and equal to it at the first `known` checkpoints:
    what is below the bound confirms it anywhere, and what is above violates it only there, else it is inconclusive.
    """
    found = judge_exact(least, bounds, rounding=rounding)
    if found.verdict == "confirmed":
        return found
    seen = known and judge_exact(least[:, :known], bounds[:, :known], rounding=rounding).verdict == "violated"
    return found if seen else found._replace(verdict="inconclusive")


class _Run:
    """One run while it is checked: what it measured, and what is asked again only when a bound needs it."""

    def __init__(self, trajectory: Trajectory, run: RunRecord, options: dict[str, float], level: float):
        self._trajectory, self._run, self._options, self._level = trajectory, run, options, level
        self._no_probes = ""

    def checked(self) -> list[BoundCheck]:
        if self._run.attributes["method"] != "scaled-sign" or all(r.status == "running" for r in self._run.repeats):
            return []
        facts = given(self._run, self._options)
        return [self._judged(statement, facts) for statement in statements(facts)]

    @cached_property
    def _measured(self) -> Measurements:
        return measured(self._trajectory, self._run)

    def _judged(self, statement: Statement, facts: Hypotheses) -> BoundCheck:
        """Premises first, then what is not known, then the numbers."""
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
        """What is missing where the numbers alone do not decide, or ""."""
        if found.verdict != "inconclusive":
            return ""
        if statement.bound == "theorem1_gradient":
            return "above it at recorded k; whether the least over all l <= k is needs log = { every = 1 }"
        few = len(self._measured.gaps) < MIN_REPEATS
        return f"no violation found; {MIN_REPEATS} repeats are needed to confirm" if few else ""

    def _row(self, statement: Statement, chosen: np.ndarray, judgement: Judgement) -> BoundCheck:
        """The row, with the constants of its bound."""
        known = {name: float(v) for name, v in statement.compute.keywords.items() if isinstance(v, float | int)}
        known["mu_along_the_run"] = self._measured.least_mu()
        return BoundCheck(
            self._run.label, statement.bound, statement.reading, self._measured.k[chosen], judgement, known
        )

    def _chosen(self, facts: Hypotheses) -> np.ndarray:
        """Every record of an exact run but x_0, of which no bound says anything new; else the preset checkpoints."""
        return np.arange(1, len(self._measured.k)) if facts.exact else checkpoints(self._measured.k)

    def _values(self, statement: Statement) -> np.ndarray:
        """What the bound limits: shape (R, records)."""
        gradients = statement.bound == "theorem1_gradient"
        values = self._measured.least_gradients() if gradients else self._measured.gaps
        return np.asarray(np.maximum(values, 0.0))  # a gap below 0 is the error of f* or rounding

    def _failing(self, statement: Statement) -> tuple[str, int]:
        """The condition that its parameters do not meet, with k; "" when they do or are not all known."""
        trial = {"p_min": 1.0} if statement.missing == ("p_min",) else {}
        if set(statement.missing) - set(trial):
            return "", 0
        try:
            statement.compute(self._measured.k, self._gap0(), **trial)
        except ValueError as error:
            return f"{error}{', with p_min = 1' if trial else ''}", 0
        return self._measured_p_min() if trial else ("", 0)

    def _measured_p_min(self) -> tuple[str, int]:
        """p_min > 1/2, where the least probability of a right sign has an upper limit at or below 1/2."""
        for k, probe in self._probes.items():
            low, high = probe.least()
            if high <= 0.5:
                return f"p_min > 1/2: at x_{k} it is between {low:.4g} and {high:.4g}", k
        return "", 0

    @cached_property
    def _probes(self) -> dict[int, Probe]:
        """k -> probe; none, and why in `_no_probes`, where the job's data is not there."""
        try:
            return probes(self._trajectory, self._run, self._level)
        except InputError as error:
            self._no_probes = f"; not measured: {error}"
            return {}

    def _unknown(self, statement: Statement) -> str:
        names = ", ".join(statement.missing)
        option = " ".join(f"--{name.replace('_', '-')}" for name in statement.missing)
        return f"{names} not known: {option}{self._seen() if 'p_min' in statement.missing else ''}"

    def _seen(self) -> str:
        """What was measured of p_min: a lower limit at some x_k is none for all k."""
        least = {k: probe.least() for k, probe in self._probes.items()}
        if not least:
            return self._no_probes
        k = min(least, key=lambda k: least[k][1])
        return f"; at x_{k} the least p_{{k,i}} is between {least[k][0]:.3g} and {least[k][1]:.3g}"

    def _gap0(self) -> np.ndarray:
        """f(x_0) - f* of each repeat, at most; shape (R, 1)."""
        highest: np.ndarray = np.maximum(self._measured.gaps[:, :1], 0.0)
        return highest + float(self._run.attributes["f_star_error"])

    def _judgement(self, statement: Statement, facts: Hypotheses, chosen: np.ndarray) -> Judgement:
        bounds = statement.compute(self._measured.k[chosen], self._gap0())
        values = self._values(statement)[:, chosen]
        error = float(self._run.attributes["f_star_error"])
        if statement.bound == "theorem1_gradient":  # f* is in its bound alone
            rounding = ROUNDING * float(self._measured.gradients[:, 0].max())
            return judge_least(values, bounds, every_l(self._measured.k[chosen]), rounding)
        if facts.exact:
            return judge_exact(values, bounds, rounding=ROUNDING * float(self._measured.size.max()) + error)
        return judge(values, bounds, level=self._level, f_star_error=error)
