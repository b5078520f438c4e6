"""Compare what was run with what the job says: a run that was cut short decides nothing, except as a counterexample."""

from collections.abc import Iterator, Mapping

from mpisign.audit.claims.claim import AGAINST, Claim, Results, Verdict
from mpisign.config.experiment import parse
from mpisign.engine.embedded_experiment import carried
from mpisign.storage.trajectory import Trajectory


class Asked(Mapping[str, list[Trajectory]]):
    """Trajectory files by the name of their job, which remembers the jobs that a claim asked for."""

    def __init__(self, results: Results):
        self._results, self._names = results, set[str]()

    def __getitem__(self, name: str) -> list[Trajectory]:
        found = self._results[name]
        self._names.add(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._results)

    def __len__(self) -> int:
        return len(self._results)

    def files(self) -> list[Trajectory]:
        """Return the files that the claim was judged on."""
        return [file for name in sorted(self._names) for file in self._results[name]]


def shortfall(file: Trajectory) -> str:
    """Return what was run of what the job says, such as "2 of 10 repeats, 100 of 5000 iterations"; "" for all of it."""
    asked, run = parse(file.experiment, [], file.name), carried(file)
    there = len(file.repeats)
    parts = [f"{there} of {asked.repeats} repeats"] if there < asked.repeats else []
    for mine, full in zip(run.runs, asked.runs, strict=False):
        if mine.iterations < full.iterations:
            return ", ".join([*parts, f"{mine.iterations} of {full.iterations} iterations"])
        if mine.stop != full.stop:
            return ", ".join([*parts, f"{mine.label!r} ends by a rule of stop that the job does not have"])
    return ", ".join(parts)


def weighed(entry: Claim, files: list[Trajectory]) -> Claim:
    """Return the entry with verdicts no stronger than what was run: inconclusive where a file was cut short."""
    short = {file.path.name: said for file in files if (said := shortfall(file))}
    if not short or entry.verdict == Verdict.NOT_RUN:
        return entry
    lines = [f"{name} was cut short: {said}" for name, said in short.items()]
    right = entry.corrected_verdict
    return entry._replace(
        verdict=_weaker(entry.verdict, entry.refutable),
        corrected_verdict=None if right is None else _weaker(right, entry.refutable),
        evidence=[*lines, *entry.evidence],
    )


def _weaker(verdict: Verdict, refutable: bool) -> Verdict:
    """Return the verdict if it stands when a run was cut short, otherwise "inconclusive"."""
    # what needs no run is not weaker for a run that was cut short
    needs_none = verdict in (Verdict.VACUOUS, Verdict.PROVED, Verdict.REFUTED)
    stands = needs_none or (refutable and verdict in AGAINST)
    return verdict if stands else Verdict.INCONCLUSIVE
