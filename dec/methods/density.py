"""Clusters as dense regions; what lies between them is noise (label -1).

Both algorithms find the number of clusters by themselves: the k largest are kept, and the rows of any other are noise.
"""

from __future__ import annotations

import numpy as np

from dec.errors import UserError
from dec.methods.base import Method, check_at_least
from dec.methods.host import Found, Metric, cluster_rows

DECILES = np.arange(1, 10) / 10


def dbscan(eps: float | None = None, min_samples: int = 5, metric: Metric = "euclidean") -> Method:
    """DBSCAN.

    A row joins the nearest core row within eps, or is noise. Above 20,000 rows a uniform sample is clustered.

    Args:
      eps: radius of a neighbourhood; by default, of the nine in which 1 to 9 of 10 rows have min_samples, the one whose
        k-th largest cluster is largest: too small a radius leaves noise, too large a one joins clusters.
      min_samples: rows in a neighbourhood, itself among them, that make a row a core row.
      metric: distances of rows as they are, or of rows scaled to unit length.

    References:
      Ester, Kriegel, Sander, Xu 1996.
    """
    if eps is not None and eps <= 0:
        raise UserError(f"eps={eps} must be above 0")
    check_at_least(1, min_samples=min_samples)

    def cluster(codes, k, seed):
        from sklearn.cluster import DBSCAN
        from sklearn.neighbors import NearestNeighbors

        count = min(min_samples, len(codes))
        if eps is not None:
            radii = [eps]
        elif count < len(codes):
            far = NearestNeighbors(n_neighbors=count).fit(codes).kneighbors(codes)[0][:, -1]  # itself among them
            radii = np.unique(np.maximum(np.quantile(far, DECILES), 1e-12))
        else:
            radii = [1.0]

        def separated(found):
            sizes = np.sort(np.bincount(found.labels_[found.labels_ >= 0], minlength=k))[::-1]
            return sizes[k - 1], np.count_nonzero(sizes)

        found = max((DBSCAN(eps=radius, min_samples=count).fit(codes) for radius in radii), key=separated)
        core = np.zeros(len(codes), bool)
        core[found.core_sample_indices_] = True
        return Found(found.labels_, core, float(found.eps))

    return cluster_rows(cluster, metric, noise=True)


def hdbscan(min_cluster_size: int = 15, min_samples: int = 5, metric: Metric = "euclidean") -> Method:
    """HDBSCAN.

    Above 20,000 rows a uniform sample is clustered; another row is what its nearest row is, a cluster's or noise.

    Args:
      min_cluster_size: rows of the smallest cluster.
      min_samples: rows in the neighbourhood that a row's density is measured by.
      metric: distances of rows as they are, or of rows scaled to unit length.

    References:
      Campello, Moulavi, Sander 2013.
    """
    check_at_least(2, min_cluster_size=min_cluster_size)
    check_at_least(1, min_samples=min_samples)

    def cluster(codes, k, seed):
        from sklearn.cluster import HDBSCAN

        size, count = min(min_cluster_size, len(codes)), min(min_samples, len(codes))
        return Found(HDBSCAN(min_cluster_size=size, min_samples=count, copy=True).fit(codes).labels_)

    return cluster_rows(cluster, metric, noise=True)
