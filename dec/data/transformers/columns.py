"""The columns of a table: which kind each is, and its values as numbers, strings or dates."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from dec.config import unknown
from dec.errors import UserError

KINDS = ("number", "log", "count", "category", "boolean", "text", "drop")
BOOLEANS = {"true": 1.0, "yes": 1.0, "t": 1.0, "y": 1.0, "1": 1.0, "1.0": 1.0,
            "false": 0.0, "no": 0.0, "f": 0.0, "n": 0.0, "0": 0.0, "0.0": 0.0}
HEAVY_TAIL = 3.0  # skewness; an exponential distribution has 2
URL = re.compile(r"https?://|www\.", re.IGNORECASE)
DATE = re.compile(r"\d{4}-\d\d-\d\d([T ].*)?")
ODD = re.compile(r"[-+]?[$€£¥]? ?\d[\d.,' ]*[%$€£¥]?|(\d\d?[./-]\d\d?[./-]\d{2,4}|\d{4}[./]\d\d?[./]\d\d?)( .*)?")
INDEX_NAME = re.compile(r"(.*[\W_])?([iI][dD]|[iI]dx|[iI]ndex|[rR]ow[iI][dD])|.*[a-z](Id|ID|Index)|Unnamed: \d+")


def as_frame(X: Any, needed: Iterable[str] = ()) -> pd.DataFrame:
    """Return `X` with strings as the names of its columns, checked to have rows and the columns `needed`."""
    if not isinstance(X, pd.DataFrame):
        raise UserError(f"X must be a pandas DataFrame, not {type(X).__name__}; use pd.DataFrame(X, columns=names)")
    if not len(X):
        raise UserError("X has no rows; give at least one")
    X = X.rename(columns=str)
    twice = X.columns[X.columns.duplicated()]
    if len(twice):
        raise UserError(f"X has more than one column {twice[0]!r}; give each a name of its own")
    absent = [name for name in needed if name not in X.columns]
    if absent:
        raise UserError(f"X lacks the columns {', '.join(map(repr, absent))} that were there in fit; add them, with "
                        f"missing values if need be (it has {', '.join(map(repr, X.columns))})")
    return X


def pairs_of(kinds: Iterable[str]) -> dict[str, str]:
    """Return 'COLUMN=KIND' strings as {column: kind}; the name of a column may contain a =."""
    return {column: kind for column, _, kind in (str(pair).rpartition("=") for pair in kinds)}


def chosen_kinds(kinds: Mapping[str, str] | Iterable[str] | None, columns: list[str]) -> dict[str, str]:
    """Return the argument `kinds` as {column: kind}, held to the columns and kinds there are."""
    kinds = kinds if isinstance(kinds, Mapping) else pairs_of(kinds or ())
    kinds = {str(column): kind for column, kind in kinds.items()}
    for column, kind in kinds.items():
        if column not in columns:
            raise UserError(unknown("column in kinds", column, columns))
        if kind not in KINDS:
            raise UserError(unknown(f"kind of column {column!r}", str(kind), list(KINDS)))
    return kinds


def infer_kind(column: pd.Series) -> tuple[str, str]:
    """Return the kind of a column, and the reason if it is dropped, by the rules of `TableFeatures`.

    Raises:
      ValueError: strings of which half or more, but not all, are numbers; numbers that are infinite.
    """
    if is_number(column):
        return _infer_number(column)
    strings = pd.Series(as_strings(column), dtype=object)
    here = strings.dropna().reset_index(drop=True)
    if here.nunique() < 2:
        return "drop", _constant(here, len(column))
    unique = set(here.str.lower())
    if len(unique) == 2 and {BOOLEANS.get(value) for value in unique} == {0.0, 1.0}:
        return "boolean", ""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return "category", ""
    if is_date(column):
        return "number", ""
    words = strings.notna() & pd.to_numeric(strings, errors="coerce").isna()
    share = 1 - words.sum() / len(here)
    if share == 1:
        return _infer_number(column)
    if share >= 0.5:
        _refuse(column, words.to_numpy(),
                f"but {share:.0%} of its values are numbers; correct it or leave it empty, or say what the column is "
                f"with --kinds {column.name}=category, =text or =drop (in Python kinds=...)")
    if here.map(URL.match).notna().mean() >= 0.9:
        return "drop", "holds web addresses"
    lengths = here.str.split().str.len()
    if here.is_unique and lengths.max() == 1:
        return "drop", "looks like an identifier: a different word in each row"
    return ("text" if lengths.mean() >= 2 and here.nunique() >= len(here) / 2 else "category"), ""


def misread(column: pd.Series, kind: str) -> str | None:
    """Return a value like '$1,774.45' or '31.12.2019' where 90 % look like numbers or dates but count as words."""
    if kind not in ("category", "text", "drop") or is_number(column):
        return None
    here = pd.Series(pd.unique(as_strings(column)), dtype=object).dropna()
    odd = here[here.map(ODD.fullmatch).notna()]
    return odd.iloc[0] if len(here) > 1 and len(odd) >= 0.9 * len(here) else None


def _infer_number(column: pd.Series) -> tuple[str, str]:
    """Return `infer_kind` of a column of numbers."""
    here = pd.Series(read_column(column, "number", False)).dropna().reset_index(drop=True)
    unique = here.nunique()
    if unique < 2:
        return "drop", _constant(here, len(column))
    if set(here.unique()) == {0.0, 1.0}:
        return "boolean", ""
    if unique == len(here) and (here == np.floor(here)).all() and INDEX_NAME.fullmatch(str(column.name)):
        return "drop", "looks like an index: whole numbers, all different"
    return ("log" if here.min() >= 0 and here.skew() > HEAVY_TAIL else "number"), ""


def _constant(here: pd.Series, rows: int) -> str:
    """Return a phrase for a column with at most one value, which `here` of its rows have."""
    if here.empty:
        return "has no values"
    value = repr(here[0]) if isinstance(here[0], str) else f"{here[0]:g}"
    return f"has the value {value} alone" + (f", besides {rows - len(here)} missing" if len(here) < rows else "")


def read_column(column: pd.Series, kind: str, dates: bool) -> np.ndarray:
    """Return the values [n] as `kind` needs them: str objects for category and text, else float64; NaN where missing.

    Args:
      dates: whether strings are dates, which become days since 1970 as all dates do.

    Raises:
      ValueError: the first value that the kind does not allow, with its column and row.
    """
    if kind in ("category", "text"):
        return as_strings(column)
    if kind == "boolean":
        return _parsed(column, lambda strings: strings.str.lower().map(BOOLEANS), f"none of {', '.join(BOOLEANS)}")
    values = _as_numbers(column, dates)
    with np.errstate(invalid="ignore"):
        _refuse(column, np.abs(values) > np.finfo(np.float32).max,
                "which is not a finite float32 number; correct it or leave it empty")
        if kind in ("log", "count"):
            fits = (values >= 0) & ((kind == "log") | (values == np.floor(values)))
            _refuse(column, ~fits & ~np.isnan(values),
                    f"but the kind {kind} is for {'whole ' if kind == 'count' else ''}numbers of at least 0; correct "
                    f"it or choose --kinds {column.name}=number (in Python kinds=...)")
    return values


def as_strings(column: pd.Series) -> np.ndarray:
    """Return the values [n] as stripped str objects, NaN where missing or blank; 3.0 is '3', as without gaps."""
    try:
        codes, unique = pd.factorize(column)
    except TypeError:  # lists and the like
        codes, unique = pd.factorize(column.map(str, na_action="ignore"))
    strings = [str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
               for value in unique]
    # Whatever is missing has the code -1.
    return np.array([*(value or np.nan for value in strings), np.nan], dtype=object)[codes]


def as_dates(days: np.ndarray) -> np.ndarray:
    """Return days since 1970 as datetime64, to the second."""
    return np.round(days * 86400).astype("datetime64[s]")


def is_number(column: pd.Series) -> bool:
    """Return whether the column's dtype is one of numbers or durations; booleans are not, nor are strings of digits."""
    dtype = column.dtype
    return types.is_timedelta64_dtype(dtype) or (types.is_numeric_dtype(dtype) and not types.is_bool_dtype(dtype))


