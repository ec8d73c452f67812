"""N2D: (not too) deep clustering via the local manifold of an autoencoded embedding (McConville et al., ICPR 2021)."""

from __future__ import annotations

import importlib.util
import inspect
import itertools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dec.config import unknown
from dec.errors import UserError
from dec.methods.base import Head, Method, View, check_at_least
from dec.methods.baselines import BASELINES
from dec.methods.host import FAR, Known, nearest, on_host, sample

MOST = {"umap": 2**20, "isomap": 5_000, "tsne": 20_000}  # rows; the first takes all that a start looks at

HIDDEN = (128, 128)  # widths of the network that places new rows


def n2d(
    manifold: Literal["umap", "isomap", "tsne"] = "umap",
    cluster: Literal["gmm", "kmeans", "minibatch-kmeans", "bisecting-kmeans", "agglomerative", "spectral", "dbscan",
                     "hdbscan"] = "gmm",
    neighbors: int = 20,
    dimensions: int | None = None,
    eps: float | None = None,
    min_samples: int | None = None,
    rows_by: Literal["nearest", "head"] = "nearest",
) -> Method:
    """A shallow clustering of the manifold that the codes of a pretrained autoencoder lie on.

    Isomap looks at 5,000 rows at most and t-SNE at 20,000, a uniform sample of more. UMAP's own transform places no
    new row: where it puts one depends on the others it comes with.

    Args:
      manifold: umap needs the extra of that name.
      cluster: the algorithm on the manifold, by default with its own defaults.
      neighbors: of a row; the perplexity of t-SNE.
      dimensions: of the manifold; by default k, or 2 for t-SNE, which has 3 at most.
      eps: of dbscan on the manifold, as its option of that name.
      min_samples: of dbscan and hdbscan, likewise.
      rows_by: nearest: a new row is assigned as the row with the nearest code is; head: a small network, trained on the
        places of the rows, says where a code lies on the manifold (of the rows themselves as well).

    References:
      McConville, Santos-Rodríguez, Piechocki, Craddock 2021.
    """
    if manifold not in MOST:
        raise UserError(unknown("manifold", manifold, list(MOST)))
    if cluster not in BASELINES:
        raise UserError(unknown("cluster", cluster, list(BASELINES)))
    if manifold == "umap" and importlib.util.find_spec("umap") is None:
        raise UserError("manifold='umap' needs umap-learn: pip install 'dec[umap]', or choose isomap or tsne")
    check_at_least(2, neighbors=neighbors)
    if dimensions is not None and not 1 <= dimensions <= (3 if manifold == "tsne" else dimensions):
        raise UserError(f"dimensions={dimensions} must be at least 1, and for tsne at most 3")
    if rows_by not in ("nearest", "head"):
        raise UserError(f"rows_by={rows_by!r} must be nearest or head")
    own = {name: value for name, value in (("eps", eps), ("min_samples", min_samples)) if value is not None}
    for name in own.keys() - inspect.signature(BASELINES[cluster]).parameters:
        raise UserError(f"{name}={own[name]} is no option of cluster={cluster!r}; leave it out")
    base = BASELINES[cluster](**own)

    def init(key, net, view, k):
        keys = jax.random.split(key, 4)
        codes, weight = sample(keys[0], view.encode(net), view.weight, MOST[manifold])
        width = dimensions or (2 if manifold == "tsne" else k)
        shape = jax.ShapeDtypeStruct((len(codes), width), jnp.float32)
        learned = on_host(lambda codes, seed: learn(manifold, codes, width, neighbors, seed), shape, keys[1], codes,
                          weight)
        head = base.init(keys[2], None, View(lambda net: learned, weight), k)
        if rows_by == "nearest":
            return Head((), Known(codes, base.assign(head, learned), weight > 0, jnp.float32(FAR)))
        widths = (codes.shape[1], *HIDDEN, width)
        shapes = [(jax.ShapeDtypeStruct(pair, jnp.float32), jax.ShapeDtypeStruct(pair[1:], jnp.float32))
                  for pair in itertools.pairwise(widths)]
        both = jnp.concatenate([codes, learned], axis=1)
        layers = on_host(lambda both, seed: fit_head(*np.split(both, [widths[0]], axis=1), seed), shapes, keys[3], both,
                         weight)
        return Head((), (layers, head))

    def assign(head, codes):
        if rows_by == "nearest":
            return nearest(head.state, codes)
        (*hidden, (kernel, bias)), base_head = head.state
        for weights, offset in hidden:
            codes = jax.nn.relu(codes @ weights + offset)
        return base.assign(base_head, codes @ kernel + bias)

    rows = min(MOST[manifold], base.max_start_rows or MOST[manifold])
    return Method(init, assign, noise=base.noise, max_start_rows=rows)


def fit_head(
    codes: Float[np.ndarray, "m c"], places: Float[np.ndarray, "m w"], seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (kernel, bias) of each layer of a network from codes to places, both standardised for training."""
    from sklearn.neural_network import MLPRegressor
    from sklearn.preprocessing import StandardScaler

    a, b = StandardScaler().fit(codes), StandardScaler().fit(places)
    network = MLPRegressor(hidden_layer_sizes=HIDDEN, early_stopping=len(codes) >= 100, random_state=seed)
    network.fit(a.transform(codes), b.transform(places).squeeze())
    kernels, biases = network.coefs_, network.intercepts_
    kernels[0] = kernels[0] / a.scale_[:, None]
    biases[0] = biases[0] - a.mean_ @ kernels[0]
    kernels[-1], biases[-1] = kernels[-1] * b.scale_, biases[-1] * b.scale_ + b.mean_
    return list(zip(kernels, biases))


def learn(
    manifold: str, codes: Float[np.ndarray, "m c"], width: int, neighbors: int, seed: int
) -> Float[np.ndarray, "m w"]:
    """Return the codes' places on a manifold of this width."""
    neighbors = min(neighbors, len(codes) - 1)
    if manifold == "umap":
        from umap import UMAP

        found = UMAP(n_neighbors=neighbors, n_components=width, min_dist=0.0, random_state=seed, n_jobs=1)
    elif manifold == "isomap":
        from sklearn.manifold import Isomap

        found = Isomap(n_neighbors=neighbors, n_components=width, eigen_solver="dense")  # the other draws its start
    else:
        from sklearn.manifold import TSNE

        found = TSNE(width, perplexity=min(neighbors, (len(codes) - 1) / 3), random_state=seed)
    return found.fit_transform(codes)
