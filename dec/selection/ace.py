"""Choosing among partitions without labels: all are scored in the same spaces, and spaces that agree are trusted.

References:
  Wang, Ye: Deep Clustering Evaluation: How to Validate Internal Clustering Validation Measures. arXiv:2403.14830, 2024
    (ACE, algorithm 1).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

INDICES = ("silhouette", "calinski_harabasz", "davies_bouldin")


def measure(x: Float[np.ndarray, "m d"], partitions: Int[np.ndarray, "p m"]) -> Float[np.ndarray, "3 p"]:
    """Return three indices of every partition in one space, larger is better; the worst where one is undefined."""
    from sklearn import metrics

    distances = metrics.pairwise_distances(x.astype(np.float32))
    scores = np.full((len(INDICES), len(partitions)), np.nan)
    for p, labels in enumerate(partitions):
        if 1 < len(np.unique(labels)) < len(labels):
            scores[:, p] = (metrics.silhouette_score(distances, labels, metric="precomputed"),
                            metrics.calinski_harabasz_score(x, labels), -metrics.davies_bouldin_score(x, labels))
    return np.where(np.isnan(scores), np.nanmin(scores, axis=1, keepdims=True), scores)


def ace(scores: Float[np.ndarray, "s p"]) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " s"]]:
    """Adaptive Clustering Evaluation: one index of p partitions in s spaces, aggregated over spaces that agree.

    Spaces are grouped by HDBSCAN on 1 - Spearman's ρ of their scores, outliers dropped; a group's spaces are weighted
    by their centrality in the graph of positive ρ (HITS, which is the leading eigenvector here); of the groups, the one
    whose weighted scores have the highest mean is taken. Not taken over from the paper are the dip test of each space,
    the tests of each ρ, and the splitting of groups by the size of the scores. Without any group, all count equally.

    Returns:
      the aggregated scores, and the weights of the spaces, which sum to 1.
    """
    from sklearn.cluster import HDBSCAN

    s = len(scores)
    rho = pd.DataFrame(scores.T).corr("spearman").fillna(0).to_numpy()
    grouped = np.zeros(s, int) if s < 3 else HDBSCAN(
        min_cluster_size=2, metric="precomputed", allow_single_cluster=True, copy=True).fit_predict(1 - rho)
    candidates = []
    for group in range(grouped.max() + 1):
        members = np.flatnonzero(grouped == group)
        links = np.clip(rho[np.ix_(members, members)], 0, None) + 1e-9  # connected, so that the eigenvector is unique
        weights = np.zeros(s)
        weights[members] = np.abs(np.linalg.eigh(links)[1][:, -1])
        candidates.append(weights / weights.sum())
    weights = max(candidates, key=lambda w: (w @ scores).mean(), default=np.full(s, 1 / s))
    return weights @ scores, weights
