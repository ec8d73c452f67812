"""The `Dataset`, and the checks that every reader puts its arrays through."""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import issparse

from dec.config import Features
from dec.data import processes
from dec.errors import UserError
from dec.paths import as_path

PIECE = 2**22  # values of a table that are looked at together


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows to cluster, raw as they were read; labels serve evaluation only.

    What `x` is depends on `kind`:
      array: [n, ...] uint8 for images and small integers, float32 for the rest; a memory map of any real dtype where
        the file is large; or a CSR array [n, d] of float32.
      table: a pandas DataFrame with the columns that are used; a `ParquetTable` where the file is large.
      text: [n] str objects.
      image: uint8 [n, h, w] or [n, h, w, 3], or [n] paths of image files.
      sequence: [n, t] or [n, t, c], or [n] paths of .npy files.
    """

    name: str
    x: Any
    y: np.ndarray | None = None  # [n] int32, codes 0..c-1
    classes: tuple[str, ...] = ()  # the c original labels
    source: str = ""  # one line: what this is, with its split and number of rows
    kind: str = "array"  # a name of `dec.data.kinds.KINDS`
    ids: pd.Series | None = None  # [n] what names the rows, under its column's name; its index is not used
    kept: pd.DataFrame | None = None  # [n] columns that are no input but come back in labels.csv
    rows: np.ndarray | None = None  # [n] numbers of the rows in the file, where some of them were left out
    column: str | None = None  # the column of a table that the texts are from

    def __len__(self) -> int:
        return self.x.shape[0]

    @property
    def n_classes(self) -> int | None:
        """The number of classes, None without labels."""
        return None if self.y is None else len(self.classes)

    @cached_property
    def digest(self) -> str:
        """A short hash of what `x` holds; it names caches."""
        return content_hash(self.x)[:20]

    def sample(self, limit: int | None) -> Dataset:
        """Return a uniform sample of `limit` rows (see `sample_rows`); for None, or n or more, the data set itself.

        Raises:
          ValueError: `limit` below 1.
        """
        if limit is None or limit >= len(self):
            return self
        if limit < 1:
            raise UserError(f"limit={limit} leaves no rows; give at least 1, or None for all {len(self)}")
        return self.take(sample_rows(len(self), limit), f"{self.source}; a uniform sample of {limit} of them (seed 0)")

    def take(self, rows: np.ndarray, source: str) -> Dataset:
        """Return these rows alone."""
        x = self.x.take(rows) if hasattr(self.x, "columns") else self.x[rows]
        y, ids, kept = (None if part is None else part.take(rows) for part in (self.y, self.ids, self.kept))
        return replace(self, x=x, source=source, y=y, ids=ids, kept=kept,
                       rows=rows if self.rows is None else self.rows[rows])


def sample_rows(n: int, size: int, seed: int = 0) -> np.ndarray:
    """Return the ascending numbers [size] of a uniform sample of n rows without replacement, a function of the seed."""
    return np.sort(np.random.default_rng(seed).choice(n, size, replace=False))


def data_dir() -> Path | None:
    """Return $DEC_DATA, the folder with the data sets; None where it is not set."""
    value = os.environ.get("DEC_DATA")
    return as_path(value) if value else None


def read_bytes(path: Path) -> bytes:
    """Return the content of a file, unpacked if it is gzip, whatever its name.

    Raises:
      ValueError: damaged gzip.
    """
    content = path.read_bytes()
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        raise UserError(f"{path} is a damaged or truncated gzip file ({error}); copy or download it again") from error


def content_hash(x: Any) -> str:
    """Return a hash of what any `Dataset.x` or other rows hold; of numbers, that of their blocks' hashes."""
    sha = hashlib.sha256(f"{getattr(x, 'dtype', 'table')} {x.shape} ".encode())
    if issparse(x) or hasattr(x, "columns") or x.dtype == object:
        for array in _arrays(x):
            sha.update(array.tobytes())
    else:
        def hashes(starts):
            own = (hashlib.sha256(block.tobytes()).digest() for _, block in row_blocks(x, x.dtype, starts))
            return np.frombuffer(b"".join(own), np.uint8)

        sha.update(np.concatenate(processes.map_shares(block_starts(x), hashes)).data)
    return sha.hexdigest()


def _arrays(x: Any) -> Iterator[np.ndarray]:
    """Return numeric arrays that tell what CSR, a table, texts or paths hold."""
    if issparse(x):
        yield from (x.indptr, x.indices, x.data)
    elif hasattr(x, "columns"):  # a table
        yield np.frombuffer(repr(list(x.columns)).encode(), np.uint8)
        yield from (pd.util.hash_pandas_object(piece, index=False).to_numpy() for piece in pieces(x))
    else:
        for value in x:  # a text, an array or a path
            content = value.encode() if isinstance(value, str) else value
            yield np.frombuffer(content.read_bytes() if isinstance(content, Path) else bytes(content), np.uint8)
            yield np.zeros(1, np.uint8)  # where one ends


