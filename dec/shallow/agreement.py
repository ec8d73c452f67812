"""How much partitions of the same rows agree: a measure of a run's stability that needs no class labels."""

from __future__ import annotations

import numpy as np


def agreement(partitions: np.ndarray) -> np.ndarray:
    """Mean adjusted Rand index of every partition with each of the others.

    Args:
      partitions: int [s, n], s clusterings of n rows; the names of the clusters do not matter.

    Returns:
      float64 [s]; 1 where all agree, about 0 for unrelated ones, NaN for a single partition.
    """
    from sklearn.metrics import adjusted_rand_score

    s = len(partitions)
    index = np.zeros((s, s))
    for i in range(s):
        for j in range(i):
            index[i, j] = index[j, i] = adjusted_rand_score(partitions[i], partitions[j])
    return index.sum(axis=1) / (s - 1) if s > 1 else np.full(s, np.nan)
