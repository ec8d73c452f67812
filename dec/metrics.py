"""Measures of a clustering: against classes (`external`), and by itself (`internal`).

NumPy, SciPy and scikit-learn; never imported by training, which must not see a class label.

Noise: the cluster label -1 marks rows that belong to no cluster. Every such row counts as wrong for the accuracy and
for the purity; for the other external measures noise is one more cluster; `internal` leaves it out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import issparse
from sklearn import metrics

from dec.data.dataset import sample_rows
from dec.errors import UserError

NOISE = -1
SILHOUETTE_ROWS = 10_000
MOST_VALUES = 2**26  # a quarter of a gigabyte of float32


def contingency(y: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """Return counts [classes, clusters] of rows, both sorted; noise is left out, but no class that has only noise.

    Args:
      y: [n], the classes: integers or strings.
      labels: int [n], the clusters; -1 is noise.

    Raises:
      ValueError: the two differ in shape, are not one-dimensional, or are empty.
    """
    y, labels = np.asarray(y), np.asarray(labels)
    if y.ndim != 1 or y.shape != labels.shape or not len(y):
        raise UserError(f"y and labels must be two vectors of one length > 0, not of shapes {y.shape}, {labels.shape}")
    return pd.crosstab(y, labels).drop(columns=NOISE, errors="ignore")


def matching(counts: pd.DataFrame) -> dict[int, Any]:
    """Return {cluster: class}, ordered by class: the one-to-one matching that puts most rows right (Hungarian).

    Where clusters and classes differ in number, those left over are not in it.
    """
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(counts, maximize=True)
    return dict(zip(counts.columns[columns], counts.index[rows]))


def accuracy(y: np.ndarray, labels: np.ndarray) -> float:
    """Return the fraction of rows whose cluster is matched to their class, under the best one-to-one matching.

        ACC = max_m Σ_i 1[y_i = m(l_i)] / n

    Rows of an unmatched cluster and noise rows count as wrong.

    References: Xie et al. 2016, equation 10.
    """
    counts = contingency(y, labels)
    return float(sum(counts.at[name, cluster] for cluster, name in matching(counts).items()) / len(y))


def purity(y: np.ndarray, labels: np.ndarray) -> float:
    """Return the fraction of rows whose class is the most frequent one of their cluster; noise rows count as wrong."""
    return float(contingency(y, labels).max(axis=0).sum() / len(y))


def confusion(y: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """Return `contingency` with matched clusters first, in the order of their classes.

    With as many clusters as classes, the matched rows are on the diagonal.
    """
    counts = contingency(y, labels)
    return counts[list(dict.fromkeys([*matching(counts), *counts]))]


EXTERNAL: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {  # of classes and clusters, each at most 1
    "acc": accuracy,
    "nmi": metrics.normalized_mutual_info_score,
    "ari": metrics.adjusted_rand_score,
    "ami": metrics.adjusted_mutual_info_score,
    "purity": purity,
    "homogeneity": metrics.homogeneity_score,
    "completeness": metrics.completeness_score,
}


def external(y: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Score clusters [n] against classes [n] by every measure of `EXTERNAL`.

    Raises:
      UserError: as `contingency`.
    """
    return {name: float(measure(y, labels)) for name, measure in EXTERNAL.items()}


def internal(
    x: Any, labels: np.ndarray, scale: Callable[[np.ndarray], np.ndarray] | None = None
) -> dict[str, float | int | None]:
    """Silhouette, Davies-Bouldin and Calinski-Harabasz of the rows that are not noise.

    Above 10,000 rows the silhouette is that of a fixed uniform sample, and `silhouette_sample` says of how many. The
    others take all rows, or the same sample of sparse rows and of more than 2^26 numbers; `sample` says of how many.

    Args:
      x: [n, d], an array or CSR, the space to measure in: codes or input.
      labels: int [n].
      scale: from rows of `x`, dense [m, d], to what is measured, float32 [m, d].

    Returns:
      each measure, or None where it is undefined: fewer than two clusters, or as many clusters as rows.
    """
    kept = np.flatnonzero(labels != NOISE)
    rows = kept[sample_rows(len(kept), min(len(kept), SILHOUETTE_ROWS))]
    every = kept if not issparse(x) and len(kept) * x.shape[1] <= MOST_VALUES else rows

    def measure(score: Callable[..., float], rows: np.ndarray) -> float | None:
        if not 2 <= len(np.unique(labels[rows])) < len(rows):
            return None
        part = x[:] if len(rows) == x.shape[0] else x[rows]
        part = part.toarray() if issparse(part) else part
        return float(score(scale(part) if scale else part, labels[rows]))

    return {
        "silhouette": measure(metrics.silhouette_score, rows),
        "silhouette_sample": len(rows),
        "davies_bouldin": measure(metrics.davies_bouldin_score, every),
        "calinski_harabasz": measure(metrics.calinski_harabasz_score, every),
        "sample": len(every),
    }
