"""The array types that appear in signatures."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
"""Points, gradients, values: float64, C-contiguous; points, gradients and messages of a float32 run: float32."""

Real: TypeAlias = type[Any]
"""np.float64 or np.float32: what the points, gradients and messages of a run consist of."""

Words: TypeAlias = NDArray[np.uint64]
"""Bit planes and message rows: uint64, C-contiguous; see `mpisign.aggregation.bitplanes`."""

Bytes: TypeAlias = NDArray[np.uint8]
"""The same rows as they travel."""

Signs: TypeAlias = NDArray[np.int8]
"""Ternary signs, -1, 0 or 1."""

Indices: TypeAlias = NDArray[np.int64]
"""Iteration numbers, bit counts and sample numbers."""
