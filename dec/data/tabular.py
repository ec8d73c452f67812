"""Tables of columns: .csv, .tsv, .jsonl and .parquet; free text alone becomes a text data set."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import io
import json
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dec.config import Features, unknown
from dec.data.base import Dataset, encode_labels, pieces
from dec.data.columns import infer_kind, is_missing, pairs_of
from dec.data.stream import ParquetTable, read_parquet

SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
SUFFIXES = {".parquet", *(suffix + gz for suffix in (*SEPARATORS, ".jsonl") for gz in ("", ".gz"))}
RESERVED = ("row", "cluster", "confidence", "anomaly", "step")
OTHER_FILES = {
    b"\x1f\x8b": "a gzip file; end its name in .gz",
    b"PK\x03\x04": "a zip file or an Excel workbook, not text; unpack it, or save the sheet as CSV UTF-8",
}
FREE_TEXT_WORDS = 3  # strings with more words than this on average are prose, not names of categories


def read_frame(path: Path, names: Collection[str] = ()) -> pd.DataFrame | ParquetTable:
    """All columns of a .csv, .tsv, .tab or .jsonl file, each plain or .gz, or of a .parquet file (see `read_parquet`).

    Args:
      names: columns of a .csv or .tsv that name rows: they stay as they are written ('007', 'NA').

    Raises:
      ValueError: damaged gzip, another encoding than UTF-8, lines that are no rows of the table, no Parquet file.
    """
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if suffix == ".parquet":
        return read_parquet([path])
    with open_text(path) as stream:
        if suffix == ".jsonl":
            return _json_lines(path, stream)
        return _separated(path, stream, SEPARATORS[suffix], names)


def table_dataset(
    frame: pd.DataFrame | ParquetTable, name: str, where: str, features: Features, labels: bool = True
) -> Dataset:
    """The rows of `frame` with what names them and their labels apart; neither is ever an input.

    One column of free text alone becomes kind 'text'. Rows are counted from 0, in messages and in the index of `x`,
    which keeps their numbers in the file where others are left out.

    Args:
      frame: [n, columns], with the index 0..n-1. What is in the columns of one on the disk is told from its sample.
      name: of the data set.
      where: the file, for messages and the source.
      features: columns, drop, id, label, missing and kinds are looked at.
      labels: whether the columns that `features` names must be there, and the labels without gaps. New rows for a
        fitted model need neither; the model itself names the columns that it lacks.

    Raises:
      ValueError: no rows, an unknown column or none left, values that are lists or bytes, names of rows that are
        missing or not unique, rows without a label, missing texts.
    """
    if 0 in frame.shape:
        raise ValueError(f"{where} has {frame.shape[0]} rows and {frame.shape[1]} columns; give at least one of each")
    if not labels:
        features = _absent_left_out(features, frame, where)
    inputs = _inputs(list(frame.columns), where, features)
    x, rows, dropped, said = frame[inputs], None, "", pairs_of(features.kinds)
    seen = x.sample if isinstance(x, ParquetTable) else x
    for column in inputs:
        _check_scalars(seen[column], where)
    if features.missing == "drop":
        try:
            used = [c for c in inputs if (said.get(c) or infer_kind(seen[c])[0]) != "drop"]  # others lack nothing
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        gone, dropped = missing_rows(x, used, where)
        if gone.any():
            rows = np.flatnonzero(~gone)
            x, frame = x.take(rows), frame.take(rows)
    kept = frame[list(features.keep)][:].convert_dtypes() if features.keep else None  # 100 stays 100 beside a gap
    ids = None if features.id is None else _ids(_column(frame, features.id), where)
    y, classes = (None, ()) if features.label is None else _labels(_column(frame, features.label), where)
    dataset = Dataset(name, x, y, classes, f"{where}, {x.shape[0]} rows{dropped}", "table", ids, kept, rows)
    if len(inputs) > 1 or not _is_free_text(seen[inputs[0]], said.get(inputs[0])):
        return dataset
    return dataclasses.replace(dataset, x=_texts(_column(x, inputs[0]), where), kind="text", column=inputs[0])


def _column(frame: pd.DataFrame | ParquetTable, name: str) -> pd.Series:
    """One column, in memory."""
    return frame[[name]][:][name]


def _absent_left_out(features: Features, frame: pd.DataFrame | ParquetTable, where: str) -> Features:
    """The options without the columns that the table lacks, if it has one to use; labels with gaps are dropped."""
    there = set(frame.columns)
    lists = {name: tuple(c for c in getattr(features, name) if c in there) for name in ("columns", "drop", "keep")}
    if features.columns and not lists["columns"]:
        raise ValueError(f"{where} lacks the columns {', '.join(map(repr, features.columns))} that are to be used; "
                         f"add them (it has {', '.join(map(repr, frame.columns))})")
    kinds = tuple(f"{column}={kind}" for column, kind in pairs_of(features.kinds).items() if column in there)
    id = features.id if features.id in there else None
    label = features.label if features.label in there else None
    if label and _column(frame, label).isna().any():
        lists["drop"], label = (*lists["drop"], label), None
    return dataclasses.replace(features, **lists, kinds=kinds, id=id, label=label)


@contextmanager
def open_text(path: Path) -> Iterator[io.TextIOBase]:
    """The text of a UTF-8 file, plain or .gz, with or without a byte-order mark.

    Raises:
      ValueError: in the block that reads it, at damaged gzip or another encoding.
    """
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as stream:
            yield stream
    except UnicodeDecodeError as error:
        raise ValueError(_not_utf8(path, opener)) from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is a damaged or truncated gzip file ({error}); copy or download it again") from error


def _not_utf8(path: Path, opener: Any) -> str:
    """Where the file stops being UTF-8; the decoder of the stream knows only the place in its buffer."""
    at = ""
    with opener(path, "rb") as stream:
        for number, line in enumerate(stream, 1):
            other = number == 1 and next((what for start, what in OTHER_FILES.items() if line.startswith(start)), None)
            if other:
                return f"{path} is {other}"
            try:
                line.decode()
            except UnicodeDecodeError as error:
                encoding = "UTF-16" if number == 1 and line[:2] in (b"\xff\xfe", b"\xfe\xff") else "WINDOWS-1252"
                at = f"byte 0x{line[error.start]:02x} at position {error.start} of line {number}"
                break
    return (f"{path} is not UTF-8: {at}. Convert it, with the encoding that it has: iconv -f {encoding} -t UTF-8 "
            f"{path.name.removesuffix('.gz')} > new-file")


def _separated(path: Path, stream: Any, separator: str, names: Collection[str]) -> pd.DataFrame:
    """Separated values under a header."""
    _check_fields(path, stream, separator)
    stream.seek(0)
    try:
        frame = pd.read_csv(stream, sep=separator, index_col=False, low_memory=False)
        stream.seek(0)
        return frame.assign(**pd.read_csv(stream, sep=separator, index_col=False, usecols=lambda name: name in names,
                                          dtype=str, keep_default_na=False, na_values=[""])) if names else frame
    except pd.errors.ParserError as error:
        raise ValueError(f"{path} is not a table ({error}); close the quotes or correct that row") from error


def _check_fields(path: Path, stream: Any, separator: str) -> None:
    """That each row has the fields of the header.

    Pandas fills short rows with missing values and makes an index, or nothing, of the surplus of long ones.
    """
    largest = csv.field_size_limit(2**31 - 1)  # the default of 128 KB is less than some texts
    try:
        lines, header, first = csv.reader(stream, delimiter=separator), None, 1
        for fields in lines:
            if header is None and any(fields):
                header = fields
                _check_header(path, header, separator)
            elif header and len(fields) != len(header) and (len(fields) > 1 or "".join(fields).strip()):
                raise ValueError(f"{path} has {len(fields)} fields in the row at line {first}, but the header names "
                                 f"{len(header)} columns; correct that row, or put fields that hold {separator!r} in "
                                 "double quotes")
            first = lines.line_num + 1
    finally:
        csv.field_size_limit(largest)
    if header is None:
        raise ValueError(f"{path} has no rows: it is empty; give a header with the names of the columns, and rows")


def _check_header(path: Path, header: list[str], separator: str) -> None:
    """That the first line can be one: names that differ, apart by the separator."""
    twice = next((name for i, name in enumerate(header) if name in header[:i]), None)
    if twice is not None:
        raise ValueError(f"{path} names two columns {twice!r} in its first line; rename one, or put a header with the "
                         "names of the columns above the rows if there is none")
    if header != [str(i) for i in range(len(header))] and not np.isnan(pd.to_numeric(header, errors="coerce")).any():
        raise ValueError(f"{path} has nothing but numbers in its first line ({', '.join(header[:3])}, ...), where the "
                         "names of the columns belong; put a header above the rows, or names that are no numbers")
    other = next((mark for mark in ",;\t|" if mark != separator and mark in header[0]), None)
    if len(header) == 1 and other:
        raise ValueError(f"{path} seems to be separated by {other!r}, not by {separator!r}: its header is {header[0]!r}"
                         "; write it again with commas (.csv) or tabs (.tsv)")


def _json_lines(path: Path, stream: Any) -> pd.DataFrame:
    """One JSON object a line; a key that a line lacks is a missing value."""
    records = []
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path} has no JSON in line {number} ({error.msg} at position {error.pos}); write one "
                             "JSON object a line") from error
        if not isinstance(record, dict):
            raise ValueError(f"{path} has {line.strip()[:40]!r} in line {number}, not a JSON object; write one object "
                             "a line, such as {\"price\": 3.5, \"brand\": \"Nokia\"}")
        records.append(record)
    return pd.DataFrame(records)


def _inputs(columns: list[str], where: str, features: Features) -> list[str]:
    """The columns that are used, with every name that `features` gives checked."""
    for option in ("columns", "drop", "keep", "id", "label"):
        given = getattr(features, option)
        for name in (given,) if isinstance(given, str) else given or ():
            if name not in columns:
                raise ValueError(unknown(f"column (features.{option}) of {where}:", name, columns))
            if option in ("id", "keep") and (name in RESERVED or name.startswith("seed_")):
                raise ValueError(f"features.{option}={name!r} is the name of a column that labels.csv has of its own; "
                                 f"rename the column in {where}")
    apart = {*features.drop, *features.keep, features.id, features.label}
    inputs = [name for name in dict.fromkeys(features.columns or columns) if name not in apart]
    if not inputs:
        raise ValueError(f"{where} has no column left to cluster by: it has {', '.join(columns)}; take some out of "
                         "features.drop, features.id and features.label, or name others in features.columns")
    return inputs


def _check_scalars(column: pd.Series, where: str) -> None:
    """That the values are no lists, dictionaries, arrays or bytes."""
    if column.dtype != object:
        return
    nested = column.map(lambda value: isinstance(value, list | tuple | dict | set | np.ndarray | bytes))
    if nested.any():
        row = nested.idxmax()
        raise ValueError(f"{where} has a {type(column[row]).__name__} in column {column.name!r}, row {row}; write its "
                         f"parts as columns of their own, or leave it out with features.drop={column.name}")


def missing_rows(frame: pd.DataFrame | ParquetTable, columns: list[str], where: str) -> tuple[np.ndarray, str]:
    """[n] which rows lack a value in one of the columns, and what to tell about them.

    Raises:
      ValueError: when all do.
    """
    counts, found = Counter(), []
    for piece in pieces(frame):
        missing = pd.DataFrame({column: is_missing(piece[column]) for column in columns}, index=piece.index)
        counts.update(missing.sum().to_dict())
        found.append(missing.any(axis=1).to_numpy())
    gone = np.concatenate(found)
    if not gone.any():
        return gone, ""
    lacking = ", ".join(f"{column} ({count})" for column, count in counts.items() if count)
    told = f"dropped {gone.sum()} of {len(gone)} rows: missing {lacking}"
    if gone.all():
        raise ValueError(f"{where} has a missing value in every row ({told}); leave out the columns that lack most "
                         "with features.drop, or set features.missing=impute")
    return gone, f"; {told}"


def _ids(column: pd.Series, where: str) -> pd.Series:
    """What names the rows, checked to be there and unique."""
    if column.isna().any():
        raise ValueError(f"{where} has nothing in column {column.name!r}, which names the rows (features.id), in row "
                         f"{column.isna().idxmax()}; fill it in, or name another column")
    _check_scalars(column, where)
    if column.duplicated().any():
        row = column.duplicated().idxmax()
        first = (column == column[row]).idxmax()
        raise ValueError(f"{where} has '{column[row]}' in column {column.name!r}, which names the rows (features.id), "
                         f"both in row {first} and in row {row}; remove one of them, or name another column")
    return column


def _labels(column: pd.Series, where: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Codes and classes of a label column without gaps."""
    if column.isna().any():
        raise ValueError(f"{where} has no label in column {column.name!r}, row {column.isna().idxmax()} (empty, 'NA', "
                         "'None' and the like are missing values); fill it in, or remove that row")
    _check_scalars(column, where)
    y = column.to_numpy() if pd.api.types.is_numeric_dtype(column) else column.astype(str).to_numpy(dtype="U")
    return encode_labels(y, len(column), f"{where}, column {column.name!r},")


def _is_free_text(column: pd.Series, said: str | None) -> bool:
    """Whether it is prose, by the kind that features.kinds gives it or by its words."""
    if said is not None:
        return said == "text"
    known = column.dropna()
    strings = len(known) > 0 and all(isinstance(value, str) for value in known)
    return strings and np.mean([len(value.split()) for value in known]) > FREE_TEXT_WORDS


def _texts(column: pd.Series, where: str) -> np.ndarray:
    """[n] str objects."""
    if column.isna().any():
        raise ValueError(f"{where} has no text in column {column.name!r}, row {column.isna().idxmax()}; fill it in, or "
                         "leave such rows out with features.missing=drop")
    return column.astype(str).to_numpy(dtype=object)
