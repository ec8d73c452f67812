"""The data sets known by name, read from the files their authors published, under $DEC_DATA/<name>."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dec.config import unknown
from dec.data.base import Dataset, as_raw, data_dir, encode_labels
from dec.data.files import read_idx, read_table, read_usps


class Named(NamedTuple):
    """What it takes to read one named data set."""

    read: Callable[..., tuple[np.ndarray, np.ndarray]]  # (split, *paths of its files) -> rows, labels
    about: str
    files: dict[str, tuple[str, ...]]  # of each split; each may also carry .gz where `read` understands it
    origin: str = ""  # how to get the files
    classes: tuple[str, ...] = ()  # readable names of the labels 0, 1, ...


def _digits(split: str) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits  # scikit-learn takes a second to import

    bunch = load_digits()
    return bunch.images.astype(np.uint8), bunch.target  # whole numbers 0..16, stored there as float64


def _idx(split: str, images: Path, labels: Path) -> tuple[np.ndarray, np.ndarray]:
    return read_idx(images), read_idx(labels)


def _usps(split: str, path: Path) -> tuple[np.ndarray, np.ndarray]:
    return read_usps(path, split)


def _pendigits(split: str, path: Path) -> tuple[np.ndarray, np.ndarray]:
    return read_table(path)


IDX_FILES = {"train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
             "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")}

NAMED: dict[str, Named] = {
    "digits": Named(_digits, "handwritten digits of scikit-learn, 1797 x 8 x 8, 10 classes", {"all": ()}),
    "mnist": Named(_idx, "handwritten digits, 70000 x 28 x 28, 10 classes", IDX_FILES,
                   "from Yann LeCun's MNIST page or a mirror of it, or use 'tfds:mnist'"),
    "fashion_mnist": Named(_idx, "Zalando's articles of clothing, 70000 x 28 x 28, 10 classes", IDX_FILES,
                           "from the GitHub repository zalandoresearch/fashion-mnist or Debian's package "
                           "dataset-fashion-mnist, or use 'tfds:fashion_mnist'",
                           ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
                            "Ankle boot")),
    "usps": Named(_usps, "postal digits, 9298 x 16 x 16, 10 classes", {"train": ("usps.h5",), "test": ("usps.h5",)},
                  "as the HDF5 file of the 'USPS dataset' on Kaggle, with groups train and test"),
    "pendigits": Named(_pendigits, "pen trajectories of digits, 10992 x 16, 10 classes",
                       {"train": ("pendigits.tra",), "test": ("pendigits.tes",)},
                       "from the UCI repository, 'Pen-Based Recognition of Handwritten Digits'"),
}


def read_named(name: str, split: str = "") -> Dataset:
    """A data set of `NAMED`: one `split` of it, by default all of them pooled in their order.

    Raises:
      FileNotFoundError: the files are not under $DEC_DATA/<name>.
      ValueError: no such split, or a damaged file.
    """
    entry = NAMED[name]
    if split and len(entry.files) == 1:
        raise ValueError(f"{name}:{split}: {name} has no splits; use {name!r}")
    if split and split not in entry.files:
        raise ValueError(unknown(f"split of {name}", split, list(entry.files)))
    splits = [split] if split else list(entry.files)
    found = {s: _find(name, s) for s in splits}
    missing = [file for s in splits for file, path in zip(entry.files[s], found[s]) if path is None]
    if missing:
        root = data_dir()
        where = f"in {root / name}" if root else "because DEC_DATA is not set"
        raise FileNotFoundError(f"{name} is not on this machine: missing {', '.join(dict.fromkeys(missing))} {where}. "
                                f"Get it {entry.origin}; put the files in a folder {name!r}, and set DEC_DATA to the "
                                "folder around that one.")
    parts = [entry.read(s, *found[s]) for s in splits]
    x = as_raw(np.concatenate([part[0] for part in parts]), f"{name}:{split}" if split else name)
    y, classes = encode_labels(np.concatenate([part[1] for part in parts]), len(x), name)
    if entry.classes:
        classes = tuple(entry.classes[int(value)] for value in classes)
    which = "" if len(entry.files) == 1 else f", {' + '.join(splits)}" + (" pooled" if len(splits) > 1 else "")
    return Dataset(name, x, y, classes, f"{name}{which}, {len(x)} rows")


def on_this_machine(name: str) -> bool:
    """Whether every file of the named data set is there (not whether it is sound)."""
    return all(None not in _find(name, split) for split in NAMED[name].files)


def _find(name: str, split: str) -> list[Path | None]:
    """The path of each file of a split, plain or gzip; None for one that is missing."""
    root = data_dir()
    names = [(file, f"{file}.gz") if NAMED[name].read is _idx else (file,) for file in NAMED[name].files[split]]
    return [next((root / name / n for n in pair if root and (root / name / n).is_file()), None) for pair in names]
