"""The scaling of the input: fitted once, saved with the model, applied inside the training step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse

from dec.config import Model
from dec.data.dataset import block_starts, row_blocks
from dec.data.processes import together
from dec.data.stream import Rows

ROUNDING = 2.0**17  # |x| / standard deviation of a column from which float32 rounds away half a per cent of it
FLOAT64_NOISE = 2.0**10 * np.finfo(np.float64).eps  # spread / |x| of a column below which float64 itself is rounding


class Scaling(NamedTuple):
    """The map x -> (x - offset - shift) * scale; one number each for all columns ([]), or one a column ([d])."""

    shift: np.ndarray  # float32 [] or [d]
    scale: np.ndarray  # float32 [] or [d], positive and finite
    offset: np.ndarray | None = None  # float64 [d], see `float64_offset`; subtracted on the host, before float32

    def apply(self, x: Any) -> Any:
        """Return raw rows `x` [n, ...] (NumPy or JAX, any real dtype) as float32 features of the same shape."""
        x = x if self.offset is None else x - _per_column(self.offset, x)
        return (x.astype(np.float32) - _per_column(self.shift, x)) * _per_column(self.scale, x)

    def invert(self, x: Any) -> Any:
        """Return features `x` [n, ...] in the raw units, float32, or float64 where there is an offset."""
        raw = x.astype(np.float32) / _per_column(self.scale, x) + _per_column(self.shift, x)
        return raw if self.offset is None else raw + _per_column(self.offset, x)

    def for_device(self, x: Rows) -> tuple[Rows, Scaling]:
        """Return the rows without the offset, and the scaling that is left to do on the device."""
        return (x, self) if self.offset is None else (Shifted(x, self.offset), self._replace(offset=None))


class Shifted:
    """The rows of any `x` [n, ...] less an offset [d], float32."""

    def __init__(self, x: Rows, offset: np.ndarray) -> None:
        self._x, self._offset = x, offset
        self.shape, self.dtype = x.shape, np.dtype(np.float32)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        x = self._x[rows]
        return (x - _per_column(self._offset, x)).astype(np.float32)


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
    low, high = _extremes(x)
    largest, mean = np.maximum(abs(low), abs(high)), _total(x, lambda b: b.sum(axis=0)) / x.shape[0]
    deviation = np.sqrt(_total(x, lambda b: ((b - mean) ** 2).sum(axis=0)) / x.shape[0])
    lost = (largest > ROUNDING * deviation) & (high - low > FLOAT64_NOISE * largest)
    return np.where(lost, mean, 0.0) if lost.any() else None


def needs_float64(x: Any) -> bool:
    """Return whether float32 would round away differences of rows, among themselves or from rows of their model."""
    if not _has_more_digits(x):
        return False
    low, high = _extremes(x)
    same = (low == high) & (abs(low) > ROUNDING) & (low != low.astype(np.float32))
    return bool(same.any()) or float64_offset(x) is not None


def _has_more_digits(x: Any) -> bool:
    """Return whether rows are dense numbers with more digits than float32 has."""
    return not issparse(x[:0]) and x.dtype.kind in "iuf" and x.dtype.itemsize >= 4 and x.dtype != np.float32


def fit_scaling(x: Any, kind: str) -> Scaling:
    """The scaling of `kind` for the rows of `x`, computed in float64, one block of rows after the other.

        power:      shift = 0,             scale = 1 / sqrt(mean of x²), so that |x|²/d is 1 on average
        range:      shift = min,           scale = 1 / (max - min)
        symmetric:  shift = (min + max)/2, scale = 2 / (max - min)
        standard:   shift = mean,          scale = 1 / standard deviation, in each column
        none:       shift = 0,             scale = 1

    All of it is of the rows less their `float64_offset`. Where there is nothing to divide by (zeros only, a constant
    column), scale is 1.

    Args:
      x: [n, ...] finite values, an array, CSR or other rows that can be sliced; a row is flattened to d columns.
      kind: one of these five.

    Raises:
      ValueError: an unknown kind.

    References:
      power: Xie, Girshick & Farhadi 2016, Unsupervised Deep Embedding for Clustering Analysis, section 4.
    """
    kind = Model(scaling=kind).scaling  # refuses one that is unknown
    offset = float64_offset(x)
    x = x if offset is None else Shifted(x, offset)
    shift, scale = np.float64(0), np.float64(1)
    if kind == "power":
        scale = _reciprocal(np.sqrt(_total(x, lambda b: (b * b).sum()) / math.prod(x.shape)))
    elif kind in ("range", "symmetric"):
        lows, highs = _extremes(x)
        low, high = lows.min(), highs.max()
        shift, width = (low, high - low) if kind == "range" else ((low + high) / 2, (high - low) / 2)
        scale = _reciprocal(width)
    elif kind == "standard":
        shift = _total(x, lambda b: b.sum(axis=0)) / x.shape[0]
        variance = _total(x, lambda b: ((b - shift) ** 2).sum(axis=0)) / x.shape[0]
        # The rounded mean can give a constant float64 column a tiny variance instead of 0: ask its values.
        constant = np.equal(*_extremes(x))
        scale = _reciprocal(np.where(constant, 0, np.sqrt(variance)))
    return Scaling(np.asarray(shift, np.float32), np.asarray(scale, np.float32), offset)


def _total(x: Any, f: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The sum of what `f` makes of each block of rows, float64."""
    def own(starts):
        return sum(f(block) for _, block in row_blocks(x, np.float64, starts))

    return np.sum(together(block_starts(x), own), axis=0)


def _extremes(x: Any) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest value of each column, [d] float64."""
    def own(starts):
        low, high = np.inf, -np.inf
        for _, block in row_blocks(x, np.float64, starts):
            low, high = np.minimum(low, block.min(axis=0)), np.maximum(high, block.max(axis=0))
        return np.stack([low, high])

    lows, highs = np.stack(together(block_starts(x), own), axis=1)
    return lows.min(axis=0), highs.max(axis=0)


def _reciprocal(width: Any) -> np.ndarray:
    """1 / width, 1 where width is 0, and never outside float32's normal numbers (XLA flushes the others to 0)."""
    float32 = np.finfo(np.float32)
    width = np.where(np.asarray(width) > 0, width, 1.0)
    return np.clip(1 / width, float32.tiny, float32.max)


def _per_column(values: np.ndarray, x: Any) -> np.ndarray:
    """`values` [] as they are, or [d] in the shape of one row of `x`."""
    return values.reshape(x.shape[1:]) if values.ndim else values
