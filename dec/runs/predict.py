"""The kept model of a run on other data: clusters and scores of rows that it was not fitted on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from dec import config, metrics
from dec.data.dataset import Dataset
from dec.data.kinds import to_numbers
from dec.data.readers import load
from dec.data.readers.tabular import missing_rows
from dec.data.transformers.table import TableFeatures
from dec.errors import UserError
from dec.estimators.anomaly import assign_and_score
from dec.estimators.deep_clustering import DeepClustering
from dec.estimators.loading import load as load_model
from dec.methods.base import labels_of
from dec.runs.folder import RunFolder


def evaluate_on(folder: Path, spec: str) -> dict[str, Any]:
    """Return the kept model's scores on other data, which it only predicts."""
    model, dataset, _, x = model_and_rows(folder, spec)
    labels = np.asarray(labels_of(model.fit_.log_assign(x)))
    found: dict[str, Any] = {"data": dataset.name, "source": dataset.source, "n": x.shape[0]}
    if dataset.y is None:
        found["labels"] = f"{spec} does not have one for every row, so there are no scores against them"
    else:
        found |= metrics.external(dataset.y, labels)
    return found | {"internal": {"codes": metrics.internal(model.fit_.encode(x), labels)},
                    "sizes": np.bincount(labels[labels >= 0], minlength=model.n_clusters).tolist()}


def predict(folder: Path, spec: str) -> tuple[pd.DataFrame, str]:
    """Return the table of labels that the kept model gives to other data, and a line that says what those data are."""
    model, dataset, index, x = model_and_rows(folder, spec)
    return labels_table(model, x, index), dataset.source


def model_and_rows(folder: Path, spec: str) -> tuple[DeepClustering, Dataset, pd.DataFrame, Any]:
    """Return the kept model of a run, and other data with their rows as the model takes them."""
    run = RunFolder(folder)
    if run.is_table:
        raise UserError(f"{folder} is a table; name one of its runs: {', '.join(map(str, run.cells().values()))}")
    saved = load_model(folder)
    features, model = (saved[0], saved[-1]) if isinstance(saved, Pipeline) else (None, saved)
    options = run.read_config().features if run.model.is_dir() else config.Features()
    if isinstance(features, TableFeatures):
        kinds = tuple(f"{column}={kind}" for column, kind in features.kinds_.items())
        dataset = load(spec, features=dataclasses.replace(options, missing="impute", kinds=kinds), labels=False)
        if options.missing == "drop" and dataset.kind == "table":
            gone, told = missing_rows(dataset.x, [c for c in features.used_ if c in dataset.x.columns], spec)
            dataset = dataset.take(np.flatnonzero(~gone), dataset.source + told)
    else:
        dataset = load(spec, features=options, labels=False)
    dataset, index, x = to_numbers(features, dataset, spec)
    if x.shape[1] != model.n_features_in_:
        raise UserError(f"{spec} has {x.shape[1]} columns, but the model was fitted on {model.n_features_in_}; give "
                        "data of that width")
    return model, dataset, index, x


def labels_table(
    estimator: DeepClustering, x: Any, index: pd.DataFrame, labels: np.ndarray | None = None
) -> pd.DataFrame:
    """Return what names each row, its cluster (by default the most probable), its probability and anomaly score."""
    log_q, scores = assign_and_score(estimator.fit_, x)
    labels = np.asarray(labels_of(log_q)) if labels is None else labels
    confidence = np.exp(log_q[np.arange(len(labels)), labels])
    return index.assign(cluster=labels, confidence=confidence.round(6), anomaly=scores.round(4))
