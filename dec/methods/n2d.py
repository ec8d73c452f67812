"""N2D: (not too) deep clustering via the local manifold of an autoencoded embedding (McConville et al., ICPR 2021)."""

from __future__ import annotations

import importlib.util
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dec.config import unknown
from dec.methods.base import Head, Method, View
from dec.methods.baselines import BASELINES
from dec.methods.host import FAR, Known, nearest, on_host, sample

MOST = {"umap": 2**20, "isomap": 5_000, "tsne": 20_000}  # rows; the first takes all that a start looks at


def n2d(
    manifold: Literal["umap", "isomap", "tsne"] = "umap",
    cluster: Literal["gmm", "kmeans", "minibatch-kmeans", "bisecting-kmeans", "agglomerative", "spectral", "dbscan",
                     "hdbscan"] = "gmm",
    neighbors: int = 20,
    dimensions: int | None = None,
) -> Method:
    """A shallow clustering of the manifold that the codes of a pretrained autoencoder lie on.

    Isomap looks at 5,000 rows at most and t-SNE at 20,000, a uniform sample of more. A new row is assigned as the row
    with the nearest code is: UMAP's own transform of a row depends on the other rows it comes with.

    Args:
      manifold: umap needs the extra of that name.
      cluster: the algorithm on the manifold, with the options it has by default.
      neighbors: of a row, for UMAP and Isomap.
      dimensions: of the manifold; by default k, or 2 for t-SNE, which has 3 at most.

    References:
      McConville, Santos-Rodríguez, Piechocki, Craddock 2021.
    """
    if manifold not in MOST:
        raise ValueError(unknown("manifold", manifold, list(MOST)))
    if cluster not in BASELINES:
        raise ValueError(unknown("cluster", cluster, list(BASELINES)))
    if manifold == "umap" and importlib.util.find_spec("umap") is None:
        raise ValueError("manifold='umap' needs umap-learn: pip install 'dec[umap]', or choose isomap or tsne")
    if neighbors < 2:
        raise ValueError(f"neighbors={neighbors} must be at least 2")
    if dimensions is not None and not 1 <= dimensions <= (3 if manifold == "tsne" else dimensions):
        raise ValueError(f"dimensions={dimensions} must be at least 1, and for tsne at most 3")
    base = BASELINES[cluster]()

    def init(key, net, view, k):
        keys = jax.random.split(key, 3)
        codes, weight = sample(keys[0], view.encode(net), view.weight, MOST[manifold])
        width = dimensions or (2 if manifold == "tsne" else k)
        shape = jax.ShapeDtypeStruct((len(codes), width), jnp.float32)
        learned = on_host(lambda codes, seed: learn(manifold, codes, width, neighbors, seed), shape, keys[1], codes,
                          weight)
        head = base.init(keys[2], None, View(lambda net: learned, weight), k)
        return Head((), Known(codes, base.assign(head, learned), weight > 0, jnp.float32(FAR)))

    return Method(init, lambda head, codes: nearest(head.state, codes), noise=base.noise)


def learn(
    manifold: str, codes: Float[np.ndarray, "m c"], width: int, neighbors: int, seed: int
) -> Float[np.ndarray, "m w"]:
    """The codes' places on a manifold of this width."""
    neighbors = min(neighbors, len(codes) - 1)
    if manifold == "umap":
        from umap import UMAP

        found = UMAP(n_neighbors=neighbors, n_components=width, min_dist=0.0, random_state=seed, n_jobs=1)
    elif manifold == "isomap":
        from sklearn.manifold import Isomap

        found = Isomap(n_neighbors=neighbors, n_components=width, eigen_solver="dense")  # the other draws its start
    else:
        from sklearn.manifold import TSNE

        found = TSNE(width, perplexity=min(30, (len(codes) - 1) / 3), random_state=seed)
    return found.fit_transform(codes)
