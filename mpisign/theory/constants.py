"""Constants of a problem, and how each is known."""

from typing import Literal, NamedTuple


class Constant(NamedTuple):
    """A number and what is certain of it: exact, or an upper or lower limit, or an estimate."""

    value: float
    how: Literal["exact", "upper", "lower", "estimate"]
