"""What a report is made from: the files of a run folder, and its data, read again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import issparse
from sklearn.pipeline import Pipeline

from dec import config
from dec.data.dataset import sample_rows
from dec.data.kinds import KINDS, TextFeatures
from dec.data.transformers.columns import read_column
from dec.data.views import Cells, Curves, Images, Numbers, Texts, View
from dec.errors import UserError
from dec.estimators.loading import load as load_model
from dec.report import clusters
from dec.report.clusters import Effects, Measured, Members, measured_columns, measured_curves, measured_images
from dec.runs.folder import RunFolder
from dec.runs.prepare import Prepared, prepare

MOST_ROWS, MOST_VALUES = 100_000, 2**26  # above either, a uniform sample of the rows is looked at


@dataclass
class RunData:
    """A run as a report sees it; all that is of rows is of the sample `rows`, in its order.

    Attributes:
      metrics, environment, run, history: the files of the folder.
      labels: labels.csv, of all rows; empty where no seed ran to its end.
      rows: [m] the positions of the sample.
      codes: float32 [m, c]; of a method on the input, the scaled rows; [m, 0] where they are gone.
      prepared: the data; None where they are gone, and `gone` says why.
      model: the fitted estimator, None without one.
    """

    folder: Path
    metrics: dict[str, Any]
    environment: dict[str, Any]
    run: config.Run
    history: pd.DataFrame
    labels: pd.DataFrame
    rows: np.ndarray
    codes: np.ndarray
    prepared: Prepared | None = None
    gone: str = ""
    model: Any = None

    @property
    def k(self) -> int:
        """The number of clusters."""
        return self.metrics["n_clusters"]

    @property
    def title(self) -> str:
        """The method, without the path of a file of one's own, and the data."""
        return f"{Path(self.metrics['method']).stem} on {self.metrics['data']}"

    @cached_property
    def clusters(self) -> np.ndarray:
        """[m] the cluster of each row, -1 for noise."""
        return self.labels["cluster"].to_numpy()[self.rows]

    @cached_property
    def confidence(self) -> np.ndarray:
        """[m] the probability of its cluster."""
        return self.labels["confidence"].to_numpy(float)[self.rows]

    @cached_property
    def names(self) -> list[str]:
        """[m] what to call the rows: by the columns of labels.csv before the cluster, or by their number alone."""
        index = self.labels[index_columns(self.labels)].iloc[self.rows]
        own = [name for name in index if name != "row"] or ["row"]
        own = ["row", *own] if own == ["step"] else own
        return [", ".join(f"{name} {value}" if name in ("row", "step") else value for name, value in zip(own, values))
                for values in index[own].itertuples(index=False)]

    @cached_property
    def y(self) -> np.ndarray | None:
        """[m] the numbers of the classes, where they are known."""
        y = self.prepared.dataset.y if self.prepared else None
        return None if y is None else y[self.rows]

    @cached_property
    def first(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Of rows whose codes before refinement were kept: their places in the sample [s], and these codes [s, c]."""
        file = RunFolder(self.folder).pretrained
        if not file.is_file():
            return None
        codes = np.load(file)
        _, at, rows = np.intersect1d(sample_rows(len(self.labels), len(codes)), self.rows, return_indices=True)
        return rows, codes[at]

    @cached_property
    def confusion(self) -> pd.DataFrame | None:
        """Rows of each class in each cluster, of all rows but noise; None where no classes are known."""
        found = self.metrics["confusion"]
        return pd.DataFrame(found["counts"], found["classes"], found["clusters"]) if found else None

    @cached_property
    def view(self) -> View | None:
        """How people see the rows; None where the data are gone."""
        if self.prepared is None:
            return None
        dataset, features = self.prepared.dataset, self.prepared.features
        return KINDS[dataset.kind].view(dataset, features, lambda: self.x(np.arange(min(len(self.rows), 2000))))

    def x(self, at: np.ndarray) -> np.ndarray:
        """Return dense rows [.., d] of numbers at any places of the sample."""
        ascending, back = np.unique(at, return_inverse=True)
        found = self.prepared.x[self.rows[ascending]]
        return (found.toarray() if issparse(found) else np.asarray(found))[back]

    # The rows as a person knows them.

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The rows of a table as they were read."""
        x = self.prepared.dataset.x
        return x.iloc[self.rows] if isinstance(x, pd.DataFrame) else x[self.rows]

    @cached_property
    def texts(self) -> list[str] | None:
        """The texts, or of a table all columns of text together; None where there are none."""
        if isinstance(self.view, Texts):
            return [str(text) for text in self.prepared.dataset.x[self.rows]]
        if not self.text_columns:
            return None
        return [" ".join(map(str, values)) for values in self.frame[self.text_columns].fillna("").to_numpy()]

    @property
    def text_columns(self) -> list[str]:
        """The columns of text of a table."""
        return [name for name, kind in self._kinds.items() if kind == "text"]

    @cached_property
    def words(self) -> tuple[np.ndarray, Any] | None:
        """The words of the texts, and the tf-idf of each text's, CSR; None where there are none."""
        if self.texts is None:
            return None
        words = TextFeatures(text="tfidf", stop_words=self.run.features.stop_words)
        try:
            rows = words.fit_transform(self.texts)
        except ValueError:  # not one word in any of them
            return None
        return words.get_feature_names_out(), rows

    @property
    def _kinds(self) -> dict[str, str]:
        return self.view.kinds if isinstance(self.view, Cells) else {}

    # The clusters, and what is measured of the rows to tell them apart.

    @cached_property
    def centres(self) -> np.ndarray:
        """[k, c] the mean code of each cluster, NaN where it is empty."""
        return pd.DataFrame(self.codes).groupby(self.clusters).mean().reindex(range(self.k)).to_numpy(np.float32)

    @cached_property
    def members(self) -> list[Members]:
        """The rows of each cluster, as places in the sample."""
        return clusters.members(self.codes, self.clusters, self.confidence, self.centres)

    @cached_property
    def largest(self) -> list[int]:
        """The clusters that have rows in the sample, the largest first."""
        count = np.bincount(self.clusters[self.clusters >= 0], minlength=self.k)
        return np.argsort(-count, kind="stable")[:np.count_nonzero(count)].tolist()

    @cached_property
    def effects(self) -> Effects | None:
        """How the clusters differ in what is measured."""
        return None if self.measured is None else clusters.effects(self.measured, self.clusters, self.k)

    @cached_property
    def distinctive_words(self) -> list[np.ndarray]:
        """The columns of `words` that each cluster has more of, the most telling first."""
        return clusters.distinctive(self.words[1], self.clusters, self.k)

    @cached_property
    def measured(self) -> Measured | None:
        """Numbers with a name for each row, by kind; None for texts, which have words, and where the data are gone."""
        every = np.arange(len(self.rows))
        match self.view:
            case Cells(kinds, dates):
                names = [name for name, kind in kinds.items() if kind not in ("drop", "text")]
                return measured_columns({name: self.column(name) for name in names}, dates) if names else None
            case Images(decode):
                return measured_images(decode(self.x(every)))
            case Curves(decode):
                return measured_curves(decode(self.x(every)))
            case Numbers():
                x = self.x(every).astype(np.float32)
                names = [f"column {i}" for i in range(x.shape[1])]
                return Measured(names, names, np.zeros(len(names), bool), x)
        return None

    def column(self, name: str) -> np.ndarray:
        """Return a column [m] of a table, an array or labels.csv: float64, or objects for categories."""
        if isinstance(self.view, Cells) and self._kinds.get(name, "drop") != "drop":
            return read_column(self.frame[name], self._kinds[name], name in self.view.dates)
        if self.measured is not None and name in self.measured.names:
            return self.measured.values[:, self.measured.names.index(name)].astype(float)
        if name in self.labels or (isinstance(self.view, Cells) and name in self.frame):
            found = self.labels[name].iloc[self.rows] if name in self.labels else self.frame[name]
            found = found.replace("", np.nan)
            numbers = pd.to_numeric(found, errors="coerce")  # where one is none, all are categories
            same = (numbers.isna() == found.isna()).all()
            return numbers.to_numpy(float) if same else found.astype(object).to_numpy()
        if self.prepared is None:
            raise UserError(f"There is no column {name!r} in labels.csv, and the data could not be read: {self.gone}")
        known = [*self._kinds, *(self.measured.names[:20] if self.measured is not None else ()), *self.labels]
        raise UserError(config.unknown("column to colour by", name, list(dict.fromkeys(known))))

    def logarithmic(self, name: str) -> bool:
        """Return whether a column of a table is one whose logarithm is taken."""
        return self._kinds.get(name) == "log"

    def elsewhere(self, folder: Path) -> np.ndarray:
        """Return [m] the clusters of the same rows in another run, checked to be one on these rows."""
        other = RunFolder(folder)
        labels, data = other.read_labels(usecols=["cluster"])["cluster"].to_numpy(), other.read_metrics()["data"]
        if (data, len(labels)) != (self.metrics["data"], len(self.labels)):
            raise UserError(f"{folder} is a run on {len(labels)} rows of {data}, this one on {len(self.labels)} of "
                            f"{self.metrics['data']}; to colour by another run, its rows must be the same")
        return labels[self.rows]


def sampled(rows: np.ndarray, most: int) -> np.ndarray:
    """Return at most so many of some rows, drawn uniformly; in their order."""
    return rows if len(rows) <= most else rows[sample_rows(len(rows), most)]


def index_columns(labels: pd.DataFrame) -> list[str]:
    """Return the columns of labels.csv that name a row."""
    return list(labels.columns[:labels.columns.get_loc("cluster")]) if "cluster" in labels else []


def read_run(folder: Path) -> RunData:
    """Read the files of a finished run's folder, its model and its data."""
    files = RunFolder(folder)
    metrics, run, environment = files.read_metrics(), files.read_config(), files.read_environment()
    lines = files.history.read_text().splitlines() if files.history.is_file() else []
    history, labels = pd.DataFrame([json.loads(line) for line in lines]), pd.DataFrame()
    if files.labels.is_file():
        names = dict.fromkeys(index_columns(files.read_labels(nrows=0)), str)
        labels = files.read_labels(dtype=names, keep_default_na=False, na_values={"confidence": [""], "anomaly": [""]})
    prepared, gone = None, ""
    try:
        prepared = prepare(run)
        if prepared.dataset.digest != environment["data"]["digest"] or prepared.x.shape[0] != metrics["n"]:
            prepared, gone = None, f"{run.data} is no longer the data of this run"
    except (OSError, ValueError) as error:
        gone = str(error)
    width = prepared.x.shape[1] if prepared else 1
    rows = sampled(np.arange(len(labels)), min(MOST_ROWS, max(1000, MOST_VALUES // width)))
    model = None
    if len(labels):
        model = load_model(folder)
        model = model[-1] if isinstance(model, Pipeline) else model
    stored = files.embedding.is_file()
    codes = np.load(files.embedding, mmap_mode="r")[rows] if stored else np.empty((len(rows), 0), np.float32)
    if not stored and model and prepared:  # of a method on the input they are kept only where it is small
        codes = model.transform(prepared.x[rows])
    return RunData(folder, metrics, environment, run, history, labels, rows, codes, prepared, gone, model)
