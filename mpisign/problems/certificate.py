"""How far f at a point of regularised logistic regression can be above f*: limits that hold, rounding included.

f is 1/n-strongly convex, so that f - f* <= n ||g||^2 / 2. On ill-conditioned data that is much too large, while the
curvature at the point itself says more: along u the loss's second derivatives fall by at most exp(-|a_i'u|) (Bach,
Electron. J. Stat. 4, 2010). With ||u||_H^2 = u'Hu, R = max_i |a_i'u| <= M ||u||_H and M = max_i ||a_i||_{H^-1},

    f(x + u) >= f(x) + g'u + ||u||_H^2 (exp(-R) + R - 1) / R^2,

whose least value over u is at least f(x) - l^2 / (2 (1 - M l)) for l = ||g||_{H^-1} < 1 / M.
"""

import math

import numpy as np
import scipy  # its parts are imported when they are used

from mpisign.arrays import Floats


def global_limit(gradient: Floats, gradient_error: Floats, samples: int) -> float:
    """Return n ||g||^2 / 2 for the largest g that fits.

    Args:
        gradient: g as computed, shape (d,).
        gradient_error: a limit for the error of each coordinate, shape (d,).
        samples: n.
    """
    longest = np.abs(gradient) + gradient_error
    return float(longest @ longest) * samples / 2


MARGIN_ERROR = 1e-6
"""Up to this error of the margins `local_limit` holds: curvatures are then known to a part of 1e-5."""


def local_limit(
    hessian: Floats,
    hessian_error: float,
    floor: float,
    gradient: Floats,
    gradient_error: Floats,
    pull_error: float,
    bend: float,
) -> float:
    """Return l^2 / (2 (1 - M l)) for the largest l that fits, or infinity where M l >= 1.

    An error e_i of the weight of row a_i changes g by A'e / n, and with H >= A'WA its length in H^-1 is at most the
    root mean square of e_i / sqrt(w_i), however nearly dependent the columns are.

    Args:
        hessian: H as computed, in coordinates in which its diagonal is about 1, shape (d, d).
        hessian_error: a limit for the error of its sums in the 2-norm.
        floor: a lower limit of H's eigenvalues, > 0.
        gradient: g as computed, in the same coordinates, shape (d,).
        gradient_error: a limit for the error of its sums, of each coordinate, shape (d,).
        pull_error: a limit for that root mean square.
        bend: M, or an upper limit of it.
    """
    values, vectors = scipy.linalg.eigh(hessian)
    rounding = hessian_error + 8 * len(values) * np.finfo(float).eps * float(values[-1])
    certain = np.maximum(values - rounding, floor) * (1 - 10 * MARGIN_ERROR)
    parts = np.abs(vectors.T @ gradient) + np.abs(vectors.T) @ gradient_error
    decrement = math.sqrt(float((parts**2 / certain).sum())) + pull_error * (1 + 10 * MARGIN_ERROR)
    return decrement**2 / (2 * (1 - bend * decrement)) if bend * decrement < 1 else math.inf
