"""Constants of a problem, and how each is known.

L of Assumption 3 comes from `mpisign.theory.smoothness`; the PL constant of Assumption 2, and with it mu of
Assumption 1, from `mpisign.theory.polyak_lojasiewicz`; sigma^2 of Assumption 4 and p_min from `mpisign.theory.noise`;
the drift (rho, delta) of the corrected theorems from `mpisign.theory.drift` where it is certified, from
`mpisign.audit.probing` where it is measured.
"""

from typing import Literal, NamedTuple


class Constant(NamedTuple):
    """A number and what is certain of it: exact, or an upper or lower limit, or an estimate."""

    value: float
    how: Literal["exact", "upper", "lower", "estimate"]


ASSUMED = ("mu", "L", "sigma2", "p_min")
"""The constants of Assumptions 1 to 4, which can be given in place of what a file says."""
