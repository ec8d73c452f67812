"""From a name or a path to a `Dataset`, and from its raw values to scaled features. Nothing here trains."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from scipy.sparse import issparse

from dec.config import Features, unknown
from dec.data.dataset import Dataset, check_rows
from dec.data.readers.files import SUFFIXES, read_file, suffix_of
from dec.data.readers.named import NAMED, find, read_named
from dec.data.scaling import Scaling, fit_scaling
from dec.errors import UserError
from dec.io import cache_dir
from dec.paths import as_path

__all__ = ["Dataset", "Scaling", "available", "cache_dir", "check_rows", "fit_scaling", "load"]


def load(spec: str, limit: int | None = None, features: Features | None = None, labels: bool = True) -> Dataset:
    """Return the data set that `spec` names.

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
        from dec.data.readers.tfds import read_tfds  # tensorflow-datasets takes a second to import

        dataset = read_tfds(split)
    elif name in NAMED:
        dataset = read_named(name, split, features, labels)
    elif spec and (suffix_of(Path(spec)) in SUFFIXES or os.sep in spec or as_path(spec).exists()):
        dataset = read_file(spec, features, labels)
    else:
        raise UserError(unknown("data set", name, list(NAMED)) + " Or tfds:NAME, or a path to a file or folder.")
    if dataset.kind == "array" and not issparse(dataset.x):
        if features.window is not None:
            dataset = replace(dataset, kind="sequence")
        elif features.size is not None or features.colour != "keep":
            dataset = replace(dataset, kind="image")
    return dataset.sample(limit)


def available() -> dict[str, tuple[str, bool]]:
    """Return each named data set with its one-line description and whether all its files are on this machine."""
    return {name: (entry.about, all(None not in find(name, split) for split in entry.files))
            for name, entry in NAMED.items()}
