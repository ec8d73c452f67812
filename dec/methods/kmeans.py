"""The baselines every deep method starts from: k-means on the input, and on the codes of a pretrained autoencoder."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from dec.methods.base import OUT, Head, Method
from dec.shallow.distances import squared_distances
from dec.shallow.kmeans import kmeans as lloyd


def kmeans(restarts: int = 20) -> Method:
    """k-means on the scaled input; no network.

    Args:
      restarts: runs from new greedy k-means++ centers, of which the one with the least inertia is kept.

    References:
      Lloyd 1982; Arthur and Vassilvitskii 2007.
    """
    return ae_kmeans(restarts)._replace(on="input")


def ae_kmeans(restarts: int = 20) -> Method:
    """k-means on the codes of the pretrained autoencoder, which it leaves as it is.

    Args:
      restarts: runs from new greedy k-means++ centers, of which the one with the least inertia is kept.

    References:
      The baseline of Xie et al. 2016, table 2.
    """

    if restarts < 1:
        raise ValueError(f"restarts={restarts} must be at least 1")

    def init(key, net, view, k):
        return Head(params=lloyd(key, view.encode(net), view.weight, k, restarts=restarts).centers)

    def assign(head, codes):
        nearest = jnp.argmin(squared_distances(codes, head.params), axis=-1)
        return jnp.where(jax.nn.one_hot(nearest, head.params.shape[0]) > 0, 0.0, OUT)

    return Method(init, assign)
