"""From a name or a path to a `Dataset`, and from its raw values to scaled features. Nothing here trains."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.sparse import issparse

from dec.config import Features, unknown
from dec.data.base import Dataset, cache_dir, check_rows
from dec.data.files import SUFFIXES, read_file, suffix_of
from dec.data.named import NAMED, on_this_machine, read_named
from dec.data.scaling import Scaling, fit_scaling

__all__ = ["Dataset", "Scaling", "available", "cache_dir", "check_rows", "fit_scaling", "load"]


def load(spec: str, limit: int | None = None, features: Features | None = None, labels: bool = True) -> Dataset:
    """The data set that `spec` names.

    Args:
      spec: a name (`digits`, see `available`), a split of it (`mnist:train`, `mnist:test`), `tfds:NAME` or
        `tfds:NAME:SPLIT`, or a path to a file or folder (see `read_file`). Without a split, train and test are pooled.
      limit: keep a fixed uniform sample of so many rows.
      features: which columns of a table to use and what to do without some values. An array is read as images where a
        size or colour is asked for, as sequences where a window is. All else waits for the transformer.
      labels: whether a table must have the label column that `features` names, without gaps; rows that a model is to
        predict need none.

    Raises:
      FileNotFoundError: the data are not on this machine; it says which files are missing and how to get them.
      ValueError: an unknown name, split or column, a damaged or unusable file, a `limit` below 1.
    """
    features = features or Features()
    name, _, split = spec.partition(":")
    if name == "tfds":
        from dec.data.tfds import read_tfds  # tensorflow-datasets takes a second to import

        dataset = read_tfds(split)
    elif name in NAMED:
        dataset = read_named(name, split, features, labels)
    elif spec and (suffix_of(Path(spec)) in SUFFIXES or os.sep in spec or Path(spec).exists()):
        dataset = read_file(spec, features, labels)
    else:
        raise ValueError(unknown("data set", name, list(NAMED)) + " Or tfds:NAME, or a path to a file or folder.")
    return _as_kind(dataset, features).sample(limit)


def _as_kind(dataset: Dataset, features: Features) -> Dataset:
    """An array as the images or sequences that `features` asks for; other kinds as they are."""
    if dataset.kind != "array":
        return dataset
    shape, dtype = dataset.x.shape, dataset.x.dtype
    if features.window is not None:
        if issparse(dataset.x) or len(shape) not in (2, 3):
            raise ValueError(f"features.window={features.window} cuts sequences, arrays of shape [n, t] or [n, t, c], "
                             f"but {dataset.name} is {'sparse' if issparse(dataset.x) else 'an array'} of shape "
                             f"{shape}; leave the window out, or reshape it")
        x = dataset.x.astype(np.float32, copy=False)
        return replace(dataset, x=x[..., None] if x.ndim == 2 else x, kind="sequence")
    if features.size is not None or features.colour != "keep":
        if dtype != np.uint8 or not (len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)):
            raise ValueError(f"features.size and features.colour are for images, uint8 arrays of shape [n, h, w] or "
                             f"[n, h, w, 3], but {dataset.name} is {dtype} of shape {shape}; leave them out, or "
                             "convert it")
        return replace(dataset, kind="image")
    return dataset


def available() -> dict[str, tuple[str, bool]]:
    """Each named data set with its one-line description and whether all its files are on this machine."""
    return {name: (entry.about, on_this_machine(name)) for name, entry in NAMED.items()}
