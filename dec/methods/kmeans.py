"""k-means and its relatives: a row belongs to the nearest of k centers."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from dec.methods.base import Head, Method, check_at_least
from dec.methods.host import certain, on_host
from dec.shallow.distances import squared_distances
from dec.shallow.kmeans import kmeans as fit_kmeans


def kmeans(restarts: int = 20) -> Method:
    """k-means.

    Args:
      restarts: runs from new greedy k-means++ centers, of which the one with the least inertia is kept.

    References:
      Lloyd 1982; Arthur and Vassilvitskii 2007.
    """
    check_at_least(1, restarts=restarts)

    def init(key, net, view, k):
        return Head(params=fit_kmeans(key, view.encode(net), view.weight, k, restarts=restarts).centers)

    return Method(init, _nearest_center)


def minibatch_kmeans(batch: int = 1024, restarts: int = 20) -> Method:
    """Mini-batch k-means.

    Less time, and somewhat more inertia, than k-means.

    Args:
      batch: rows a step.
      restarts: starting centers that are tried on a batch; the best ones are trained.

    References:
      Sculley 2010.
    """
    check_at_least(1, restarts=restarts, batch=batch)

    def fit(codes, k, seed):
        from sklearn.cluster import MiniBatchKMeans

        return MiniBatchKMeans(k, batch_size=batch, n_init=restarts, random_state=seed).fit(codes).cluster_centers_

    return _by_centers(fit)


def bisecting_kmeans(restarts: int = 5) -> Method:
    """Bisecting k-means.

    The cluster of most inertia is split in two until there are k; each row then goes to the nearest of their centers.

    Args:
      restarts: runs of each split, of which the one with the least inertia is kept.

    References:
      Steinbach, Karypis, Kumar 2000.
    """
    check_at_least(1, restarts=restarts)

    def fit(codes, k, seed):
        from sklearn.cluster import BisectingKMeans

        return BisectingKMeans(k, n_init=restarts, random_state=seed).fit(codes).cluster_centers_

    return _by_centers(fit)


def _by_centers(fit: Callable[[np.ndarray, int, int], np.ndarray]) -> Method:
    """Return the method around fit(codes [m, d], k, seed) -> centers [k, d] on the host."""
    def init(key, net, view, k):
        codes = view.encode(net)
        shape = jax.ShapeDtypeStruct((k, codes.shape[1]), jnp.float32)
        return Head(params=on_host(lambda codes, seed: fit(codes, k, seed), shape, key, codes, view.weight))

    return Method(init, _nearest_center)


def _nearest_center(head, codes):
    return certain(jnp.argmin(squared_distances(codes, head.params), axis=-1), len(head.params))
