"""What is measured of rows of any kind, as numbers with names, to tell clusters apart."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

CATEGORIES = 12  # of a column, the most frequent ones are measured


class Measured(NamedTuple):
    """Numbers with names that are known of each row."""

    names: list[str]  # [f] such as 'price', 'brand = Nokia'
    columns: list[str]  # [f] the column that each is from
    binary: np.ndarray  # [f] whether it is 0 or 1
    values: np.ndarray  # float32 [m, f], NaN where missing
    dates: frozenset[str] = frozenset()  # columns that are days since 1970


def measured_columns(columns: dict[str, np.ndarray], dates: frozenset[str]) -> Measured:
    """Of the columns of a table: numbers (booleans among them) as they are, 0 or 1 for each frequent category."""
    found: list[tuple[str, str, bool, np.ndarray]] = []
    for name, values in columns.items():
        if values.dtype != object:
            binary = bool(np.isin(values[np.isfinite(values)], (0, 1)).all())
            found.append((name, name, binary, values))
            continue
        for value in pd.Series(values).value_counts().index[:CATEGORIES]:
            found.append((f"{name} = {value}", name, True, np.where(pd.isna(values), np.nan, values == value)))
    names, origins, binary, values = zip(*found)
    return Measured(list(names), list(origins), np.array(binary), np.stack(values, 1).astype(np.float32), dates)


def measured_images(images: np.ndarray) -> Measured:
    """Of images: how bright, how contrasted, and where their light is and how far it spreads, in pixels.

    Where most of the picture is bright, the dark is taken for what is drawn on it.
    """
    grey = images.mean(axis=3) if images.ndim == 4 else images
    bright = grey.reshape(len(grey), -1).mean(axis=1, dtype=np.float64)
    spread = grey.reshape(len(grey), -1).std(axis=1, dtype=np.float64)
    ink = grey.astype(np.float32) if np.median(bright) < 127.5 else 255 - grey.astype(np.float32)
    total = np.maximum(ink.sum(axis=(1, 2)), 1e-6)
    named = {"brightness": bright / 255, "contrast": spread / 255}
    for axis, (place, extent) in ((2, ("position from the left", "width")), (1, ("position from the top", "height"))):
        along = ink.sum(axis=3 - axis)
        at = np.arange(along.shape[1])
        centre = along @ at / total
        named[place] = centre
        named[extent] = 2 * np.sqrt(np.maximum(along @ at**2 / total - centre**2, 0))
    names = list(named)
    return Measured(names, names, np.zeros(len(names), bool), np.stack(list(named.values()), 1).astype(np.float32))


def measured_curves(curves: np.ndarray) -> Measured:
    """Of recordings [m, t, c]: the level of each channel, how much it varies, and at which step it is highest."""
    there = np.isfinite(curves)
    count = np.maximum(there.sum(axis=1), 1)
    values = np.where(there, curves, 0)
    mean = values.sum(axis=1) / count
    spread = np.sqrt((np.where(there, curves - mean[:, None], 0) ** 2).sum(axis=1) / count)
    top = np.where(there, curves, -np.inf).argmax(axis=1)
    what = {"level": mean, "variation": spread, "peak step": top}
    names = [f"{name} of channel {c}" for name in what for c in range(curves.shape[2])]
    parts = list(what.values())
    if not there.all():
        names, parts = [*names, "length"], [*parts, there[..., :1].sum(axis=1)]
    return Measured(names, names, np.zeros(len(names), bool), np.concatenate(parts, axis=1).astype(np.float32))
