"""Folders: of images or texts, whose sub-folders are the labels, or of the shards of one Parquet table."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from dec.config import Features
from dec.data.base import Dataset, encode_labels
from dec.data.tabular import open_text, read_frame, streamed_table, table_dataset

KINDS = dict.fromkeys((".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"), "image") | {
    ".txt": "text", ".parquet": "table"}


def read_folder(path: Path, features: Features, labels: bool = True) -> Dataset:
    """The images, texts or Parquet shards in a folder; hidden files are passed over, and others named in the source.

    Images stay paths. The rows are in the order of their relative paths, which name them (`ids`, called 'file').

    Args:
      labels: of a table, see `table_dataset`.

    Raises:
      ValueError: no such file or several kinds of them, some files in sub-folders and some not, or two levels of
        sub-folders; what `open_text` and `table_dataset` refuse.
    """
    files = sorted(file.relative_to(path) for file in path.rglob("*") if file.is_file())
    files = [file for file in files if not any(part.startswith(".") for part in file.parts)]
    used = [file for file in files if file.suffix.lower() in KINDS]
    kinds = {KINDS[file.suffix.lower()]: file for file in reversed(used)}  # the first file of each
    if len(kinds) != 1:
        found = _found(files) or "nothing"
        if not kinds:
            raise ValueError(f"{path} is a folder without a file to read: it holds {found}; give one with images "
                             f"({' '.join(s for s in KINDS if KINDS[s] == 'image')}), .txt files or .parquet shards")
        raise ValueError(f"{path} is a folder with several kinds of data: it holds {found} (first "
                         f"{', '.join(map(str, sorted(kinds.values())))}); keep one kind in a folder of its own")
    others = _found([file for file in files if file.suffix.lower() not in KINDS])
    told = f"; not read: {others}" if others else ""
    name, kind = path.resolve().name, next(iter(kinds))
    if kind == "table" and (large := streamed_table(path, name, str(path), features, labels)):
        return replace(large, source=large.source + told)
    if kind == "table":
        dataset = table_dataset(_shards(path, used), name, str(path), features, labels)
        return replace(dataset, source=dataset.source + told)

    y, classes = _labels(path, used)
    x = np.empty(len(used), object)
    x[:] = [path / file if kind == "image" else _text(path / file) for file in used]
    ids = pd.Series([file.as_posix() for file in used], name="file")
    return Dataset(name, x, y, classes, f"{path}, {len(x)} rows{told}", kind, ids)


def _found(files: list[Path]) -> str:
    """How many files there are of each suffix."""
    counts = Counter(file.suffix.lower() or file.name for file in files)
    return ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common(8))


def _labels(path: Path, files: list[Path]) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """The sub-folder of each file as its label; none where the files lie in the folder itself."""
    deep = next((file for file in files if len(file.parts) > 2), None)
    if deep:
        raise ValueError(f"{path} has sub-folders in sub-folders ({deep}); give the folder whose sub-folders are the "
                         f"labels, such as {path / deep.parts[0]}")
    loose = next((file for file in files if len(file.parts) == 1), None)
    labelled = next((file for file in files if len(file.parts) == 2), None)
    if labelled is None:
        return None, ()
    if loose:
        raise ValueError(f"{path} has files both in sub-folders, which are their labels ({labelled}), and outside "
                         f"({loose}); move all into sub-folders, or none")
    return encode_labels(np.array([file.parts[0] for file in files]), len(files), str(path))


def _text(path: Path) -> str:
    with open_text(path) as stream:
        return stream.read()


def _shards(path: Path, files: list[Path]) -> pd.DataFrame:
    """All shards under each other; their columns must have the same names, in any order."""
    nested = next((file for file in files if len(file.parts) > 1), None)
    if nested:
        raise ValueError(f"{path} has Parquet shards in sub-folders ({nested}); put all shards of a table into one "
                         "folder")
    frames = [read_frame(path / file) for file in files]
    for file, frame in zip(files, frames):
        differ = sorted(map(str, set(frame.columns) ^ set(frames[0].columns)))
        if differ:
            raise ValueError(f"{path / file} has other columns than {files[0]}: {', '.join(differ)} in one of them "
                             "only; write all shards with the same columns")
    return pd.concat(frames, ignore_index=True)
