"""Ways in which people see rows: as images, curves, texts, cells of a table, or plain numbers.

A report has one way to draw each of them, and asks a run's view, never the name of a kind of data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from dec.data.dataset import Dataset


class Images(NamedTuple):
    """Rows seen as images."""

    decode: Callable[[np.ndarray], np.ndarray]  # rows of numbers [m, d] -> uint8 [m, h, w] or [m, h, w, 3]


class Curves(NamedTuple):
    """Rows seen as curves over time."""

    decode: Callable[[np.ndarray], np.ndarray]  # rows of numbers [m, d] -> [m, t, c], NaN where there is no step
    channels: int
    steps: int = 0  # of a mask behind the values of a row; 0 without one


class Texts(NamedTuple):
    """Rows seen as texts."""


class Cells(NamedTuple):
    """Rows seen as the cells of a table."""

    kinds: dict[str, str]  # of each column: number, category, text, drop, ...
    dates: frozenset[str]  # columns that are days since 1970


class Numbers(NamedTuple):
    """Rows seen as numbers without names."""


View = Images | Curves | Texts | Cells | Numbers


def images_of_pixels(dataset: Dataset, features: Any, some: Callable[[], np.ndarray]) -> View:
    """Return the view of images that a transformer turned into pixels of 0 to 255."""
    return Images(lambda x: to_bytes(_shaped(x, features.shape_), 0, 255))


def images_or_numbers(dataset: Dataset, features: Any, some: Callable[[], np.ndarray]) -> View:
    """Return the view of an array: images where rows have the shape of one, else numbers."""
    shape = dataset.x.shape[1:]
    picture = len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3))
    if not picture or max(shape[:2]) > 3 * min(shape[:2]):  # rather steps and channels
        return Numbers()
    limits: list[float] = []

    def decode(x: np.ndarray) -> np.ndarray:
        if not limits:
            values = some()
            limits.extend((float(min(0, values.min())), float(values.max())))
        return to_bytes(_shaped(x, shape), *limits)

    return Images(decode)


def curves(dataset: Dataset, features: Any, some: Callable[[], np.ndarray]) -> View:
    """Return the view of recordings that a transformer cut into windows."""
    steps, channels = features.shape_
    return Curves(features.inverse_transform, channels, steps if features.masked_ else 0)


def cells(dataset: Dataset, features: Any, some: Callable[[], np.ndarray]) -> View:
    """Return the view of a table."""
    return Cells(features.kinds_, frozenset(features.dates_))


def texts(dataset: Dataset, features: Any, some: Callable[[], np.ndarray]) -> View:
    """Return the view of texts."""
    return Texts()


def _shaped(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return np.reshape(x, (len(x), *(shape[:2] if shape[2:] == (1,) else shape)))


def to_bytes(images: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return images of any real dtype as uint8, from `low` (black) to `high` (white); NaN is white."""
    if images.dtype == np.uint8 and (low, high) == (0, 255):
        return images
    scaled = np.clip((images.astype(np.float32) - low) / max(high - low, 1e-12), 0, 1)
    return np.nan_to_num(255 * scaled, nan=255).round().astype(np.uint8)
