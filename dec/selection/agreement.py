"""How much partitions of the same rows agree: a measure of a run's stability that needs no class labels."""

from __future__ import annotations

from typing import Literal

import numpy as np


def agreement(partitions: np.ndarray, index: Literal["ari", "nmi"] = "ari") -> np.ndarray:
    """Return mean adjusted Rand index (or normalised mutual information) of every partition with each of the others.

    Args:
      partitions: int [s, n], s clusterings of n rows; the names of the clusters do not matter.

    Returns:
      float64 [s]; 1 where all agree, about 0 for unrelated ones, NaN for a single partition.
    """
    from sklearn import metrics

    score = metrics.adjusted_rand_score if index == "ari" else metrics.normalized_mutual_info_score
    s = len(partitions)
    scores = np.zeros((s, s))
    for i in range(s):
        for j in range(i):
            scores[i, j] = scores[j, i] = score(partitions[i], partitions[j])
    return scores.sum(axis=1) / (s - 1) if s > 1 else np.full(s, np.nan)
