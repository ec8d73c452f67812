"""Tables of columns: .csv, .tsv, .jsonl and .parquet; free text alone becomes a text data set."""

from __future__ import annotations

import codecs
import csv
import io
import json
import warnings
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from dec.config import Features, unknown
from dec.data.dataset import Dataset, encode_labels, pieces, read_bytes
from dec.data.stream import ParquetTable, read_parquet
from dec.data.transformers.columns import infer_kind, is_missing, pairs_of
from dec.errors import UserError

SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
SUFFIXES = {".parquet", *(suffix + gz for suffix in (*SEPARATORS, ".jsonl") for gz in ("", ".gz"))}
RESERVED = ("row", "cluster", "confidence", "anomaly", "step")
FREE_TEXT_WORDS = 3  # strings with more words than this on average are prose, not names of categories


def read_frame(path: Path, names: Collection[str] = ()) -> pd.DataFrame | ParquetTable:
    """Return all columns of a .csv, .tsv, .tab or .jsonl file, plain or .gz, or of a .parquet file (`read_parquet`).

    Args:
      names: columns of a .csv or .tsv that name rows: they stay as they are written ('007', 'NA').

    Raises:
      ValueError: damaged gzip, another encoding than UTF-8, lines that are no rows of the table, no Parquet file.
    """
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if suffix == ".parquet":
        return read_parquet([path])
    text = read_text(path)
    return _json_lines(path, text) if suffix == ".jsonl" else _separated(path, text, SEPARATORS[suffix], names)


def table_dataset(
    frame: pd.DataFrame | ParquetTable, name: str, where: str, features: Features, labels: bool = True
) -> Dataset:
    """Return the rows of `frame` with what names them and their labels apart; neither is ever an input.

    One column of free text alone becomes kind 'text'. Rows are counted from 0, in messages and in the index of `x`,
    which keeps their numbers in the file where others are left out.

    Args:
      frame: [n, columns], with the index 0..n-1. What is in the columns of one on the disk is told from its sample.
      where: the file, for messages and the source.
      labels: whether the columns that `features` names must be there, and the labels without gaps. New rows for a
        fitted model need neither; the model itself names the columns that it lacks.

    Raises:
      ValueError: no rows, an unknown column or none left, values that are lists or bytes, names of rows that are
        missing or not unique, rows without a label, missing texts.
    """
    if 0 in frame.shape:
        raise UserError(f"{where} has {frame.shape[0]} rows and {frame.shape[1]} columns; give at least one of each")
    frame, rows, dropped = _without_empty_rows(frame, where)
    if not labels:
        features = _absent_left_out(features, frame, where)
    inputs = _inputs(list(frame.columns), where, features)
    x, said = frame[inputs], pairs_of(features.kinds)
    seen = x.sample if isinstance(x, ParquetTable) else x
    for column in inputs:
        _check_scalars(seen[column], where)
    if features.missing == "drop":
        try:
            used = [c for c in inputs if (said.get(c) or infer_kind(seen[c])[0]) != "drop"]  # others lack nothing
        except ValueError as error:
            raise UserError(f"{where}: {error}") from error
        gone, told = missing_rows(x, used, where)
        if gone.any():
            there = np.flatnonzero(~gone)
            x, frame, dropped = x.take(there), frame.take(there), dropped + told
            rows = there if rows is None else rows[there]
    kept = frame[list(features.keep)][:].convert_dtypes() if features.keep else None  # 100 stays 100 beside a gap
    ids = None if features.id is None else _ids(frame, features.id, where)
    y, classes = (None, ()) if features.label is None else _labels(frame, features.label, where)
    dataset = Dataset(name, x, y, classes, f"{where}, {x.shape[0]} rows{dropped}", "table", ids, kept, rows)
    if len(inputs) > 1 or not _is_free_text(seen[inputs[0]], said.get(inputs[0])):
        return dataset
    texts = _column(x, inputs[0], where, "text", "leave such rows out with features.missing=drop")
    return replace(dataset, x=texts.astype(str).to_numpy(dtype=object), kind="text", column=inputs[0])


def _without_empty_rows(
    frame: pd.DataFrame | ParquetTable, where: str
) -> tuple[pd.DataFrame | ParquetTable, np.ndarray | None, str]:
    """Leave out the rows that have no value in any column, as spreadsheets export them.

    Returns:
      the frame; the numbers of its rows in the file, None where none is left out; and a phrase that counts the others.
    """
    if not isinstance(frame, pd.DataFrame) or frame.shape[1] == 1:  # of one column, it is a missing value
        return frame, None, ""
    empty = frame.isna().all(axis=1).to_numpy()
    if not empty.any():
        return frame, None, ""
    if empty.all():
        raise UserError(f"{where} has {len(frame)} rows, but no value in any of them; give rows with values")
    rows = np.flatnonzero(~empty)
    return frame.take(rows), rows, f"; left out {empty.sum()} rows without any value, the first of them row " \
                                   f"{empty.argmax()}"


