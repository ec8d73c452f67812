"""What is understood of a data set, and the numbers it will become: the text of `dec data inspect`."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator

from dec.config import Features
from dec.data.dataset import Dataset, row_blocks
from dec.data.kinds import check_options, fit_features, to_numbers
from dec.data.readers import load
from dec.data.stream import ParquetTable
from dec.io import markdown

MANY = 40  # lines of a table that are shown


def inspect_data(spec: str, options: Features) -> str:
    """Describe what `spec` holds: kind, rows, labels, columns or sizes, and the feature vector of a row."""
    dataset = load(spec, features=options)
    check_options(options, spec, dataset)
    features, told, rows = fit_features(dataset, options, spec)
    lines = [dataset.source + told, f"kind      {dataset.kind}"]
    if dataset.ids is not None:
        lines.append(f"id        {dataset.ids.name}, for example {dataset.ids.iloc[0]}")
    lines.append("labels    " + _labels(dataset))
    if isinstance(dataset.x, ParquetTable):
        dataset, rows = Dataset(dataset.name, dataset.x.sample, kind="table"), None
        lines.append(f"sample    {len(dataset)} rows, drawn uniformly; all that follows is about them")
    lines += _raw(dataset, features)
    _, index, x = to_numbers(features, dataset, spec, rows)
    sparse = f", sparse: {x.nnz / x.shape[0]:.0f} values a row that are not 0" if issparse(x) else ""
    lines += ["", f"features  {x.shape[0]} x {x.shape[1]} {x.dtype}{sparse}"]
    if features is not None:
        lines.append(f"blocks    {_short(features.blocks_)}")
        lines.append(f"names     {_short(list(features.get_feature_names_out()))}")
    if features is not None and len(index) != len(dataset):
        lines.append(f"rows      {len(index)} windows of {len(dataset)} recordings")
    lines.append("range     " + _range(x))
    return "\n".join(lines)


def _labels(dataset: Dataset) -> str:
    if dataset.y is None:
        return "none"
    counts = np.bincount(dataset.y, minlength=len(dataset.classes))
    return f"{len(dataset.classes)} classes: " + _short([f"{c} ({n})" for c, n in zip(dataset.classes, counts)])


def _raw(dataset: Dataset, features: BaseEstimator | None) -> list[str]:
    """Return a line or a table about the rows as they were read."""
    x = dataset.x
    if dataset.kind == "table":
        table = features.describe(x)
        rows = [[str(value) for value in row] for row in table.head(MANY).to_numpy()]
        more = [f"... and {len(table) - MANY} more columns"] if len(table) > MANY else []
        return ["", markdown(list(table.columns), rows), *more]
    if dataset.kind == "text":
        lengths = np.array([len(text.split()) for text in x])
        return [f"texts     {np.median(lengths):.0f} words in the median, at most {lengths.max()}, "
                f"{(lengths == 0).sum()} empty", f"first     {x[0][:200]!r}"]
    if x.dtype == object:  # paths
        return [f"first     {', '.join(map(str, x[:3]))}"]
    return [f"array     {'CSR ' if issparse(x) else ''}{x.shape} {x.dtype}"]


def _range(x: Any) -> str:
    parts = [(part.min(axis=0), part.max(axis=0), part.sum(axis=0)) for _, part in row_blocks(x, np.float64)]
    low, high, total = (join(part, axis=0) for join, part in zip((np.min, np.max, np.sum), zip(*parts)))
    return (f"{low.min():g} to {high.max():g}, mean {total.sum() / np.prod(x.shape):g}; "
            f"{(low == high).sum()} columns are constant")


def _short(values: Any, most: int = 12) -> str:
    values = list(map(str, values))
    return ", ".join(values[:most]) + (f", ... ({len(values)} in all)" if len(values) > most else "")
