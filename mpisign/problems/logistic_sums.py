"""Sums over the rows c_i of logistic losses log(1 + exp(-c_i'x)) and of their derivatives, in fixed segments.

One point in dense rows is done in a pass that reads each row once; many points, and sparse rows, by matrix products
over blocks of rows, so that no copy of all rows is ever made.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import scipy  # its parts are imported when they are used

from mpisign.arrays import Floats
from mpisign.comm.distributed_sum import GROUPS
from mpisign.data.linear_rows import Matrix, Rows
from mpisign.problems.dense_passes import PASSES, DensePasses
from mpisign.problems.finite_sum_parts import loss_and_pull

LONGEST, _MOST, _SHARE = 4096, 16, 16
"""Data points of a segment while there are no more than _MOST in a group; it has at least _SHARE d stored entries."""
BLOCK = 2048
"""Data points that are multiplied at a time."""
_SHORT = 640
"""Data points whose products are added in float32, where that will do."""
_UNIT = 2.0**-24
"""The unit roundoff of float32."""
_TINY = float(np.finfo(np.float32).tiny)
"""What a product of float32 is off by where it is below float32's normal numbers, at most."""
_ROUGH_BLOCK, _COLUMNS, _ROWS = 512, 64, 128
"""Data points that are multiplied at a time in float32; the products of a margin and of a gradient added there."""


