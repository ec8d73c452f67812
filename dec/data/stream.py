"""Rows that are read in pieces: what the engine asks of them, tables in Parquet files, and a subset of any rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from scipy.sparse import csr_array, issparse, vstack

from dec.data.dataset import PIECE, sample_rows
from dec.errors import UserError

LARGE = 2**28  # bytes above which a Parquet table stays on the disk
SAMPLE_ROWS, SAMPLE_VALUES = 2**18, 2**25  # at most, of the rows that tell what is in the columns of such a table


class Rows(Protocol):
    """Rows to train on, read when they are asked for; arrays, memory maps and CSR arrays are such rows."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, ...) or, of all but images, (n, d)."""

    @property
    def dtype(self) -> Any:
        """The dtype of the values."""

    def __getitem__(self, rows: Any, /) -> Any:
        """Return these rows, by a slice or by ascending numbers, as an array or CSR."""


class Subset:
    """The rows of any `x` [n, ...] with the ascending numbers `rows` [m], read when they are asked for."""

    def __init__(self, x: Rows, rows: np.ndarray) -> None:
        self._x, self._rows = x, rows
        self.shape, self.dtype = (len(rows), *x.shape[1:]), x.dtype

    def __getitem__(self, rows: slice | np.ndarray) -> Any:
        return self._x[self._rows[rows]]

    @property
    def nbytes(self) -> int:
        """Bytes of these rows; the mean's share where rows differ (CSR)."""
        return math.ceil(nbytes(self._x) * len(self._rows) / self._x.shape[0])


@dataclass(eq=False, repr=False)
class ParquetTable:
    """The rows of Parquet files in their order, read as DataFrames when they are asked for; see `read_parquet`.

    One row group is held at a time (the last one read), so files should be written with row groups of some ten thousand
    rows, not with one of many gigabytes.
    """

    groups: list[Any]  # pyarrow's fragments of one row group each
    starts: np.ndarray  # [groups + 1] the number of the first row of each; that of all rows
    schema: Any  # pyarrow's, of the columns that are used
    width: float  # bytes that a value takes in memory
    rows: np.ndarray | None = None  # [n] ascending numbers of the rows that are used; None for all

    def __post_init__(self) -> None:
        n = int(self.starts[-1]) if self.rows is None else len(self.rows)
        self.columns, self.shape = self.schema.names, (n, len(self.schema))
        self._group = lru_cache(maxsize=1)(self._read)

    @cached_property
    def sample(self) -> pd.DataFrame:
        """A fixed uniform sample of the rows, to learn what is in the columns."""
        n, columns = self.shape
        return self[sample_rows(n, min(n, SAMPLE_ROWS, max(1, SAMPLE_VALUES // columns)))]

    def resident(self) -> pd.DataFrame | ParquetTable:
        """Return all rows where they have no more than `LARGE` bytes, else the table itself."""
        return self[:] if math.prod(self.shape) * self.width <= LARGE else self

    def take(self, rows: np.ndarray) -> pd.DataFrame | ParquetTable:
        """Return these rows, by ascending numbers; `resident`."""
        return replace(self, rows=rows if self.rows is None else self.rows[rows]).resident()

    def __getitem__(self, rows: slice | np.ndarray | list[str]) -> pd.DataFrame | ParquetTable:
        """Rows, by a slice or by ascending numbers, under their numbers in the files; or columns, still on the disk."""
        import pyarrow

        if isinstance(rows, list):
            return replace(self, schema=pyarrow.schema(map(self.schema.field, rows)))
        rows = np.arange(*rows.indices(self.shape[0])) if isinstance(rows, slice) else rows
        rows = rows if self.rows is None else self.rows[rows]
        groups = np.searchsorted(self.starts, rows, side="right") - 1
        parts = [self._group(group).take(rows[groups == group] - self.starts[group]) for group in np.unique(groups)]
        table = pyarrow.concat_tables([self.schema.empty_table(), *parts])
        return table.to_pandas(ignore_metadata=True).set_axis(rows)

    def _read(self, group: int) -> Any:
        try:
            return self.groups[group].to_table(schema=self.schema)
        except (OSError, ValueError) as error:
            raise UserError(f"{self.groups[group].path} cannot be read ({error}); write the file again") from error


def read_parquet(files: Sequence[Path]) -> pd.DataFrame | ParquetTable:
    """Return the rows of Parquet files under each other: a DataFrame, or a `ParquetTable` above `LARGE` bytes.

    An index that was stored under a name is a column like others.

    Raises:
      ValueError: a damaged file, or one with other columns or types than the first.
    """
    import pyarrow  # 0.2 seconds that other data do not need
    from pyarrow import dataset

    groups, schemas = [], []
    for path in files:
        try:
            (fragment,) = dataset.dataset(path, format="parquet").get_fragments()
            groups += fragment.split_by_row_group()
        except (OSError, ValueError) as error:  # pyarrow's errors are subclasses of ValueError
            raise UserError(f"{path} is not a Parquet file, or a damaged one ({error}); write it again, for example "
                            "with DataFrame.to_parquet") from error
        fields = [field for field in fragment.physical_schema if not field.name.startswith("__index_level_")]
        schemas.append(pyarrow.schema(fields))
        differ = sorted(set(schemas[0].names) ^ set(schemas[-1].names))
        if differ:
            raise UserError(f"{path} has other columns than {files[0].name}: {', '.join(differ)} in one of them only; "
                            "write all shards with the same columns")
    try:
        schema = pyarrow.unify_schemas(schemas, promote_options="permissive")
    except pyarrow.ArrowException as error:
        raise UserError(f"{files[0].parent} has tables that do not go together ({error}); cast each column to one "
                        "type, for example float32") from error
    found = [group.row_groups[0] for group in groups]
    starts = np.cumsum([0, *(group.num_rows for group in found)])
    stored = sum(group.total_byte_size for group in found) / max(1, starts[-1] * len(schema))
    return ParquetTable(groups, starts, schema, max(8, stored)).resident()


class ParquetRows:
    """The rows [n, W] that a fitted `TableFeatures` makes of a `ParquetTable`, made anew whenever they are asked for.

    Raises:
      ValueError: missing columns; on reading, what `TableFeatures.transform` and `ParquetTable` refuse.
    """

    def __init__(self, table: ParquetTable, features: Any) -> None:
        self._none = features.transform(table[:1])[:0]  # which also warns of columns that are not used
        self._table, self._features = table[features.used_], features
        self.shape, self.dtype = (table.shape[0], self._none.shape[1]), self._none.dtype

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray | csr_array:
        rows = np.arange(*rows.indices(self.shape[0])) if isinstance(rows, slice) else rows
        step = max(1, PIECE // max(self.shape[1], self._table.shape[1]))
        parts = [self._features.transform(self._table[rows[i:i + step]]) for i in range(0, len(rows), step)]
        return (vstack if issparse(self._none) else np.concatenate)([self._none, *parts])


def nbytes(x: Rows) -> int:
    """Return the number of bytes of all rows; of CSR, those of its three arrays."""
    if issparse(x):
        return x.data.nbytes + x.indices.nbytes + x.indptr.nbytes
    return x.nbytes if hasattr(x, "nbytes") else math.prod(x.shape) * x.dtype.itemsize
