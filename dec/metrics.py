"""How good a clustering is: against classes (`external`), and by itself (`internal`, `sizes`).

NumPy, SciPy and scikit-learn; never imported by training, which must not see a class label.

Noise: the cluster label -1 marks rows that belong to no cluster. Every such row counts as wrong for the accuracy and
for the purity; for the other external measures noise is one more cluster; `internal` and `sizes` leave it out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import issparse

from dec.data.base import sample_rows

NOISE = -1
SILHOUETTE_ROWS = 10_000
MOST_VALUES = 2**26  # a quarter of a gigabyte of float32


def contingency(y: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts of class and cluster, without noise rows, and what the rows and columns stand for.

    Args:
      y: [n], the classes: integers or strings.
      labels: int [n], the clusters; -1 is noise.

    Returns:
      int64 [classes, clusters], the sorted classes, and the sorted clusters.

    Raises:
      ValueError: the two differ in shape, are not one-dimensional, or are empty.
    """
    y, labels = np.asarray(y), np.asarray(labels)
    if y.ndim != 1 or y.shape != labels.shape or not len(y):
        raise ValueError(f"y and labels must be two vectors of one length > 0, not of shapes {y.shape}, {labels.shape}")
    classes, row = np.unique(y, return_inverse=True)
    clusters, column = np.unique(labels[labels != NOISE], return_inverse=True)
    counts = np.zeros((len(classes), len(clusters)), np.int64)
    np.add.at(counts, (row[labels != NOISE], column), 1)
    return counts, classes, clusters


def matching(y: np.ndarray, labels: np.ndarray) -> dict[int, Any]:
    """{cluster: class}, the one-to-one matching that puts most rows right (Hungarian algorithm).

    Where clusters and classes differ in number, those left over are not in it.
    """
    from scipy.optimize import linear_sum_assignment

    counts, classes, clusters = contingency(y, labels)
    pairs = zip(*linear_sum_assignment(counts, maximize=True))
    return {int(clusters[j]): classes[i] for i, j in sorted(pairs, key=lambda pair: pair[1])}


def accuracy(y: np.ndarray, labels: np.ndarray) -> float:
    """Part of the rows whose cluster is matched to their class, under the best one-to-one matching.

        ACC = max_m Σ_i 1[y_i = m(l_i)] / n

    Rows of an unmatched cluster and noise rows count as wrong.

    References: Xie et al. 2016, equation 10.
    """
    from scipy.optimize import linear_sum_assignment

    counts, _, _ = contingency(y, labels)
    return float(counts[linear_sum_assignment(counts, maximize=True)].sum() / len(y))


def purity(y: np.ndarray, labels: np.ndarray) -> float:
    """Part of the rows whose class is the most frequent one of their cluster; noise rows count as wrong."""
    counts, _, clusters = contingency(y, labels)
    return float(counts.max(axis=0).sum() / len(y)) if len(clusters) else 0.0


def confusion(y: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`contingency` with its columns reordered: the matched clusters in the order of their classes, then the rest.

    With as many clusters as classes, the matched rows are on the diagonal.

    Returns:
      int64 [classes, clusters], the classes of its rows, the clusters of its columns.
    """
    counts, classes, clusters = contingency(y, labels)
    match = matching(y, labels)
    position = {name: i for i, name in enumerate(classes.tolist())}
    rank = [position[match[j]] if j in match else len(classes) for j in clusters.tolist()]
    order = np.argsort(rank, kind="stable")
    return counts[:, order], classes, clusters[order]


def external(y: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Accuracy, NMI (arithmetic mean), ARI, AMI, purity, homogeneity and completeness, each at most 1.

    Raises:
      ValueError: as `contingency`.
    """
    from sklearn import metrics

    return {
        "acc": accuracy(y, labels),
        "nmi": float(metrics.normalized_mutual_info_score(y, labels)),
        "ari": float(metrics.adjusted_rand_score(y, labels)),
        "ami": float(metrics.adjusted_mutual_info_score(y, labels)),
        "purity": purity(y, labels),
        "homogeneity": float(metrics.homogeneity_score(y, labels)),
        "completeness": float(metrics.completeness_score(y, labels)),
    }


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
    from sklearn import metrics

    kept = np.flatnonzero(labels != NOISE)
    rows = kept
    if len(kept) > SILHOUETTE_ROWS:
        rows = kept[sample_rows(len(kept), SILHOUETTE_ROWS)]
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


def sizes(labels: np.ndarray, k: int) -> tuple[np.ndarray, int]:
    """Rows in each of the k clusters, int64 [k], and how many of the clusters have any; noise is left out."""
    counts = np.bincount(labels[labels != NOISE], minlength=k)
    return counts, int(np.count_nonzero(counts))