def segments_of(rows: Rows) -> int:
    """Return into how many segments rows are split, by their size alone: 16 up to 65536 data points, 256 at most.

    A segment's row is as long as r gradients at r points: where the data are so sparse that it would be most of the
    work to add it, there are fewer.
    """
    stored = max(array.size for array in rows.arrays.values())
    in_a_group = min(-(-rows.samples // (GROUPS * LONGEST)), stored // (GROUPS * _SHARE * rows.dimension), _MOST)
    return GROUPS * max(1, in_a_group)


class LogisticSums:
    """Sums over all rows, each divided by n, unless they are said to be something else.

    Attributes:
        segments: how many segments there are.
        blocks: how many blocks a segment has on average: one less roundings come of adding them.
        tree: the roundings of a sum over segments at most: over those of a group, and over the groups.
        additions: the roundings that an entry of such a sum goes through, block by block.
    """

    def __init__(self, rows: Rows):
        n = rows.samples
        self._rows, self._dense = rows, rows.arrays.get("rows", np.empty(0))
        self._passes: DensePasses | None = PASSES[self._dense.dtype] if "rows" in rows.arrays else None
        self._weights, self._weighed_at = np.empty(n if self._passes else 0), dict[int, Floats]()
        self._lengths = dict[int, Floats]()
        self.segments = segments_of(rows)
        self.blocks, self.tree = n / (self.segments * BLOCK), self.segments // GROUPS - 1 + GROUPS
        self._edges = np.linspace(0, n, self.segments + 1).astype(int)
        self.additions = min(BLOCK, n) + self.blocks + self.tree + 8

    def add_losses(self, points: Floats, segment: int, out: Floats) -> None:
        """Add the losses of a segment to out[:, 0] and their gradients to out[:, 1:], at points of shape (r, d)."""
        n = self._rows.samples
        if self._passes is not None and len(points) == 1:
            self._add_losses_once(self._passes, points[0].copy(), segment, out[0])
            return
        for start, stop in self._ranges(segment):
            block = self._rows.block(start, stop)
            losses, pulls = loss_and_pull(points @ block.T)
            out[:, 0] += losses.sum(axis=1) / n
            out[:, 1:] -= pulls @ block / n

    def _add_losses_once(self, passes: DensePasses, x: Floats, segment: int, out: Floats) -> None:
        """Add the same at one point in dense rows; a block's sum is its own, so that few roundings meet an entry."""
        n, d = float(self._rows.samples), len(x)
        self._weighed_at.pop(segment, None)
        for start, stop in self._ranges(segment):
            losses, gradient = np.empty(stop - start), np.zeros(d)
            passes.losses(self._dense[start:stop], x, n, losses, self._weights[start:stop], gradient)
            out[0] += losses.sum() / n
            out[1:] += gradient
        self._weighed_at[segment] = x

    def add_rough_losses(self, points: Floats, segment: int, out: Floats) -> None:
        """Add losses to out[:, 0] and gradients to out[:, 1:-2] by float32 products, limits of errors to the rest.

        The products of _COLUMNS coordinates, or of _ROWS data points, are added in float32, their sums in float64.
        out[:, -2] is for the error of the losses, out[:, -1] for the l1 norm of that of the gradient; shape (r, 3 + d).

        k products that are added in float32, in whatever order, are off by g_k = k u / (1 - k u) of their sizes at most
        (Higham, Accuracy and Stability, section 3.1). The rounding of x to float32, and sums in float64, are one u
        more each: the margin of a row c is off by e = g_{k+2} ||c|| ||x|| at most, since |c|'|x| is at most that. The
        loss has the derivative -pull, and a second one of at most 1/4: it is off by pull e + e^2 / 8, and the pull by
        e / 4. Each row adds to the gradient a multiple of itself, whose l1 norm is at most sqrt(d) ||c||.
        """
        (r, d), n = points.shape, self._rows.samples
        gradients, sums = np.zeros((r, d)), np.zeros((r, 2))
        squares = 0.0
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is not certain
            nearly = points.astype(np.float32)
            for start, stop in self._ranges(segment, _ROUGH_BLOCK):
                rows = self._dense[start:stop]
                losses, pulls = loss_and_pull(_product(nearly, rows.T, _COLUMNS))
                gradients += _product(pulls.astype(np.float32), rows, _ROWS)
                lengths = self._lengths_of(segment)[start - self._edges[segment] :][: stop - start]
                sums += np.stack([losses.sum(axis=1), pulls @ lengths], axis=1)
                squares += float(lengths @ lengths)
            out[:, 0] += sums[:, 0] / n
            out[:, 1:-2] -= gradients / n
            size = _gamma(_COLUMNS + 2) * np.sqrt(np.square(points).sum(axis=1)) + d**0.5 * _TINY
            underflow = 4 * d**1.5 * _TINY * (2 * len(self._lengths_of(segment)) + squares)
            rounding = np.finfo(float).eps * (self.additions + 8) * sums[:, 0]
            out[:, -2] += 1.001 * (size * sums[:, 1] + size**2 * squares / 4 + rounding + underflow) / n
            out[:, -1] += 1.001 * d**0.5 * (_gamma(_ROWS + 3) * sums[:, 1] + size * squares / 4 + underflow) / n

    def _lengths_of(self, segment: int) -> Floats:
        """Return the ||c_i|| of a segment of dense rows, found once."""
        if segment not in self._lengths:
            blocks = [self._rows.block(start, stop) for start, stop in self._ranges(segment)]
            found = [np.sqrt(np.square(block).sum(axis=1)) for block in blocks]
            self._lengths[segment] = np.concatenate([np.zeros(0), *found])
        return self._lengths[segment]

    def add_curvature(self, x: Floats, direction: Floats, segment: int, out: Floats) -> None:
        """Add the Hessian of a segment at x times `direction` to `out`, shape (d,)."""
        if self._passes is None:
            for block, weights in self.weighed(x, segment):
                out += (weights * (block @ direction)) @ block
            return
        weights = self._weights_of(self._passes, x, segment)
        for start, stop in self._ranges(segment):
            product = np.zeros(len(x))
            self._passes.curvature(self._dense[start:stop], weights[start:stop], direction, product)
            out += product

    def add_hessian(self, x: Floats, rows: slice, segment: int, out: Floats) -> None:
        """Add these rows of the Hessian of a segment at x to `out`, on the diagonal and right of it.

        out: shape (r, d).
        """
        for block, weights in self.weighed(x, segment, rows.start):
            product = (block[:, : len(out)].T * weights) @ block
            out[:, rows.start :] += product if isinstance(product, np.ndarray) else product.toarray()

    def weighed(self, x: Floats, segment: int, first: int = 0) -> Iterator[tuple[Matrix, Floats]]:
        """Return blocks of the rows, from column `first` on, with the second derivatives of their losses, over n."""
        if self._passes is not None:
            weights = self._weights_of(self._passes, x, segment)
            for start, stop in self._ranges(segment):
                yield self._dense[start:stop, first:].astype(np.float64, copy=False), weights[start:stop]
            return
        for start, stop in self._ranges(segment):
            block = self._rows.block(start, stop)
            pulls = scipy.special.expit(block @ x)
            yield block[:, first:] if first else block, pulls * (1 - pulls) / self._rows.samples

    def _weights_of(self, passes: DensePasses, x: Floats, segment: int) -> Floats:
        """Return weights, shape (n,), of which those of a segment of dense rows are at x; found once for each x."""
        if not np.array_equal(self._weighed_at.get(segment, ()), x):
            self._weighed_at.pop(segment, None)
            for start, stop in self._ranges(segment):
                rows = self._dense[start:stop]
                passes.weights(rows, x, float(self._rows.samples), self._weights[start:stop])
            self._weighed_at[segment] = x.copy()
        return self._weights

    @property
    def has_gram(self) -> bool:
        """Return whether the rows are dense float32, whose products can be formed in float32."""
        return self._passes is not None and self._dense.dtype == np.float32

    def gram(self, rows: slice, segment: int, out: Floats) -> None:
        """Write these rows of the sum of c_i c_i' of a segment, not divided, on the diagonal and right of it, to `out`.

        By float32 products over short blocks, which are added in float64; out: shape (r, d).
        """
        ranges = list(self._ranges(segment, _SHORT))
        if not ranges:
            out[:, rows.start :] = 0.0
        for start, stop in ranges:
            block = self._dense[start:stop]
            for columns in (rows, slice(rows.stop, len(out.T))):  # the first is symmetric: half of it is computed
                with np.errstate(over="ignore", invalid="ignore"):
                    product, here = block[:, rows].T @ block[:, columns], out[:, columns]
                    if start == ranges[0][0]:
                        here[:] = product
                    else:
                        here += product

    def gram_error(self) -> float:
        """Return a limit for the sum of the errors of all entries of `gram`, in whatever order a library adds.

        k products that are added in float32 are off by k u / (1 - k u) of their sizes at most (Higham, Accuracy and
        Stability, section 3.1), and by what is below its least normal number; all sizes are sum_i ||c_i||_1^2.
        """
        n, d = self._rows.samples, self._rows.dimension
        sizes = float(np.square(self.norms).sum())
        short = min(_SHORT, n) * _UNIT
        return 1.001 * (short / (1 - short) * sizes + 2 * n * d**2 * float(np.finfo(np.float32).tiny))

    def _ranges(self, segment: int, most: int = BLOCK) -> Iterator[tuple[int, int]]:
        """Return where each block of a segment starts and stops; most: the rows in one."""
        first, last = self._edges[segment : segment + 2].tolist()
        for start in range(first, last, most):
            yield start, min(start + most, last)

    def _all_ranges(self) -> Iterator[tuple[int, int]]:
        return (found for segment in range(self.segments) for found in self._ranges(segment))

    def sizes(self, x: Floats) -> tuple[Floats, Floats]:
        """Return the margins |c_i|'x of x >= 0, shape (n,), and the sums of |c_i| and of those times |c_i|, (2, d)."""
        margins, sums = np.empty(self._rows.samples), np.zeros((2, self._rows.dimension))
        for start, stop in self._all_ranges():
            here = margins[start:stop]
            if self._passes is not None:
                self._passes.sizes(self._dense[start:stop], x, here, sums)
                continue
            block = abs(self._rows.block(start, stop))
            here[:] = block @ x
            sums += np.stack([np.ones(stop - start), here]) @ block
        return margins, sums

    @cached_property
    def norms(self) -> Floats:
        """Return the ||c_i||_1, shape (n,)."""
        return self.sizes(np.ones(self._rows.dimension))[0]

    @cached_property
    def mean_squares(self) -> Floats:
        """Return the mean square of each feature, shape (d,)."""
        squares = np.zeros(self._rows.dimension)
        for start, stop in self._all_ranges():
            if self._passes is not None:
                self._passes.squares(self._dense[start:stop], squares)
            else:
                block = self._rows.block(start, stop)
                squares += np.asarray((block * block).sum(axis=0)).ravel()
        return squares / self._rows.samples


def _product(left: Any, right: Any, most: int) -> Floats:
    """Return left @ right of float32 matrices, of which `most` products are added in float32, their sums in float64."""
    total = np.zeros((left.shape[0], right.shape[1]))
    for first in range(0, right.shape[0], most):
        total += left[:, first : first + most] @ right[first : first + most]
    return total


def _gamma(count: int) -> float:
    """Return what so many roundings to float32 change a number by, relative to its size, at most."""
    return count * _UNIT / (1 - count * _UNIT)
