"""The recursions of Examples 2 and 3 with many digits, and what Example 3 says of them.

Their x_k come within 1e-17 of 0 after some thousand steps: float64 then lands on exactly 0 and stays, the recursion
itself does not. What is done here is Python's decimal arithmetic, apart from what runs (the methods, in float64).
"""

from decimal import Decimal, localcontext

import numpy as np

from mpisign.arrays import Floats


def sign_adagrad_norm(x0: float, eta: float, iterations: int, digits: int = 120) -> tuple[Floats, Floats]:
    """Return (6) on f = x^2/2 with b_0 = 0: b_{k+1}^2 = b_k^2 + x_k^2, x_{k+1} = x_k - (eta / b_{k+1}) sign(x_k).

    x0 and eta are taken as they are in binary. Returns x_k and b_k^2 for k = 0, ..., iterations, rounded to float64.
    """
    with localcontext(prec=digits):
        x, step, squares = Decimal(x0), Decimal(eta), Decimal(0)
        path, sums = [float(x)], [0.0]
        for _ in range(iterations):
            squares += x * x
            x -= (step / squares.sqrt()).copy_sign(x) if x else x
            path.append(float(x))
            sums.append(float(squares))
    return np.array(path), np.array(sums)


def subgradient_of_modulus(x0: float, eta: float, iterations: int, digits: int = 120) -> Floats:
    """Return (11): x_{k+1} = x_k - (eta / sqrt(k + 1)) sign(x_k), which (9) is on the line; x_0, ..., as above."""
    with localcontext(prec=digits):
        x, step = Decimal(x0), Decimal(eta)
        path = [float(x)]
        for k in range(iterations):
            x -= (step / Decimal(k + 1).sqrt()).copy_sign(x) if x else x
            path.append(float(x))
    return np.array(path)


def printed_formula(eta: float, iterations: int) -> Floats:
    """Return (10): x_k = eta (1/2 - 1 + 1/sqrt(2) - ... + (-1)^k / sqrt(k)); k = 0, ..., iterations."""
    k = np.arange(1, iterations + 1)
    return eta * np.concatenate([[0.5], 0.5 + np.cumsum((-1.0) ** k / np.sqrt(k))])


def limit_of_printed_formula(eta: float) -> float:
    """Return the limit of (10), eta (1/2 - eta_D(1/2)), with Dirichlet's eta_D(s) = 1 - 2^-s + 3^-s - ..."""
    return eta * (0.5 - _alternating_sum([(k + 1) ** -0.5 for k in range(24)]))


def _alternating_sum(terms: list[float]) -> float:
    """a_0 - a_1 + a_2 - ... of a totally monotone sequence, to 5.8^-n from its first n terms.

    Algorithm 1 of H. Cohen, F. Rodriguez Villegas and D. Zagier, Convergence acceleration of alternating series (2000).
    """
    n = len(terms)
    scale = (3 + 8**0.5) ** n
    scale = (scale + 1 / scale) / 2
    b, c, total = -1.0, -scale, 0.0
    for k, term in enumerate(terms):
        c = b - c
        total += c * term
        b *= (k + n) * (k - n) / ((k + 0.5) * (k + 1))
    return total / scale
