"""From the raw rows of any kind of `Dataset` to the matrix that a network takes: a fitted transformer."""

from __future__ import annotations

import dataclasses
import inspect
import io
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import issparse
from sklearn.base import BaseEstimator

from dec.config import Features
from dec.data import views
from dec.data.dataset import Dataset, check_rows
from dec.data.stream import ParquetRows, ParquetTable
from dec.data.transformers.columns import misread, pairs_of
from dec.data.transformers.image import ImageFeatures
from dec.data.transformers.sequence import SequenceWindows
from dec.data.transformers.table import TableFeatures
from dec.data.transformers.text import TextFeatures
from dec.data.views import View
from dec.errors import UserError

FILE = "features.skops"  # JSON and arrays in a zip file, without pickle


class DataKind(NamedTuple):
    """A kind of data."""

    plural: str  # what its rows are called in messages
    transformer: type[BaseEstimator] | None  # from raw rows to numbers; None for rows that are numbers
    view: Callable[[Dataset, Any, Callable[[], np.ndarray]], View]  # of (data set, features, some rows)
    reading: tuple[str, ...] = ()  # fields of `Features` that its reader uses, beside the transformer's parameters
    from_array: bool = False  # whether an array [n, ...] may be read as this kind
    suffixes: tuple[str, ...] = ()  # of files with this kind alone, which `read` reads
    read: Callable[[Path, Features, bool], Dataset] | None = None

    @property
    def options(self) -> set[str]:
        """The fields of `Features` that are for this kind."""
        own = inspect.signature(self.transformer).parameters if self.transformer else ()
        return {*self.reading, *own}


KINDS: dict[str, DataKind] = {
    "array": DataKind("arrays", None, views.images_or_numbers),
    "table": DataKind("tables", TableFeatures, views.cells, reading=("columns", "drop", "id", "keep", "label")),
    "text": DataKind("texts", TextFeatures, views.texts),
    "image": DataKind("images", ImageFeatures, views.images_of_pixels, from_array=True),
    "sequence": DataKind("sequences", SequenceWindows, views.curves, from_array=True),
}


def check_options(options: Features, name: str, *datasets: Dataset) -> None:
    """Check that every option that is set is for the kind of some of the data sets.

    Raises:
      UserError: an option for other kinds of data.
    """
    kinds = {kind for data in datasets for kind in (data.kind, *(["table"] if data.column else []))}
    for option, value in options.changed().items():
        meant = [name for name, kind in KINDS.items() if option in kind.options]
        if not kinds.intersection(meant):
            raise UserError(f"features.{option}={value!r} has no meaning for {name}, which holds data of the kind "
                            f"{datasets[0].kind}: it is for {', '.join(KINDS[kind].plural for kind in meant)}; leave "
                            "it out")


def transformers() -> list[type[BaseEstimator]]:
    """Return the transformer classes of all kinds."""
    return [kind.transformer for kind in KINDS.values() if kind.transformer]


def fit_features(dataset: Dataset, options: Features, name: str) -> tuple[BaseEstimator | None, str, Any]:
    """Fit the transformer of a data set; return it, remarks on it, and the rows that it makes.

    Arrays need none. That of a table on the disk is fitted on the sample, and then every row is tried once.

    Raises:
      ValueError: rows that it refuses, with `name` for them.
    """
    transformer = KINDS[dataset.kind].transformer
    if transformer is None:
        return None, "", None
    own = inspect.signature(transformer).parameters
    features = transformer(**{option: value for option, value in vars(options).items() if option in own})
    x, told = dataset.x, ""
    try:
        if isinstance(x, ParquetTable):
            told = f"; read in pieces, and columns understood from a uniform sample of {len(x.sample)} rows"
            rows = ParquetRows(x, features.fit(x.sample))
            check_rows(rows, "the matrix of features")
        else:
            rows = features.fit_transform(x)
    except ValueError as error:
        raise UserError(f"{name}: {error}") from error
    seen, chosen = x.sample if isinstance(x, ParquetTable) else x, pairs_of(options.kinds)
    odd = [f"{column} ({value!r})" for column, kind in getattr(features, "kinds_", {}).items()
           if column not in chosen and (value := misread(seen[column], kind))]
    told += f"; taken for words: {', '.join(odd)}; write numbers as 1774.45 and dates as 2019-12-31" if odd else ""
    dropped = ", ".join(f"{column} ({why})" for column, why in getattr(features, "dropped_", {}).items())
    return features, told + (f"; left out: {dropped}" if dropped else ""), rows


