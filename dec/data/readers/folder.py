"""Folders: of images, texts or recordings, whose sub-folders are the labels, or of the shards of a Parquet table."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from dec.config import Features
from dec.data.dataset import Dataset, encode_labels
from dec.data.readers.tabular import read_text, table_dataset
from dec.data.stream import read_parquet
from dec.errors import UserError

KINDS = dict.fromkeys((".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"), "image") | {
    ".txt": "text", ".npy": "sequence", ".parquet": "table"}


def read_folder(path: Path, features: Features, labels: bool = True) -> Dataset:
    """Return the images, texts, recordings or Parquet shards in a folder; hidden files are left out, others reported.

    Images and recordings stay paths. The rows are in the order of their relative paths, which name them (`ids`, called
    'file').

    Args:
      labels: whether sub-folders must be labels: all files in some, of one level, or none. Rows that a model is to
        predict may be at any depth. Of a table, see `table_dataset`.

    Raises:
      ValueError: no such file or several kinds of them; sub-folders that must be labels and are not; what `read_text`
        and `table_dataset` refuse.
    """
    files = sorted(file.relative_to(path) for file in path.rglob("*") if file.is_file())
    files = [file for file in files if not any(part.startswith(".") for part in file.parts)]
    used = [file for file in files if file.suffix.lower() in KINDS]
    kinds = {KINDS[file.suffix.lower()]: file for file in reversed(used)}  # the first file of each
    if len(kinds) != 1:
        found = _found(files) or "nothing"
        if not kinds:
            raise UserError(f"{path} is a folder without a file to read: it holds {found}; give one with images "
                            f"({' '.join(s for s in KINDS if KINDS[s] == 'image')}), .txt files, .npy recordings or "
                            ".parquet shards")
        raise UserError(f"{path} is a folder with several kinds of data: it holds {found} (first "
                        f"{', '.join(map(str, sorted(kinds.values())))}); keep one kind in a folder of its own")
    others = _found([file for file in files if file.suffix.lower() not in KINDS])
    told = f"; not read: {others}" if others else ""
    name, kind = path.resolve().name, next(iter(kinds))
    if kind == "table":
        nested = next((file for file in used if len(file.parts) > 1), None)
        if nested:
            raise UserError(f"{path} has Parquet shards in sub-folders ({nested}); put all shards of a table into one "
                            "folder")
        frame = read_parquet([path / file for file in used])
        dataset = table_dataset(frame, name, str(path), features, labels)
        return replace(dataset, source=dataset.source + told)

    y, classes = _labels(path, used, labels)
    x = np.empty(len(used), object)
    x[:] = [read_text(path / file).decode() if kind == "text" else path / file for file in used]
    ids = pd.Series([file.as_posix() for file in used], name="file")
    return Dataset(name, x, y, classes, f"{path}, {len(x)} rows{told}", kind, ids)


def _found(files: list[Path]) -> str:
    """Return the number of files of each suffix."""
    counts = Counter(file.suffix.lower() or file.name for file in files)
    return ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common(8))


def _labels(path: Path, files: list[Path], needed: bool) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Return the sub-folder of each file as its label; none where the files lie in the folder itself."""
    depths = {len(file.parts): file for file in reversed(files)}  # the first file of each
    if max(depths) == 1 or (not needed and set(depths) != {2}):
        return None, ()
    if max(depths) > 2:
        deep = depths[max(depths)]
        raise UserError(f"{path} has sub-folders in sub-folders ({deep}); give the folder whose sub-folders are the "
                        f"labels, such as {path / deep.parts[0]}")
    if 1 in depths:
        raise UserError(f"{path} has files both in sub-folders, which are their labels ({depths[2]}), and outside "
                        f"({depths[1]}); move all into sub-folders, or none")
    return encode_labels(np.array([file.parts[0] for file in files]), len(files), str(path))
