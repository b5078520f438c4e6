"""Hold the verdict on one bound on one run, with the numbers behind it and their words."""

from typing import NamedTuple

import numpy as np

from mpisign.audit.bound_names import failing
from mpisign.theory.verdict import Judgement, Word, rarest


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
    def condition(self) -> str:
        """Return the condition of a "confirmed" that rests on approximate limits, which these repeats set; or ""."""
        approximate = self.verdict == "confirmed" and not self.judgement.exact
        return f"if nothing rarer than 1 in {rarest(self.repeats)} weighs" if approximate else ""

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
        return f"k = {k}: mean {mean}, bound {bound}{reading}{self._besides()}"

    def _besides(self) -> str:
        """Return what the numbers at one checkpoint do not say: the condition, or that all of them decide together."""
        found, i = self.judgement, self.worst
        if self.verdict == "violated" and found.low[i] <= found.bound[i]:
            return f"; by all k together a mean is at least {found.joint:.4g} times its bound"
        return f"; {self.condition}" if self.condition else ""

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
        support = {"condition": self.condition, "exact": found.exact, "joint": _number(found.joint)}
        return head | premise | {"note": self.note} | support | {"constants": constants, "checkpoints": rows}


def _number(value: float) -> float | None:
    """Return the value as a float, or None when it is not finite."""
    return float(value) if np.isfinite(value) else None
