"""What makes a synthetic data set, block by block."""

from abc import ABC, abstractmethod
from typing import ClassVar

from mpisign.arrays import Signs
from mpisign.data.csr import Matrix


class Maker(ABC):
    """Made once on every rank from (d, seed): a block is a function of that and its number, whoever asks."""

    n: ClassVar[int]
    """Rows of the published set."""
    d: ClassVar[int]
    """Features of the published set."""
    sparse: ClassVar[bool]
    block_rows: int

    @abstractmethod
    def __init__(self, d: int, seed: int): ...

    @abstractmethod
    def block(self, number: int) -> tuple[Signs, Matrix]:
        """Return labels, shape (block_rows,), and features, float64, shape (block_rows, d), rows of length 1."""
