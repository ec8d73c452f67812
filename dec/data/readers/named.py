"""The data sets known by name, read from the files their authors published, under $DEC_DATA/<name>."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from dec.config import Features, unknown
from dec.data.arrays import Rows, read_hdf5, read_idx, read_numpy
from dec.data.dataset import Dataset, data_dir, encode_labels
from dec.data.precision import as_raw
from dec.data.readers.tabular import read_frame, table_dataset
from dec.errors import UserError

HALVES_SEED = 13


class Named(NamedTuple):
    """What it takes to read one named data set."""

    read: Callable[..., Any]  # (split, *paths of its files) -> rows, labels; a table: -> DataFrame
    about: str
    files: dict[str, tuple[str, ...]]  # of each split
    origin: str = ""  # how to get the files
    shape: tuple[int, ...] = ()  # of a row; of texts and tables ()
    classes: tuple[str, ...] = ()  # readable names of the labels 0, 1, ...
    kind: Literal["array", "table", "text", "sequence"] = "array"
    folder: str = ""  # under $DEC_DATA, where it is not called like the data set
    id: str | None = None  # of a table: the column that names the rows
    note: str = ""  # on the splits, for the source


def _digits(split: str) -> Rows:
    from sklearn.datasets import load_digits  # scikit-learn takes a second to import

    bunch = load_digits()
    return bunch.images.astype(np.uint8), bunch.target  # whole numbers 0..16, stored there as float64


def _idx(split: str, images: Path, labels: Path) -> Rows:
    return read_idx(images), read_idx(labels)


def _pendigits(split: str, path: Path) -> Rows:
    """Comma-separated integers with the label in the last column."""
    try:
        table = np.loadtxt(path, dtype=np.int64, delimiter=",", ndmin=2)
    except ValueError as error:
        raise UserError(f"{path} is not a table of comma-separated integers ({error}); download it again") from error
    return table[:, :-1], table[:, -1]


def _imdb(split: str, path: Path) -> Rows:
    """Return one half of the reviews, drawn at random since the file has no splits, in the order of the file."""
    texts, labels = _texts(path, read_frame(path), "review", "sentiment")
    shuffled = np.random.default_rng(HALVES_SEED).permutation(len(texts))
    half = len(texts) // 2
    rows = np.sort(shuffled[:half] if split == "train" else shuffled[half:])
    return texts[rows], labels[rows]


def _reuters(split: str, path: Path) -> Rows:
    """Return the rows below three lines of header: the names, types and roles of the columns."""
    return _texts(path, read_frame(path)[2:].reset_index(drop=True), "Text", "Category")


def _texts(path: Path, frame: pd.DataFrame, text: str, label: str) -> Rows:
    """Return two columns of a table: str objects, and labels as strings."""
    options = Features(columns=(text,), label=label, kinds=(f"{text}=text",))
    dataset = table_dataset(frame, path.stem, str(path), options)
    return dataset.x, np.array(dataset.classes)[dataset.y]


def _hapt(split: str, path: Path) -> Rows:
    x, y = read_numpy(path)
    return np.moveaxis(x, 1, -1), y  # channels last


IDX_FILES = {"train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
             "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")}

NAMED: dict[str, Named] = {
    "digits": Named(
        _digits, "handwritten digits of scikit-learn, 1797 x 8 x 8, 10 classes", {"all": ()}, shape=(8, 8)),
    "mnist": Named(
        _idx, "handwritten digits, 70000 x 28 x 28, 10 classes", IDX_FILES,
        "from Yann LeCun's MNIST page or a mirror of it, or use 'tfds:mnist'", (28, 28)),
    "fashion_mnist": Named(
        _idx, "Zalando's articles of clothing, 70000 x 28 x 28, 10 classes", IDX_FILES,
        "from the GitHub repository zalandoresearch/fashion-mnist or Debian's package dataset-fashion-mnist, or use "
        "'tfds:fashion_mnist'", (28, 28),
        ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")),
    "usps": Named(
        lambda split, path: read_hdf5(path, split), "postal digits, 9298 x 16 x 16, 10 classes",
        {"train": ("usps.h5",), "test": ("usps.h5",)},
        "as the HDF5 file of the 'USPS dataset' on Kaggle, with groups train and test", (16, 16)),
    "pendigits": Named(
        _pendigits, "pen trajectories of digits, 10992 x 16, 10 classes",
        {"train": ("pendigits.tra",), "test": ("pendigits.tes",)},
        "from the UCI repository, 'Pen-Based Recognition of Handwritten Digits'", (16,)),
    "phones": Named(
        lambda split, path: read_frame(path, ["asin"]),
        "mobile phones on offer in 2019, 720 rows of mixed columns, without labels", {"all": ("items.csv",)},
        "as items.csv of 'Amazon Cell Phones Reviews' on Kaggle", kind="table", id="asin"),
    "imdb": Named(
        _imdb, f"film reviews, 50000 texts, 2 classes; train and test: halves drawn with seed {HALVES_SEED}",
        {"train": ("IMDB Dataset.csv",), "test": ("IMDB Dataset.csv",)},
        "as 'IMDB Dataset of 50K Movie Reviews' on Kaggle", kind="text",
        note=f" (halves drawn with seed {HALVES_SEED})"),
    "reuters_r8": Named(
        _reuters, "news of Reuters-21578, 7674 texts, 8 classes",
        {"train": ("reuters-r8-train.tab",), "test": ("reuters-r8-test.tab",)},
        "from the data sets of the Orange data mining suite", kind="text"),
    "hapt": Named(
        _hapt, "accelerometer and gyroscope of smartphones, 10017 x 128 steps x 6, 6 classes", {"all": ("hapt.npz",)},
        "by cutting the raw signals of 'Smartphone-Based Recognition of Human Activities and Postural Transitions' in "
        "the UCI repository into windows of 128 steps, 64 apart, of one activity each: X [n, 6, 128] and y (1 to 6)",
        (128, 6), ("", "walking", "walking upstairs", "walking downstairs", "sitting", "standing", "lying"),
        "sequence"),
    "ecg5000": Named(
        lambda split, path: read_numpy(path), "heartbeats, 5000 x 140 steps, 5 classes", {"all": ("ECG5000.npz",)},
        "from the UCR archive, train and test stacked: X [5000, 140] and y (1 to 5)", (140, 1),
        ("", "normal", "R-on-T premature ventricular contraction", "premature ventricular contraction",
         "supraventricular premature or ectopic beat", "unclassified"), "sequence", folder="ucr"),
}


def read_named(name: str, split: str, features: Features, labels: bool = True) -> Dataset:
    """Return a data set of `NAMED`: one `split` of it, or for '' all of them pooled in their order.

    Of `features` and `labels`, see `table_dataset`, a table alone takes notice.

    Raises:
      FileNotFoundError: the files are not under $DEC_DATA/<name>.
      ValueError: no such split or column, or a damaged file.
    """
    entry = NAMED[name]
    if split and len(entry.files) == 1:
        raise UserError(f"{name}:{split}: {name} has no splits; use {name!r}")
    if split and split not in entry.files:
        raise UserError(unknown(f"split of {name}", split, list(entry.files)))
    splits = [split] if split else list(entry.files)
    found = {s: find(name, s) for s in splits}
    missing = [file for s in splits for file, path in zip(entry.files[s], found[s]) if path is None]
    if missing:
        root = data_dir()
        folder = entry.folder or name
        where = f"in {root / folder}" if root else "because DEC_DATA is not set"
        raise FileNotFoundError(f"{name} is not on this machine: missing {', '.join(dict.fromkeys(missing))} {where}. "
                                f"Get it {entry.origin}; put the files in a folder {folder!r}, and set DEC_DATA to the "
                                "folder around that one.")
    parts = [entry.read(s, *found[s]) for s in splits]
    if entry.kind == "table":
        return table_dataset(parts[0], name, name, replace(features, id=features.id or entry.id), labels)
    for s, (x, y) in zip(splits, parts):
        if y is None or (entry.shape and math.prod(x.shape[1:]) != math.prod(entry.shape)):
            raise UserError(f"{found[s][0]} should have labels and rows of shape {entry.shape}, but has rows of shape "
                            f"{x.shape[1:]} and {'no' if y is None else 'its'} labels; download it again")
    x = np.concatenate([part[0] for part in parts])
    x = as_raw(x.reshape(-1, *entry.shape), name) if entry.shape else x
    y, classes = encode_labels(np.concatenate([part[1] for part in parts]), len(x), name)
    if entry.classes:
        classes = tuple(entry.classes[int(value)] for value in classes)
    which = "" if len(entry.files) == 1 else f", {' + '.join(splits)}" + (" pooled" if len(splits) > 1 else "")
    return Dataset(name, x, y, classes, f"{name}{which}{entry.note}, {len(x)} rows", entry.kind)


def find(name: str, split: str) -> list[Path | None]:
    """Return the path of each file of a split, plain or gzip; None for one that is missing."""
    root, entry = data_dir(), NAMED[name]
    places = [[root / (entry.folder or name) / (file + gz) for gz in ("", ".gz")] if root else []
              for file in entry.files[split]]
    return [next(filter(Path.is_file, pair), None) for pair in places]
