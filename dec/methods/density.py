"""Clusters as dense regions of the codes of a pretrained autoencoder; what lies between them is noise (label -1).

Both algorithms are scikit-learn's and find the number of clusters by themselves: the k largest are kept, and the rows
of any other are noise. Above `MOST` rows a uniform sample is clustered.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from dec.methods.base import OUT, Head, Method
from dec.shallow.distances import squared_distances

MOST = 20_000  # rows: each row that is assigned is compared with all of them
NEIGHBOURS = 0.9  # part of the rows that have min_samples others within the radius chosen for DBSCAN


def ae_dbscan(eps: float | None = None, min_samples: int = 5) -> Method:
    """DBSCAN on the codes of the pretrained autoencoder; a row joins the nearest core row within eps, or is noise.

    Args:
      eps: radius of a neighbourhood, in units of the codes; by default that in which 9 of 10 rows have min_samples.
      min_samples: rows in a neighbourhood, itself among them, that make a row a core row.

    References:
      Ester, Kriegel, Sander, Xu 1996.
    """
    if eps is not None and eps <= 0:
        raise ValueError(f"eps={eps} must be above 0")

    def cluster(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        from sklearn.cluster import DBSCAN
        from sklearn.neighbors import NearestNeighbors

        count = min(min_samples, len(codes))
        radius = eps or float(np.quantile(NearestNeighbors(n_neighbors=count).fit(codes).kneighbors()[0][:, -1]
                                          if count < len(codes) else np.ones(1), NEIGHBOURS))
        found = DBSCAN(eps=max(radius, 1e-12), min_samples=count).fit(codes)
        core = np.zeros(len(codes), bool)
        core[found.core_sample_indices_] = True
        return found.labels_, core, radius

    return _density(cluster, min_samples)


def ae_hdbscan(min_cluster_size: int = 15, min_samples: int = 5) -> Method:
    """HDBSCAN on the codes of the pretrained autoencoder; a new row is what its nearest row is, a cluster's or noise.

    Args:
      min_cluster_size: rows of the smallest cluster.
      min_samples: rows in the neighbourhood that a row's density is measured by.

    References:
      Campello, Moulavi, Sander 2013.
    """
    if min_cluster_size < 2:
        raise ValueError(f"min_cluster_size={min_cluster_size} must be at least 2")

    def cluster(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        from sklearn.cluster import HDBSCAN

        size, count = min(min_cluster_size, len(codes)), min(min_samples, len(codes))
        labels = HDBSCAN(min_cluster_size=size, min_samples=count, copy=True).fit(codes).labels_
        return labels, np.ones(len(codes), bool), float(np.finfo(np.float32).max)

    return _density(cluster, min_samples)


def _density(cluster: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, float]], min_samples: int) -> Method:
    """The method around codes [m, d] -> labels [m], which of the rows others may join, and how near they must be."""
    if min_samples < 1:
        raise ValueError(f"min_samples={min_samples} must be at least 1")

    def on_host(codes, weight, k):
        codes, used = np.asarray(codes), np.flatnonzero(np.asarray(weight) > 0)
        labels, joined = np.full(len(codes), -1, np.int32), np.zeros(len(codes), bool)
        found, joined[used], radius = cluster(codes[used])
        sizes = np.bincount(found[found >= 0], minlength=k)
        rank = np.argsort(np.argsort(-sizes, kind="stable"))
        labels[used] = np.where((found >= 0) & (rank[found] < k), rank[found], -1)
        return labels, joined, np.float32(min(radius, np.finfo(np.float32).max))

    def init(key, net, view, k):
        codes = view.encode(net)
        rows = jnp.arange(len(codes))
        if len(rows) > MOST:
            rows = jnp.sort(jax.random.choice(key, rows, (MOST,), replace=False))
        codes, m = codes[rows], min(len(rows), MOST)
        shapes = (jax.ShapeDtypeStruct((m,), jnp.int32), jax.ShapeDtypeStruct((m,), bool),
                  jax.ShapeDtypeStruct((), jnp.float32))
        labels, joined, radius = jax.pure_callback(lambda codes, weight: on_host(codes, weight, k), shapes, codes,
                                                   view.weight[rows], vmap_method="sequential")
        members = jnp.bincount(jnp.where(labels < 0, k, labels), length=k + 1)[:k]
        return Head(params=(), state=(codes, labels, joined, radius, members))

    def assign(head, codes):
        rows, labels, joined, radius, members = head.state
        center = rows.mean(axis=0)  # far from the origin, distances would lose their digits
        distance = jnp.where(joined, jnp.sqrt(squared_distances(codes - center, rows - center)), jnp.inf)
        nearest = jnp.argmin(distance, axis=-1)
        label = jnp.where(distance.min(axis=-1) <= radius, labels[nearest], -1)
        return jnp.where(jax.nn.one_hot(label, len(members)) > 0, 0.0, OUT)

    return Method(init, assign, noise=True)