def _column(frame: pd.DataFrame | ParquetTable, name: str, where: str, what: str, fix: str) -> pd.Series:
    """Return one column, in memory and checked to have `what` in every row."""
    column = frame[[name]][:][name]
    if column.isna().any():
        row = column.isna().idxmax()
        raise UserError(f"{where} has no {what} in column {name!r}, row {row}; fill it in, or {fix}")
    _check_scalars(column, where)
    return column


def _absent_left_out(features: Features, frame: pd.DataFrame | ParquetTable, where: str) -> Features:
    """Return the options without the columns that the table lacks; labels with gaps are dropped."""
    lists = {name: tuple(column for column in getattr(features, name) if column in frame.columns)
             for name in ("columns", "drop", "keep")}
    if features.columns and not lists["columns"]:
        raise UserError(f"{where} lacks the columns {', '.join(map(repr, features.columns))} that are to be used; "
                        f"add them (it has {', '.join(map(repr, frame.columns))})")
    id, label = (name if name in frame.columns else None for name in (features.id, features.label))
    if label and frame[[label]][:][label].isna().any():
        lists["drop"], label = (*lists["drop"], label), None
    return replace(features, **lists, id=id, label=label)


def read_text(path: Path) -> bytes:
    """Return the text of a file, plain or gzip, as UTF-8 without a byte-order mark.

    Raises:
      ValueError: damaged gzip or another encoding.
    """
    content = read_bytes(path).removeprefix(codecs.BOM_UTF8)
    try:
        content.decode()
        return content
    except UnicodeDecodeError as error:
        if content.startswith(b"PK\x03\x04"):
            raise UserError(f"{path} is a zip file or an Excel workbook, not text; unpack it, or save the sheet as "
                            "CSV UTF-8") from error
        line, start = content.count(b"\n", 0, error.start) + 1, content.rfind(b"\n", 0, error.start) + 1
        encoding = "UTF-16" if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "WINDOWS-1252"
        raise UserError(f"{path} is not UTF-8: byte 0x{content[error.start]:02x} at position {error.start - start} of "
                        f"line {line}. Convert it, with the encoding that it has: iconv -f {encoding} -t UTF-8 "
                        f"{path.name.removesuffix('.gz')} > new-file") from error


def _separated(path: Path, text: bytes, separator: str, names: Collection[str]) -> pd.DataFrame:
    """Read separated values under a header; in a file of one column, a blank line is a missing value."""
    header = _check_fields(path, text, separator)
    text = text.strip(b"\r\n") + b"\n"  # blank lines around the table are no rows
    options = {"sep": separator, "index_col": False, "skip_blank_lines": len(header) > 1}
    try:
        frame = pd.read_csv(io.BytesIO(text), low_memory=False, **options)
        _check_first_line(path, header, frame)
        return frame.assign(**pd.read_csv(
            io.BytesIO(text), usecols=lambda name: name in names, dtype=str, keep_default_na=False, na_values=[""],
            **options)) if names else frame
    except pd.errors.ParserError as error:
        raise UserError(f"{path} is not a table ({error}); close the quotes or correct that row") from error


def _check_fields(path: Path, text: bytes, separator: str) -> list[str]:
    """Check that each row has the fields of the header, and return the header.

    pandas would fill short rows and take long ones for an index.
    """
    largest = csv.field_size_limit(2**31 - 1)  # the default of 128 KB is less than some texts
    try:
        lines = csv.reader(io.TextIOWrapper(io.BytesIO(text), "utf-8", newline=""), delimiter=separator)
        header = next((fields for fields in lines if any(fields)), None)
        if header is None:
            raise UserError(f"{path} has no rows: it is empty; give a header with the names of the columns, and rows")
        _check_header(path, header, separator)
        first = lines.line_num + 1
        for fields in lines:
            if len(fields) != len(header) and (len(fields) > 1 or "".join(fields).strip()):
                raise UserError(f"{path} has {len(fields)} fields in the row at line {first}, but the header names "
                                f"{len(header)} columns; correct that row, or put fields that hold {separator!r} in "
                                "double quotes")
            first = lines.line_num + 1
        return header
    finally:
        csv.field_size_limit(largest)


def _check_header(path: Path, header: list[str], separator: str) -> None:
    """Check that the first line can be one: names that differ, apart by the separator."""
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise UserError(f"{path} names two columns {twice[0]!r} in its first line; rename one, or put a header with "
                        "the names of the columns above the rows if there is none")
    if header != [str(i) for i in range(len(header))] and not np.isnan(pd.to_numeric(header, errors="coerce")).any():
        raise UserError(f"{path} has nothing but numbers in its first line ({', '.join(header[:3])}, ...), where the "
                        "names of the columns belong; put a header above the rows, or names that are no numbers")
    other = next((mark for mark in ",;\t|" if mark != separator and mark in header[0]), None)
    if len(header) == 1 and other:
        raise UserError(f"{path} seems to be separated by {other!r}, not by {separator!r}: its header is {header[0]!r}"
                        "; write it again with commas (.csv) or tabs (.tsv)")