def pack_features(features: BaseEstimator) -> bytes:
    """Return a fitted transformer as the content of `FILE`."""
    import skops.io  # here, because a run would wait for it at its start

    return skops.io.dumps(features, compression=zipfile.ZIP_DEFLATED)


def load_features(folder: Path) -> BaseEstimator | None:
    """Return the transformer in a model's folder, None where it has none.

    Raises:
      ValueError: when the file is damaged, or asks for a type that this package does not save.
    """
    import skops.io

    path = folder / FILE
    if not path.is_file():
        return None
    own = [f"{cls.__module__}.{cls.__qualname__}" for cls in transformers()]
    try:
        return skops.io.loads(_with_moved_modules(path), trusted=[*own, "numpy.dtype"])
    except Exception as error:  # of a damaged zip file or an untrusted type: skops raises many kinds
        raise UserError(f"{path} is damaged or was not written by dec ({error})") from error


def _with_moved_modules(path: Path) -> bytes:
    """Return a skops file in which transformers saved by version 0.1.0 are named by their present modules."""
    content = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(content, "w") as new:
        for name in old.namelist():
            part = old.read(name)
            if name == "schema.json":
                for cls in transformers():
                    module = cls.__module__
                    part = part.replace(f'"{module.replace(".transformers", "")}"'.encode(), f'"{module}"'.encode())
            new.writestr(name, part)
    return content.getvalue()


def to_numbers(
    features: BaseEstimator | None, dataset: Dataset, name: str, rows: Any = None
) -> tuple[Dataset, pd.DataFrame, Any]:
    """Turn the rows of a data set into the numbers that a fitted model takes.

    Args:
      features: the fitted transformer, None for arrays.
      rows: what the transformer made of the data set, where that is known.

    Returns:
      the data set, with a label for each window where a recording became several; what names each row (its position in
      the file, its id, the columns that are kept, the first step of a window); and the rows [m, d].

    Raises:
      ValueError: data of another kind than the transformer's, or that it refuses, with `name` for them.
    """
    wanted = "array" if features is None else next(
        name for name, kind in KINDS.items() if kind.transformer is type(features))
    if dataset.kind == "array" and KINDS[wanted].from_array and not issparse(dataset.x):  # a file of rows
        dataset = dataclasses.replace(dataset, kind=wanted)
    if dataset.kind != wanted:
        raise UserError(f"{name} holds data of the kind {dataset.kind}, but the model was fitted on {wanted}")
    x = dataset.x
    index = pd.DataFrame({"row": np.arange(len(dataset)) if dataset.rows is None else dataset.rows})
    if dataset.ids is not None:
        index[dataset.ids.name] = dataset.ids.to_numpy()
    for column in () if dataset.kept is None else dataset.kept:
        index[column] = dataset.kept[column].to_numpy()
    if features is None:
        return dataset, index, x if len(x.shape) == 2 else x.reshape(len(x), -1)
    try:
        if rows is None:
            rows = ParquetRows(x, features) if isinstance(x, ParquetTable) else features.transform(x)
            warn_of_unknown(features, rows, name)
    except ValueError as error:
        raise UserError(f"{name}: {error}") from error
    if hasattr(features, "windows") and features.window is not None:  # a recording became several rows
        recording, step = features.windows(x).T
        dataset = dataclasses.replace(dataset, y=None if dataset.y is None else dataset.y[recording])
        index = index.iloc[recording].reset_index(drop=True).assign(step=step)
    return dataset, index, rows


def warn_of_unknown(features: BaseEstimator, rows: Any, name: str) -> None:
    """Warn of new rows of which no category, or no word, was there in the fit: no score shows how unusual they are."""
    places = {"the text": slice(None)} if isinstance(features, TextFeatures) else {}
    if isinstance(features, TableFeatures) and not isinstance(rows, ParquetRows):
        places = features.category_places()
    for what, place in places.items():
        strange = np.flatnonzero(np.asarray(rows[:, place].sum(axis=1)).ravel() == 0)
        if len(strange):
            warnings.warn(f"{name}: nothing of {what} is known to the model in {len(strange)} of {rows.shape[0]} rows, "
                          f"first in row {strange[0]}", UserWarning, stacklevel=2)