def pieces(table: Any) -> Iterator[pd.DataFrame]:
    """Return the rows of a DataFrame or `ParquetTable` in order, some at a time."""
    step = max(1, PIECE // table.shape[1])
    yield from (table[start:start + step] for start in range(0, table.shape[0], step))


def block_starts(x: Any) -> range:
    """Return the first rows of the `row_blocks` of `x`."""
    return range(0, x.shape[0], max(1, 2**20 // max(1, math.prod(x.shape[1:]))))


def row_blocks(x: Any, dtype: type, starts: range | None = None) -> Iterator[tuple[int, np.ndarray]]:
    """Return the rows of `x` [n, ...], an array or CSR, in order: (first row, dense [rows, d] of `dtype`).

    A block has about a million values, so that a large uint8 or sparse array never exists as floats. With `starts`,
    some of the `block_starts`, those blocks alone.
    """
    starts = block_starts(x) if starts is None else starts
    for start in starts:
        block = x[start:start + starts.step]
        block = block.toarray() if issparse(block) else block
        yield start, block.reshape(len(block), -1).astype(dtype)


def as_items(X: Any, what: str) -> Any:
    """Return `X`, checked to be a list of items, not one string or path, and not empty."""
    if isinstance(X, str | os.PathLike):
        raise UserError(f"the {what} are one string, {str(X)[:50]!r}; give a list of them, or of paths, for example "
                        "sorted(Path(folder).glob('*.png'))")
    if not len(X):
        raise UserError(f"there are no {what}; give at least one")
    return X


def item_name(what: str, row: int, value: Any) -> str:
    """Return a name for an item in a message: with its path, where it is one."""
    return f"{what} {row}" + (f" ({value})" if isinstance(value, str | os.PathLike) else "")


def check_parameters(transformer: Any) -> None:
    """Check that each parameter of a transformer has the type and range that `Features` gives to its name."""
    Features(**{name: value for name, value in transformer.get_params().items() if name != "kinds"})


def check_rows(x: Any, name: str) -> None:
    """Check that `x`, an array or CSR, is non-empty and numeric [n, ...], of values that are finite in float32.

    Raises:
      ValueError: otherwise, with its `name`, the value, the first row and column that has it, and what to do.
    """
    if x.dtype.kind not in "biuf":
        raise UserError(f"{name} holds values of dtype {x.dtype}, not real numbers; encode text and categories as "
                        "numbers and convert it, for example with x.astype(np.float32)")
    if len(x.shape) < 2:
        raise UserError(f"{name} has shape {x.shape}, but rows of features are needed; use x.reshape(-1, 1) if each "
                        "value is a row, x.reshape(1, -1) if all are one")
    if 0 in x.shape:
        raise UserError(f"{name} is empty: its shape is {x.shape}; give at least one row and one column")
    if x.dtype.kind != "f":
        return

    def first_wrong(starts):
        wrong = (start + np.argwhere(~np.isfinite(block))[0, 0] for start, block in row_blocks(x, np.float32, starts)
                 if not np.isfinite(block).all())
        return np.int64(next(wrong, x.shape[0]))

    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes inf, which is what is looked for
        row = min(map(int, processes.map_shares(block_starts(x), first_wrong)))
        if row < x.shape[0]:
            _, raw = next(row_blocks(x[row:row + 1], x.dtype))
            column = np.argmin(np.isfinite(raw[0].astype(np.float32)))
            raise UserError(f"{name} has the value {raw[0, column]} in row {row}, column {column}; remove "
                            "such rows, or fill them in or rescale them to finite float32 values")


def encode_labels(y: np.ndarray, n: int, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return any labels [n] as int32 codes 0..c-1, and the c labels in sorted order as strings.

    Raises:
      ValueError: not one label a row, or labels that are objects or NaN.
    """
    if y.shape != (n,):
        raise UserError(f"{name} has labels of shape {y.shape} for {n} rows; give one label a row, shape ({n},)")
    wrong = np.flatnonzero(~np.isfinite(y)) if y.dtype.kind == "f" else []
    if y.dtype.kind not in "biufUS" or len(wrong):
        first = f", the first being {y[wrong[0]]} in row {wrong[0]}" if len(wrong) else ""
        raise UserError(f"{name} has labels (dtype {y.dtype}) that are not all numbers or strings{first}; give each "
                        "row a label, or leave the labels out")
    values, codes = np.unique(np.char.decode(y, "utf-8") if y.dtype.kind == "S" else y, return_inverse=True)
    if y.dtype.kind == "f" and (y == np.floor(y)).all():
        values = values.astype(np.int64)  # so that the classes read '3', not '3.0'
    return codes.astype(np.int32), tuple(map(str, values))
