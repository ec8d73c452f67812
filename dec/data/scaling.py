"""The scaling of the input: fitted once, saved with the model, applied inside the training step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from dec.config import Model
from dec.data.base import block_starts, row_blocks
from dec.data.processes import together


class Scaling(NamedTuple):
    """The map x -> (x - shift) * scale; one number each for all columns ([]), or one a column ([d])."""

    shift: np.ndarray  # float32 [] or [d]
    scale: np.ndarray  # float32 [] or [d], positive and finite

    def apply(self, x: Any) -> Any:
        """Raw rows `x` [n, ...] (NumPy or JAX, any real dtype) as float32 features of the same shape."""
        return (x.astype(np.float32) - _per_column(self.shift, x)) * _per_column(self.scale, x)

    def invert(self, x: Any) -> Any:
        """Features `x` [n, ...] back in the raw units, float32."""
        return x.astype(np.float32) / _per_column(self.scale, x) + _per_column(self.shift, x)


def fit_scaling(x: Any, kind: str) -> Scaling:
    """The scaling of `kind` for the rows of `x`, computed in float64, one block of rows after the other.

        power:      shift = 0,             scale = 1 / sqrt(mean of x²), so that |x|²/d is 1 on average
        range:      shift = min,           scale = 1 / (max - min)
        symmetric:  shift = (min + max)/2, scale = 2 / (max - min)
        standard:   shift = mean,          scale = 1 / standard deviation, in each column
        none:       shift = 0,             scale = 1

    Where there is nothing to divide by (zeros only, a constant column), scale is 1.

    Args:
      x: [n, ...] finite values, an array, CSR or other rows that can be sliced; a row is flattened to d columns.
      kind: one of these five.

    Raises:
      ValueError: an unknown kind.

    References:
      power: Xie, Girshick & Farhadi 2016, Unsupervised Deep Embedding for Clustering Analysis, section 4.
    """
    kind = Model(scaling=kind).scaling  # refuses one that is unknown
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
    return Scaling(np.asarray(shift, np.float32), np.asarray(scale, np.float32))


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