def is_date(column: pd.Series) -> bool:
    """Return whether the column has dates: by its dtype, or as strings that are all ISO 8601 (2019-12-31 10:00)."""
    if types.is_datetime64_any_dtype(column.dtype) or is_number(column):
        return not is_number(column)
    here = pd.Series(as_strings(column), dtype=object).dropna()
    return len(here) > 0 and here.map(DATE.fullmatch).notna().all() and bool(_days(here).notna().all())


def summary(column: pd.Series) -> str:
    """Return the range of numbers and dates, the most frequent value of others."""
    if is_number(column) or is_date(column):
        values = _as_numbers(column, True)
        if np.isnan(values).all():
            return ""
        low, high = np.nanmin(values), np.nanmax(values)
        return f"{low:g} to {high:g}" if is_number(column) else " to ".join(map(str, as_dates(np.array([low, high]))))
    counts = pd.Series(as_strings(column), dtype=object).value_counts()
    if counts.empty:
        return ""
    value = counts.index[0] if len(counts.index[0]) <= 40 else counts.index[0][:37] + "..."
    return f"{value} ({counts.iloc[0]} of {counts.sum()})"


def is_missing(column: pd.Series) -> np.ndarray:
    """Return [n] whether there is no value: none at all, or a blank string."""
    return pd.isna(column.to_numpy() if is_number(column) else as_strings(column))


def _days(dates: pd.Series) -> pd.Series:
    """Return days since 1970 of dates or strings; NaN for what is neither."""
    dates = pd.to_datetime(dates, format="ISO8601", utc=True, errors="coerce")
    return (dates - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1)


def _as_numbers(column: pd.Series, dates: bool) -> np.ndarray:
    if types.is_timedelta64_dtype(column.dtype):
        return (column / pd.Timedelta(days=1)).to_numpy(np.float64)
    if types.is_datetime64_any_dtype(column.dtype):
        return _days(column).to_numpy(np.float64)
    if is_number(column) or types.is_bool_dtype(column.dtype):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    if dates:  # pandas takes 'now' for a date, too
        return _parsed(column, lambda strings: _days(strings.where(strings.str.fullmatch(DATE, na=False))),
                       "no date like 2019-12-31")
    return _parsed(column, lambda strings: pd.to_numeric(strings, errors="coerce"), "no number")


def _parsed(column: pd.Series, parse: Callable[[pd.Series], pd.Series], fault: str) -> np.ndarray:
    """Return the strings of a column as float64; `fault` names a value for which the function gives NaN."""
    strings = pd.Series(as_strings(column), dtype=object)
    values = parse(strings)
    _refuse(column, (values.isna() & strings.notna()).to_numpy(),
            f"which is {fault}; correct it or leave it empty, or choose another kind, like --kinds "
            f"{column.name}=category (in Python kinds=...)")
    return values.to_numpy(np.float64)


def _refuse(column: pd.Series, bad: np.ndarray, why: str) -> None:
    """Return a ValueError for the first value where `bad` [n], if there is one."""
    if bad.any():
        at = int(np.argmax(bad))
        value = column.iloc[at]
        shown = repr(value) if isinstance(value, str) else str(value)
        raise UserError(f"column {column.name!r} has the value {shown} in row {column.index[at]}, {why}")
