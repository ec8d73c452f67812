"""The scaling of the input: fitted once, saved with the model, applied inside the training step."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from dec.config import Model, replace
from dec.data.precision import Shifted, extremes, float64_offset, per_column, total
from dec.data.stream import Rows


class Scaling(NamedTuple):
    """The map x -> (x - offset - shift) * scale; one number each for all columns ([]), or one a column ([d])."""

    shift: np.ndarray  # float32 [] or [d]
    scale: np.ndarray  # float32 [] or [d], positive and finite
    offset: np.ndarray | None = None  # float64 [d], see `float64_offset`; subtracted on the host, before float32

    def apply(self, x: Any) -> Any:
        """Return raw rows `x` [n, ...] (NumPy or JAX, any real dtype) as float32 features of the same shape."""
        x = x if self.offset is None else x - per_column(self.offset, x)
        return (x.astype(np.float32) - per_column(self.shift, x)) * per_column(self.scale, x)

    def invert(self, x: Any) -> Any:
        """Return features `x` [n, ...] in the raw units, float32, or float64 where there is an offset."""
        raw = x.astype(np.float32) / per_column(self.scale, x) + per_column(self.shift, x)
        return raw if self.offset is None else raw + per_column(self.offset, x)

    def for_device(self, x: Rows) -> tuple[Rows, Scaling]:
        """Return the rows without the offset, and the scaling that is left to do on the device."""
        return (x, self) if self.offset is None else (Shifted(x, self.offset), self._replace(offset=None))


def fit_scaling(x: Any, kind: str) -> Scaling:
    """Return the scaling of `kind` for the rows of `x`, computed in float64, one block of rows after the other.

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
    replace(Model(), {"scaling": kind})  # refuses one that is unknown
    offset = float64_offset(x)
    x = x if offset is None else Shifted(x, offset)
    shift, scale = np.zeros(()), np.ones(())
    if kind == "power":
        scale = _reciprocal(np.sqrt(total(x, lambda b: (b * b).sum()) / math.prod(x.shape)))
    elif kind in ("range", "symmetric"):
        lows, highs = extremes(x)
        low, high = lows.min(), highs.max()
        shift, width = (low, high - low) if kind == "range" else ((low + high) / 2, (high - low) / 2)
        scale = _reciprocal(width)
    elif kind == "standard":
        shift = total(x, lambda b: b.sum(axis=0)) / x.shape[0]
        variance = total(x, lambda b: ((b - shift) ** 2).sum(axis=0)) / x.shape[0]
        # The rounded mean can give a constant float64 column a tiny variance instead of 0: ask its values.
        constant = np.equal(*extremes(x))
        scale = _reciprocal(np.where(constant, 0, np.sqrt(variance)))
    return Scaling(np.asarray(shift, np.float32), np.asarray(scale, np.float32), offset)


def _reciprocal(width: Any) -> np.ndarray:
    """Return 1 / width, 1 where width is 0, within float32's normal numbers (XLA flushes the others to 0)."""
    float32 = np.finfo(np.float32)
    width = np.where(np.asarray(width) > 0, width, 1.0)
    return np.clip(1 / width, float32.tiny, float32.max)
