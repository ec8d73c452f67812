"""From a name or a path to a `Dataset`, and from its raw values to scaled features. Nothing here trains."""

from __future__ import annotations

import os
from pathlib import Path

from dec.config import unknown
from dec.data.base import Dataset, cache_dir, check_rows
from dec.data.files import read_file
from dec.data.named import NAMED, on_this_machine, read_named
from dec.data.scaling import Scaling, fit_scaling

__all__ = ["Dataset", "Scaling", "available", "cache_dir", "check_rows", "fit_scaling", "load"]


def load(spec: str, limit: int | None = None) -> Dataset:
    """The data set that `spec` names.

    Args:
      spec: a name (`digits`, see `available`), a split of it (`mnist:train`, `mnist:test`), `tfds:NAME` or
        `tfds:NAME:SPLIT`, or a path to an .npy or .npz file. Without a split, train and test are pooled.
      limit: keep a fixed uniform sample of so many rows.

    Raises:
      FileNotFoundError: the data are not on this machine; it says which files are missing and how to get them.
      ValueError: an unknown name or split, a damaged or unusable file, a `limit` below 1.
    """
    name, _, split = spec.partition(":")
    if name == "tfds":
        from dec.data.tfds import read_tfds  # tensorflow-datasets takes a second to import

        dataset = read_tfds(split)
    elif name in NAMED:
        dataset = read_named(name, split)
    elif Path(spec).suffix in {".npy", ".npz"} or os.sep in spec or Path(spec).is_file():
        dataset = read_file(spec)
    else:
        raise ValueError(unknown("data set", name, list(NAMED)) + " Or tfds:NAME, or a path to an .npy or .npz file.")
    return dataset.sample(limit)


def available() -> dict[str, tuple[str, bool]]:
    """Each named data set with its one-line description and whether all its files are on this machine."""
    return {name: (entry.about, on_this_machine(name)) for name, entry in NAMED.items()}
