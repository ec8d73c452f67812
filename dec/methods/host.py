"""Clusters that a library finds on the host, and the heads of plain arrays that assign rows to them on the device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from dec.errors import UserError
from dec.methods.base import LOG_ZERO, Head, Method
from dec.shallow.distances import squared_distances
from dec.shallow.kmeans import chunks

MOST = 20_000  # rows that an algorithm which compares all with all looks at; a uniform sample of more
PROCESSES = 10_000  # rows from which on a start in a process of its own is worth what that costs, some seconds
TABLE = 1 << 24  # entries of a table of distances
FAR = float(np.finfo(np.float32).max)

Metric = Literal["euclidean", "cosine"]


class Known(NamedTuple):
    """Rows whose clusters are known, which others share with the nearest of them."""

    rows: Float[Array, "m d"]
    log_q: Float[Array, "m k"]
    core: Bool[Array, " m"]  # which of them others may join
    radius: Float[Array, ""]  # and how near they must be


class Found(NamedTuple):
    """Clusters of rows on the host."""

    labels: Int[np.ndarray, " m"]  # any numbers from 0; -1 is noise
    core: Bool[np.ndarray, " m"] | bool = True
    radius: float = FAR


def failed(shape: jax.ShapeDtypeStruct) -> np.ndarray:
    """Return the placeholder of an array that could not be found."""
    return np.full(shape.shape, np.nan if jnp.issubdtype(shape.dtype, jnp.floating) else 0, shape.dtype)


def on_host(
    find: Callable[[np.ndarray, int], PyTree], shapes: PyTree, key: Key[Array, ""],
    codes: Float[Array, "m d"], weight: Float[Array, " m"],
) -> PyTree:
    """Return find(codes, seed) on the host, of the rows whose weight is not 0.

    Seeds that a device runs side by side have a process each, as far as there are cores, where the rows are many.

    Args:
      find: gives arrays of these shapes, or with a row for each of the rows it got; the others then have zeros. It may
        be pickled, so it holds no arrays of JAX.
      shapes: of the result, `jax.ShapeDtypeStruct`s.
    """
    def run(codes, weight, seeds):
        import joblib

        every = [np.asarray(a) for a in (codes, weight, seeds)]
        if not np.ndim(seeds):
            return one(*every)
        s = max(map(len, every))  # what seeds share has a first axis of 1
        several = min(s, joblib.cpu_count()) if codes.shape[1] >= PROCESSES else 1
        found = joblib.Parallel(several)(joblib.delayed(one)(*(a[i % len(a)] for a in every)) for i in range(s))
        return jax.tree.map(lambda *each: np.stack(each), *found)

    def one(codes, weight, seed):
        from threadpoolctl import threadpool_limits

        used = weight > 0
        if not np.isfinite(codes[used]).all():  # of a network that diverged, whose seed counts as failed
            return jax.tree.map(failed, shapes)

        def spread(found, shape):
            whole = np.zeros(shape.shape, shape.dtype)
            whole[used if np.shape(found) != shape.shape else ...] = found
            return whole

        with threadpool_limits(1, "blas"):  # on small matrices its threads wait for each other most of the time
            return jax.tree.map(spread, find(codes[used], int(seed)), shapes)

    return jax.pure_callback(run, shapes, codes, weight, jax.random.bits(key), vmap_method="expand_dims")


def sample(
    key: Key[Array, ""], codes: Float[Array, "n d"], weight: Float[Array, " n"], most: int
) -> tuple[Float[Array, "m d"], Float[Array, " m"]]:
    """Return all rows, or a uniform sample of `most` of them."""
    if len(codes) <= most:
        return codes, weight
    rows = jnp.sort(jax.random.choice(key, len(codes), (most,), replace=False))
    return codes[rows], weight[rows]


def cluster_rows(cluster: Callable[[np.ndarray, int, int], Found], metric: Metric, noise: bool = False) -> Method:
    """Return the method around cluster(codes [m, d], k, seed) on at most `MOST` rows; others join the nearest.

    Clusters are numbered by their size; the rows of more than k are noise. With the metric "cosine" all rows are scaled
    to unit length, where |a - b|² = 2 (1 - cos).
    """
    if metric not in ("euclidean", "cosine"):
        raise UserError(f"metric={metric!r} must be euclidean or cosine")

    def scaled(codes):
        length = jnp.linalg.norm(codes, axis=1, keepdims=True)
        return codes if metric == "euclidean" else codes / jnp.where(length > 0, length, 1)

    def init(key, net, view, k):
        draw, seed = jax.random.split(key)
        codes, weight = sample(draw, scaled(view.encode(net)), view.weight, MOST)
        m, shape = len(codes), jax.ShapeDtypeStruct

        def find(codes, seed):
            found = cluster(codes, k, seed)
            sizes = np.bincount(found.labels[found.labels >= 0], minlength=k)
            rank = np.argsort(np.argsort(-sizes, kind="stable"))
            kept = (found.labels >= 0) & (rank[found.labels] < k)
            return np.where(kept, rank[found.labels], -1), np.broadcast_to(found.core, len(codes)), found.radius

        labels, core, radius = on_host(
            find, (shape((m,), jnp.int32), shape((m,), bool), shape((), jnp.float32)), seed, codes, weight)
        return Head((), Known(codes, certain(labels, k), core, radius))

    return Method(init, lambda head, codes: nearest(head.state, scaled(codes)), noise=noise, max_start_rows=MOST)


def certain(labels: Int[Array, " n"], k: int) -> Float[Array, "n k"]:
    """Return log assignments to one cluster each, or to none."""
    return jnp.where(jax.nn.one_hot(labels, k) > 0, 0.0, LOG_ZERO)


def nearest(known: Known, codes: Float[Array, "n d"]) -> Float[Array, "n k"]:
    """Return the log assignments of each code's nearest row, `LOG_ZERO` where none is near, a `TABLE` at a time."""
    center = known.core @ known.rows / jnp.maximum(known.core.sum(), 1)  # far from 0, distances lose their digits
    codes = codes - center
    core = jnp.where(known.core[:, None], known.rows - center, 0)
    rows = chunks(core, known.core, max(TABLE // len(codes), 1))

    def closer(best, chunk):
        least, at, first = best
        distance = jnp.where(chunk.weight, squared_distances(codes, chunk.x), jnp.inf)
        here = distance.min(axis=1)
        at = jnp.where(here < least, first + jnp.argmin(distance, axis=1), at)
        return (jnp.minimum(here, least), at, first + len(chunk.x)), None

    start = jnp.full(len(codes), jnp.inf), jnp.zeros(len(codes), jnp.int32), jnp.int32(0)
    (least, at, _), _ = lax.scan(closer, start, rows)
    return jnp.where((jnp.sqrt(least) <= known.radius)[:, None], known.log_q[at], LOG_ZERO)