def _check_first_line(path: Path, header: list[str], frame: pd.DataFrame) -> None:
    """Check that the first line holds names of columns, and is no row of values like those below it.

    A field looks like a value where it is a number above numbers, or occurs again in its column. Where all fields do,
    the file has no header. Where those above numbers do and others do not, it may have one ('country,1990,1991').
    """
    if header == [str(i) for i in range(len(header))]:  # pandas's names of columns without names
        return
    numeric, other = [], []
    for field, (_, column) in zip(header, frame.items()):
        if not field.strip() or column.isna().all():
            continue
        if pd.api.types.is_numeric_dtype(column) and column.dtype != bool:
            numeric.append(bool(pd.notna(pd.to_numeric(field, errors="coerce"))))
        else:
            other.append(bool((column.astype(str) == field.strip()).any()))
    line = f"{', '.join(header[:4])}{', ...' if len(header) > 4 else ''}"
    if numeric + other and all(numeric + other):
        raise UserError(f"{path} has a first line like the rows below it ({line}), where the names of the columns "
                        "belong; put a line with the names above it, or change a name that is also a value")
    if numeric and other and all(numeric):
        warnings.warn(f"the first line of {path} ({line}) is taken for the names of the columns, although it has "
                      "numbers above numbers; if it is a row, put a line with names above it", stacklevel=2)


def _json_lines(path: Path, text: bytes) -> pd.DataFrame:
    """Read one JSON object a line; a key that a line lacks is a missing value."""
    records = []
    for number, line in enumerate(map(bytes.decode, text.splitlines()), 1):
        if not line.strip():
            continue
        try:
            record, why = json.loads(line), ""
        except json.JSONDecodeError as error:
            record, why = None, f" ({error.msg} at position {error.pos})"
        if not isinstance(record, dict):
            raise UserError(f"{path} has {line.strip()[:40]!r} in line {number}, not a JSON object{why}; write one "
                            "object a line, such as {\"price\": 3.5, \"brand\": \"Nokia\"}")
        records.append(record)
    return pd.DataFrame(records)


def _inputs(columns: list[str], where: str, features: Features) -> list[str]:
    """Return the columns that are used, with every name that `features` gives checked."""
    for option in ("columns", "drop", "keep", "id", "label"):
        given = getattr(features, option)
        for name in (given,) if isinstance(given, str) else given or ():
            if name not in columns:
                raise UserError(unknown(f"column (features.{option}) of {where}:", name, columns))
            if option in ("id", "keep") and (name in RESERVED or name.startswith("seed_")):
                raise UserError(f"features.{option}={name!r} is the name of a column that labels.csv has of its own; "
                                f"rename the column in {where}")
    apart = {*features.drop, *features.keep, features.id, features.label}
    inputs = [name for name in dict.fromkeys(features.columns or columns) if name not in apart]
    if not inputs:
        raise UserError(f"{where} has no column left to cluster by: it has {', '.join(columns)}; take some out of "
                        "features.drop, features.id and features.label, or name others in features.columns")
    return inputs


def _check_scalars(column: pd.Series, where: str) -> None:
    """Check that the values are no lists, dictionaries, arrays or bytes."""
    if column.dtype != object:
        return
    nested = column.map(lambda value: isinstance(value, list | tuple | dict | set | np.ndarray | bytes))
    if nested.any():
        row = nested.idxmax()
        raise UserError(f"{where} has a {type(column[row]).__name__} in column {column.name!r}, row {row}; write its "
                        f"parts as columns of their own, or leave it out with features.drop={column.name}")


def missing_rows(frame: pd.DataFrame | ParquetTable, columns: list[str], where: str) -> tuple[np.ndarray, str]:
    """Return [n] whether each row lacks a value in one of the columns, and a phrase that counts them.

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
        raise UserError(f"{where} has a missing value in every row ({told}); leave out the columns that lack most "
                        "with features.drop, or set features.missing=impute")
    return gone, f"; {told}"


def _ids(frame: pd.DataFrame | ParquetTable, name: str, where: str) -> pd.Series:
    """Return the names of the rows, checked to be complete and unique."""
    column = _column(frame, name, where, "name of the row (features.id)", "name another column")
    if column.duplicated().any():
        row = column.duplicated().idxmax()
        first = (column == column[row]).idxmax()
        raise UserError(f"{where} has '{column[row]}' in column {name!r}, which names the rows (features.id), both in "
                        f"row {first} and in row {row}; remove one of them, or name another column")
    return column


def _labels(frame: pd.DataFrame | ParquetTable, name: str, where: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return codes and classes of a label column without gaps."""
    column = _column(frame, name, where, "label", "remove that row (empty, 'NA', 'None' and the like are none)")
    y = column.to_numpy() if pd.api.types.is_numeric_dtype(column) else column.astype(str).to_numpy(dtype="U")
    return encode_labels(y, len(column), f"{where}, column {name!r},")


def _is_free_text(column: pd.Series, said: str | None) -> bool:
    """Return whether a column is prose, by the kind that features.kinds gives it or by its words."""
    known = column.dropna()
    if said is not None or not all(isinstance(value, str) for value in known):
        return said == "text"
    return bool(known.map(lambda text: len(text.split())).mean() > FREE_TEXT_WORDS)
