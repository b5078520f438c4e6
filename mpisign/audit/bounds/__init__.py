"""Check the bounds that apply to each run of a file, and give each a verdict with the numbers behind it."""

import math
from functools import cached_property

import numpy as np

from mpisign.arrays import Floats
from mpisign.audit.bounds.bound_check import BoundCheck as BoundCheck
from mpisign.audit.bounds.hypotheses import Hypotheses, given, refuse_impossible
from mpisign.audit.bounds.measurements import Measurements, measured, probes
from mpisign.audit.bounds.path_limits import largest_gaps
from mpisign.audit.bounds.statements import Statement, statements
from mpisign.audit.probing import Probe
from mpisign.config.validation import InputError
from mpisign.storage.trajectory import RunRecord, Trajectory
from mpisign.theory.verdict import MIN_REPEATS, Judgement, checkpoints, judge, judge_exact, unknown, vacuous

ROUNDING = 64 * np.finfo(float).eps
"""What rounding may add to an exact run's gap or ||g||_1^2, in units of |f(x_0)| or of ||g_0||_1^2."""


def check(trajectory: Trajectory, options: dict[str, float] | None = None, level: float = 0.05) -> list[BoundCheck]:
    """Check every bound on every run of a file.

    Args:
        trajectory: The file; its iterates are used where they were recorded.
        options: Constants (mu, L, sigma2, p_min) that replace the file's.
        level: Error probability of the limits of all checkpoints of a run together.

    Returns:
        One entry for each run and bound, in the order of the file.

    Raises:
        InputError: If there is no run of scaled-sign in float64 that came to its end, or a constant cannot be.
    """
    refuse_impossible(options or {}, level)
    runs = [run for run in trajectory if run.precision == "float64"]
    found = [checked for run in runs for checked in _Run(trajectory, run, options or {}, level).checked()]
    if not found:
        what = "".join(f"; {line}" for line in unchecked(trajectory))
        expected = f'expected a run with method = "scaled-sign" that came to its end{what}'
        raise InputError(str(trajectory.path), expected)
    return found


def unchecked(trajectory: Trajectory) -> list[str]:
    """Return a line where there are runs of scaled-sign in float32, of whose rounding no bound speaks."""
    runs = [run for run in trajectory if run.attributes["method"] == "scaled-sign"]
    labels = ", ".join(repr(run.label) for run in runs if run.precision != "float64")
    return [f"{labels}: in float32, where no bound is checked"] if labels else []


def every_l(k: np.ndarray) -> int:
    """Count the checkpoints before the first k that was not recorded.

    Args:
        k: Checkpoints without k = 0, shape (m,).
    """
    return int((k == np.arange(1, len(k) + 1)).cumprod().sum())


def judge_least(least: np.ndarray, bounds: np.ndarray, known: int, rounding: Floats | float) -> Judgement:
    """Judge (17) on the least ||g_l||_1^2 over the recorded l <= k, as `judge_exact` does.

    The least over the recorded l is at least the minimum over all l <= k that (17) is about, and equal to it at
    the first `known` checkpoints. Below the bound it confirms (17) anywhere; above the bound it violates (17)
    only at these checkpoints, and elsewhere the verdict is inconclusive.

    Args:
        least: Least values so far, shape (R, m).
        bounds: Right-hand sides of (17), shape (R, m).
        known: Number of checkpoints up to which every k was recorded.
        rounding: Absolute error that rounding may add, of each value or of all.
    """
    found = judge_exact(least, bounds, rounding=rounding)
    if found.verdict == "confirmed":
        return found
    first = [array[:, :known] for array in (least, bounds, np.broadcast_to(rounding, least.shape))]
    seen = known and judge_exact(first[0], first[1], rounding=first[2]).verdict == "violated"
    return found if seen else found._replace(verdict="inconclusive")


class _Run:
    """One run while it is checked, with measurements that are made only when a bound needs them."""

    def __init__(self, trajectory: Trajectory, run: RunRecord, options: dict[str, float], level: float):
        self._trajectory, self._run, self._options, self._level = trajectory, run, options, level
        self._no_probes = ""
        self._most: Floats | float | None = None

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
        return highest * (1 + self._error("value_error")) + self._error("f_star_error")

    def _error(self, name: str) -> float:
        """Return a limit for an error from the run's attributes; 0 where it has none."""
        return float(self._run.attributes.get(name, 0.0))

    def _judgement(self, statement: Statement, facts: Hypotheses, chosen: np.ndarray) -> Judgement:
        """Compare measured values and bound: exactly for (17) and exact runs, otherwise with limits for the mean."""
        bounds = statement.compute(self._measured.k[chosen], self._gap0())
        values = self._values(statement)[:, chosen]
        met = np.where(np.isfinite(values), values, 0.0)
        error = self._error("f_star_error") + self._error("value_error") * met
        if statement.bound == "theorem1_gradient":  # f* is in its bound alone
            relative = self._error("gradient_error")  # of the norm, whose squares these are
            rounding = ROUNDING * float(self._measured.gradients[:, 0].max()) + relative * (2 + relative) * met
            return judge_least(values, bounds, every_l(self._measured.k[chosen]), rounding)
        if facts.exact:
            return judge_exact(values, bounds, rounding=ROUNDING * float(self._measured.size.max()) + error)
        most = self._largest_gap(facts, chosen)
        return judge(values, bounds, level=self._level, f_star_error=error, largest_gap=most)

    def _largest_gap(self, facts: Hypotheses, chosen: np.ndarray) -> Floats | float:
        """Return what no gap can exceed; infinite where that is not known, or not true of the measured gaps."""
        if self._most is None:
            most = largest_gaps(self._trajectory, self._run, facts, self._measured.k[chosen])
            # a law that an oracle of the user's states may be wrong
            false = most is None or (self._measured.gaps[:, chosen] > most).any()
            self._most = math.inf if most is None or false else most
        return self._most
