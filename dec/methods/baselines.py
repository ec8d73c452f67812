"""The shallow algorithms, each of which clusters the input, the codes of an autoencoder, or a manifold of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal

from dec.methods.base import Method
from dec.methods.density import dbscan, hdbscan
from dec.methods.gmm import gmm
from dec.methods.kmeans import bisecting_kmeans, kmeans, minibatch_kmeans
from dec.methods.pairwise import agglomerative, spectral

BASELINES: dict[str, Callable[..., Method]] = {
    "kmeans": kmeans,
    "minibatch-kmeans": minibatch_kmeans,
    "bisecting-kmeans": bisecting_kmeans,
    "gmm": gmm,
    "agglomerative": agglomerative,
    "spectral": spectral,
    "dbscan": dbscan,
    "hdbscan": hdbscan,
}


def in_space(space: Literal["input", "codes"], factory: Callable[..., Method]) -> Callable[..., Method]:
    """Return the factory of the same methods on the scaled input, or on the codes of a network that stays as it is."""
    @functools.wraps(factory)
    def made(*args, **options):
        return factory(*args, **options)._replace(space=space)

    where = {"input": "the scaled input", "codes": "the codes of a pretrained autoencoder"}[space]
    made.__doc__ = (factory.__doc__ or "").replace(".", f" on {where}.", 1)
    return made
