"""The numbers of rows: their dtype, sums and extremes in float64, and what float32 would round away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import csr_array, issparse

from dec.data.dataset import block_starts, check_rows, row_blocks
from dec.data.processes import map_shares
from dec.data.stream import Rows

ROUNDING = 2.0**17  # |x| / standard deviation of a column from which float32 rounds away half a per cent of it
FLOAT64_NOISE = 2.0**10 * np.finfo(np.float64).eps  # spread / |x| of a column below which float64 itself is rounding


class Shifted:
    """The rows of any `x` [n, ...] less an offset [d], float32."""

    def __init__(self, x: Rows, offset: np.ndarray) -> None:
        self._x, self._offset = x, offset
        self.shape, self.dtype = x.shape, np.dtype(np.float32)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        x = self._x[rows]
        return (x - per_column(self._offset, x)).astype(np.float32)


def float64_offset(x: Any) -> np.ndarray | None:
    """Return what to subtract from each column so that its differences outlive the cast to float32.

    It is the mean of a column whose values are large beside their spread, such as times in milliseconds since 1970, and
    0 of any other column.

    Args:
      x: [n, ...] rows of any kind.

    Returns:
      float64 [d]; None where it is 0 throughout, as of all rows without more digits than float32 has.
    """
    if not _has_more_digits(x):
        return None
    low, high = extremes(x)
    largest, mean = np.maximum(abs(low), abs(high)), total(x, lambda b: b.sum(axis=0)) / x.shape[0]
    deviation = np.sqrt(total(x, lambda b: ((b - mean) ** 2).sum(axis=0)) / x.shape[0])
    lost = (largest > ROUNDING * deviation) & (high - low > FLOAT64_NOISE * largest)
    return np.where(lost, mean, 0.0) if lost.any() else None


def needs_float64(x: Any) -> bool:
    """Return whether float32 would round away differences of rows, among themselves or from rows of their model."""
    if not _has_more_digits(x):
        return False
    low, high = extremes(x)
    same = (low == high) & (abs(low) > ROUNDING) & (low != low.astype(np.float32))
    return bool(same.any()) or float64_offset(x) is not None


def _has_more_digits(x: Any) -> bool:
    """Return whether rows are dense numbers with more digits than float32 has."""
    return not issparse(x[:0]) and x.dtype.kind in "iuf" and x.dtype.itemsize >= 4 and x.dtype != np.float32


def as_raw(x: Any, name: str) -> Any:
    """Return `x` checked by `check_rows`: booleans and integers in 0..255 as uint8, all else as float32.

    A memory map keeps its dtype, and so does an array whose differences float32 would round away. A sparse array
    becomes CSR without repeated entries.
    """
    if issparse(x):
        x = csr_array(x)
        x.sum_duplicates()
    check_rows(x, name)
    if isinstance(x, np.memmap):
        return x
    if needs_float64(x):
        return x
    small = not issparse(x) and x.dtype.kind in "biu" and x.min() >= 0 and x.max() <= 255
    return x.astype(np.uint8 if small else np.float32, copy=False)


def total(x: Any, f: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return the sum of what `f` makes of each block of rows, float64."""
    def own(starts):
        return sum(f(block) for _, block in row_blocks(x, np.float64, starts))

    return np.sum(map_shares(block_starts(x), own), axis=0)


def extremes(x: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the greatest value of each column, [d] float64."""
    def own(starts):
        low, high = np.inf, -np.inf
        for _, block in row_blocks(x, np.float64, starts):
            low, high = np.minimum(low, block.min(axis=0)), np.maximum(high, block.max(axis=0))
        return np.stack([low, high])

    lows, highs = np.stack(map_shares(block_starts(x), own), axis=1)
    return lows.min(axis=0), highs.max(axis=0)


def per_column(values: np.ndarray, x: Any) -> np.ndarray:
    """Return `values` [] as they are, or [d] in the shape of one row of `x`."""
    return values.reshape(x.shape[1:]) if values.ndim else values
