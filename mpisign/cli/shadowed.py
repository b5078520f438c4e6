"""Say where a key that --set has changed is not what runs take, since they have a value of their own."""

from collections.abc import Iterator, Sequence

from mpisign.config.document import document_of
from mpisign.config.experiment import RUN_KEYS, TOP_KEYS, Experiment
from mpisign.config.validation import shown

_BOTH = set(TOP_KEYS) & set(RUN_KEYS)
"""The keys that stand at the top of a job for the runs without their own: iterations and oracle."""
_FEW = 3


def shadowed(job: Experiment) -> Iterator[str]:
    """Yield a line on each override of a job that does not reach all of its runs."""
    paths = [override.partition("=")[0].strip() for override in job.overrides]
    runs = document_of(job.text, job.overrides)["runs"] if paths else []
    for path in paths:
        key = path.partition(".")[0]
        if key in _BOTH:
            kept = [i for i, run in enumerate(runs) if key in run and not _changed(i, key, paths)]
            if kept:
                yield _line(path, key, [job.runs[i].label for i in kept], kept[0])


def _changed(run: int, key: str, paths: Sequence[str]) -> bool:
    """Return whether a run's own value is changed, too."""
    return any(f"{path}.".startswith(f"runs.{run}.{key}.") for path in paths)


def _line(path: str, key: str, labels: list[str], first: int) -> str:
    """Return the line on one change."""
    named = ", ".join(map(shown, labels[:_FEW])) + (f" and {len(labels) - _FEW} more" if len(labels) > _FEW else "")
    return f"--set {path} does not change {named}, with {key} of its own: --set runs.{first}.{path}=... does"
