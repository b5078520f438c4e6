"""Compare one process's samples a second with those of scikit-learn's SGDClassifier."""

from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from mpisign.algorithms.methods import ScaledSign
from mpisign.algorithms.oracles import Minibatch
from mpisign.data.linear_rows import DenseRows
from mpisign.problems.logistic import Logistic
from mpisign.tools.bench.bare import loop_of
from mpisign.tools.bench.timing import Effort, Ratio, compare

_BATCH, _BATCHES = 256, 20


def classifier(effort: Effort) -> Ratio:
    """Compare what a batch takes with `SGDClassifier.partial_fit` and with us, on the same rows.

    Timed on our side are whole iterations, which draw the batch and take its rows out of the data where they lie.
    Timed on the other is `partial_fit` alone, on batches that were drawn and copied before, with a constant step and no
    intercept. It makes a step a sample and we make one a batch, so that it is their speed through the data which is
    compared.
    """
    rng, (samples, dimension) = np.random.default_rng(0), effort.shape
    features = rng.standard_normal(effort.shape, dtype=np.float32)
    features /= np.sqrt(np.float32(dimension))
    labels = rng.choice([-1.0, 1.0], samples).astype(np.float32)
    what = f"SGDClassifier.partial_fit / our iteration, batch {_BATCH}, d = {dimension}, float32, one core"
    with threadpool_limits(limits=1):
        return compare(what, _theirs(features, labels, rng), _ours(features * labels[:, None]), effort, ">= 6")


def _theirs(features: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> Callable[[], object]:
    """Return a call of `partial_fit` over the batches."""
    from sklearn.linear_model import SGDClassifier

    chosen = [rng.integers(0, len(labels), _BATCH) for _ in range(_BATCHES)]
    batches = [(features[rows], labels[rows]) for rows in chosen]
    model = SGDClassifier(
        loss="log_loss", alpha=1 / len(labels), learning_rate="constant", eta0=0.01, fit_intercept=False, shuffle=False
    )
    model.partial_fit(*batches[0], classes=[-1.0, 1.0])

    def fit() -> None:
        for batch in batches:
            model.partial_fit(*batch)

    return fit


def _ours(rows: np.ndarray) -> Callable[[], object]:
    """Return a call of as many iterations of ours."""
    problem = Logistic(DenseRows({"rows": rows}))
    return loop_of(ScaledSign(scale="mean"), Minibatch(batch=_BATCH).plan(problem, 1), problem, 2.0, _BATCHES)
