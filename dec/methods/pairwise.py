"""Clusters from the similarities of all pairs of rows; above `MOST` rows, of a uniform sample of them."""

from __future__ import annotations

from typing import Literal

import numpy as np

from dec.data.dataset import sample_rows
from dec.errors import UserError
from dec.methods.base import Method, Tree, check_at_least
from dec.methods.host import Found, Metric, cluster_rows

MERGED_ROWS = 2000  # of more rows, the tree of a uniform sample is shown


def agglomerative(linkage: Literal["ward", "average", "complete", "single"] = "ward",
                  metric: Metric = "euclidean") -> Method:
    """Agglomerative clustering.

    Above 20,000 rows, which take 3 GiB, a uniform sample is clustered; the others join their nearest row of it.

    Args:
      linkage: the distance of two clusters, of which the nearest are merged: the growth of the summed squares (ward),
        or the mean, the largest or the smallest distance of their rows.
      metric: distances of rows as they are, or of rows scaled to unit length.

    References:
      Ward 1963.
    """
    if linkage not in ("ward", "average", "complete", "single"):
        raise UserError(f"linkage={linkage!r} must be ward, average, complete or single")

    def cluster(codes, k, seed):
        from sklearn.cluster import AgglomerativeClustering

        return Found(AgglomerativeClustering(k, linkage=linkage).fit(codes).labels_)

    def artifacts(head, codes):
        from scipy.cluster import hierarchy

        rows = sample_rows(len(codes), min(len(codes), MERGED_ROWS))
        some = codes[rows].astype(np.float64)
        if metric == "cosine":
            some = some / np.maximum(np.linalg.norm(some, axis=1, keepdims=True), 1e-12)
        return [Tree(hierarchy.linkage(some, linkage), rows, f"{linkage} linkage")]

    return cluster_rows(cluster, metric)._replace(artifacts=artifacts)


def spectral(neighbors: int = 10, metric: Metric = "euclidean") -> Method:
    """Spectral clustering.

    Above 20,000 rows a uniform sample is clustered; the others join their nearest row of it.

    Args:
      neighbors: of each row in the graph, itself among them, that is cut.
      metric: distances of rows as they are, or of rows scaled to unit length.

    References:
      Ng, Jordan, Weiss 2001; von Luxburg 2007.
    """
    check_at_least(2, neighbors=neighbors)

    def cluster(codes, k, seed):
        from sklearn.cluster import SpectralClustering

        return Found(SpectralClustering(k, affinity="nearest_neighbors", n_neighbors=min(neighbors, len(codes)),
                                        random_state=seed).fit(codes).labels_)

    return cluster_rows(cluster, metric)
