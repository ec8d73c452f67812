"""Rows that are read in pieces: what the engine asks of them, folders of Parquet files, and a subset of any rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from scipy.sparse import issparse


class Rows(Protocol):
    """What can be trained on: arrays, memory maps and CSR arrays are such rows as they are."""

    shape: tuple[int, ...]
    dtype: np.dtype

    def __getitem__(self, rows: slice | np.ndarray) -> Any:
        """These rows, by a slice or by ascending numbers, as an array or CSR."""


class Subset:
    """Some rows of `x`, which are read when they are asked for.

    Args:
      x: any rows [n, ...].
      rows: [m] ascending row numbers.
    """

    def __init__(self, x: Rows, rows: np.ndarray) -> None:
        self._x, self._rows = x, rows
        self.shape, self.dtype = (len(rows), *x.shape[1:]), x.dtype

    def __getitem__(self, rows: slice | np.ndarray) -> Any:
        return self._x[self._rows[rows]]

    @property
    def nbytes(self) -> int:
        """Bytes of these rows; the mean's share where rows differ (CSR)."""
        return math.ceil(nbytes(self._x) * len(self._rows) / self._x.shape[0])


def parquet_files(path: Path) -> list[Path]:
    """The file itself, or the Parquet files in a folder by their names, without hidden ones."""
    return sorted(f for f in path.glob("*.parquet") if f.name[0] not in "._") if path.is_dir() else [path]


class ParquetRows:
    """The rows [n, d] of Parquet files with numeric columns of one type, in the order of the files' names.

    uint8 stays uint8; everything else becomes float32. One row group is held at a time (the last one read), so files
    should be written with row groups of some ten thousand rows, not with one of many gigabytes.

    Args:
      path: one .parquet file, or a folder with some.
      columns: use only these, in this order; None for all of the first file.

    Raises:
      FileNotFoundError: no such file, or a folder without any.
      ValueError: files whose columns are missing, of different types or not numbers; on reading, a missing value.
    """

    def __init__(self, path: str | Path, columns: Sequence[str] | None = None) -> None:
        import pyarrow  # 0.2 seconds that other data do not need
        from pyarrow import parquet

        path = Path(path)
        self.files = files = parquet_files(path)
        if not files or not files[0].is_file():
            raise FileNotFoundError(f"{path} is neither a Parquet file nor a folder with .parquet files")
        self._groups: list[tuple[Any, int]] = []  # (open file, its row group)
        self._names: list[Path] = []
        sizes, kinds = [], {}
        for name in files:
            try:
                file = parquet.ParquetFile(name)
            except (OSError, ValueError) as error:  # pyarrow's errors are subclasses of ValueError
                raise ValueError(f"{name} is no Parquet file or is damaged ({error}); write it again") from error
            columns = file.schema_arrow.names if columns is None else list(columns)
            for column in columns:
                if column not in file.schema_arrow.names:
                    raise ValueError(f"{name} has no column {column!r}; all files must have the same columns")
                kinds.setdefault(file.schema_arrow.field(column).type, (name, column))
            for group in range(file.num_row_groups):
                self._groups.append((file, group))
                self._names.append(name)
                sizes.append(file.metadata.row_group(group).num_rows)
        for kind, (name, column) in kinds.items():
            if not (pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind)):
                raise ValueError(f"{name} has the column {column!r} of type {kind}, not numbers; leave it out or "
                                 "encode it")
        (kind, (name, column)), *others = kinds.items()
        if others:
            other, (where, which) = others[0]
            raise ValueError(f"column {column!r} of {name} is {kind} but {which!r} of {where} is {other}; cast all to "
                             "one type, for example float32")
        self._columns, self._ends = columns, np.cumsum(sizes)
        self.shape = int(sum(sizes)), len(columns)
        self.dtype = np.dtype(np.uint8 if kind == pyarrow.uint8() else np.float32)
        self._last: tuple[int, np.ndarray] | None = None

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        index = np.arange(*rows.indices(self.shape[0])) if isinstance(rows, slice) else np.asarray(rows)
        out = np.empty((len(index), self.shape[1]), self.dtype)
        groups = np.searchsorted(self._ends, index, side="right")
        for group in np.unique(groups):
            here = groups == group
            block = self._read(int(group))
            out[here] = block[index[here] - (self._ends[group] - len(block))]
        return out

    def _read(self, number: int) -> np.ndarray:
        """Row group `number` of all files, dense."""
        last = self._last  # one read of the attribute: another thread may replace it
        if last is not None and last[0] == number:
            return last[1]
        file, group = self._groups[number]
        try:
            table = file.read_row_group(group, columns=self._columns)
        except OSError as error:
            raise ValueError(f"{self._names[number]} cannot be read in row group {group} ({error}); write the file "
                             "again") from error
        block = np.empty((table.num_rows, len(self._columns)), self.dtype)
        for i, column in enumerate(self._columns):
            if table[column].null_count:
                raise ValueError(f"{self._names[number]} has a missing value in column {column!r}, row group {group}; "
                                 "fill it or leave its row out")
            block[:, i] = table[column].to_numpy()
        self._last = number, block
        return block


def nbytes(x: Rows) -> int:
    """Bytes of all rows: of its three arrays for CSR."""
    if issparse(x):
        return x.data.nbytes + x.indices.nbytes + x.indptr.nbytes
    return x.nbytes if hasattr(x, "nbytes") else math.prod(x.shape) * x.dtype.itemsize
