"""Clusters from the similarities of all pairs of rows; above `MOST` rows, of a uniform sample of them."""

from __future__ import annotations

from typing import Literal

from dec.errors import UserError
from dec.methods.base import Method, at_least
from dec.methods.host import Found, Metric, by_rows


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

    return by_rows(cluster, metric)


def spectral(neighbors: int = 10, metric: Metric = "euclidean") -> Method:
    """Spectral clustering.

    Above 20,000 rows a uniform sample is clustered; the others join their nearest row of it.

    Args:
      neighbors: of each row in the graph, itself among them, that is cut.
      metric: distances of rows as they are, or of rows scaled to unit length.

    References:
      Ng, Jordan, Weiss 2001; von Luxburg 2007.
    """
    at_least(2, neighbors=neighbors)

    def cluster(codes, k, seed):
        from sklearn.cluster import SpectralClustering

        return Found(SpectralClustering(k, affinity="nearest_neighbors", n_neighbors=min(neighbors, len(codes)),
                                        random_state=seed).fit(codes).labels_)

    return by_rows(cluster, metric)
