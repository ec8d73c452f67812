"""k-means with greedy k-means++ seeding and Lloyd's iterations: every restart in one jittable, vmappable program.

References:
  Lloyd: Least Squares Quantization in PCM. IEEE Transactions on Information Theory 28(2), 1982.
  Arthur, Vassilvitskii: k-means++: The Advantages of Careful Seeding. SODA 2007. Its greedy variant, which draws
    2 + ⌊log k⌋ candidates for every centre and keeps the best, is described there in section 5.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, Key

# A chunk of rows makes a table [restarts, k, chunk] of at most so many entries: 4 MiB, near enough to a CPU's cache;
# elsewhere a chunk costs the launch of its programs, however small it is.
TABLE, LARGE = 1 << 20, 1 << 24

dot = partial(jnp.matmul, precision=lax.Precision.HIGHEST)


class KMeans(NamedTuple):
    """A clustering: `labels` are the nearest of `centers`, `inertia` is the weighted sum of squared distances."""

    centers: Float[Array, "k d"]
    labels: Int[Array, " n"]
    inertia: Float[Array, ""]


class Rows(NamedTuple):
    """The data, centred on their mean and cut into m chunks of c rows."""

    x: Float[Array, "m c d"]
    weight: Float[Array, "m c"]  # 0 for padding


class Sweep(NamedTuple):
    """What one pass over the rows gathers for given centres."""

    sums: Float[Array, "k d"]
    counts: Float[Array, " k"]
    inertia: Float[Array, ""]
    farthest: Float[Array, ""]  # the largest squared distance from a row to its own centre
    outlier: Float[Array, " d"]  # that row


@partial(jax.jit, static_argnames=("k", "restarts", "max_iterations"))
def kmeans(
    key: Key[Array, ""],
    x: Float[Array, "n d"],
    weight: Float[Array, " n"],
    k: int,
    restarts: int = 20,
    max_iterations: int = 300,
    tolerance: float = 1e-4,
) -> KMeans:
    """Return the best of `restarts` runs of Lloyd's algorithm from greedy k-means++ centres.

    A run ends when the summed squared shift of its centres is at most `tolerance` times the mean variance of the
    columns. An empty cluster's centre moves to the row farthest from its own centre, one cluster an iteration, unless
    that row is nearer than the tolerance. With fewer than k distinct rows some clusters stay empty.

    Memory beyond the data is n·restarts floats while seeding and `distances_at_once()` floats after, for any k.

    Args:
      key: a threefry key; the result is a pure function of it and of the data.
      x: rows; computed in float32 after their mean is subtracted.
      weight: of each row, at least 0. A row of weight 0 counts for nothing, whatever it holds, but gets a label.
      k: number of clusters.

    Returns:
      centers float32, labels int32 of all n rows, inertia float32.
    """
    n, d = x.shape
    weight = weight.astype(jnp.float32)
    if jax.default_backend() != "cpu":  # a GPU's compiler would add up weights that it knows, which took it minutes
        weight = lax.optimization_barrier(weight)
    x = jnp.where(weight[:, None] > 0, x, 0).astype(jnp.float32)
    total = jnp.maximum(weight.sum(), jnp.finfo(jnp.float32).tiny)
    mean = dot(weight, x) / total
    rows = chunks(x - mean, weight, max(distances_at_once() // (restarts * k), 1))
    threshold = tolerance * jnp.sum(rows.weight[..., None] * rows.x**2) / (total * d)

    def run(key: Key[Array, ""]) -> tuple[Float[Array, "k d"], Float[Array, ""]]:
        centers = lloyd(rows, seed(key, rows, k), max_iterations, threshold)
        return centers, sweep(rows, centers).inertia

    centers, inertia = jax.vmap(run)(jax.random.split(key, restarts))
    centers = centers[jnp.argmin(inertia)]

    def final(chunk: Rows) -> tuple[Int[Array, " c"], Float[Array, ""]]:
        labels, _ = nearest(chunk.x, centers)
        return labels, jnp.sum(chunk.weight[:, None] * (chunk.x - centers[labels]) ** 2)

    labels, inertia = lax.map(final, rows)
    return KMeans(centers + mean, labels.reshape(-1)[:n], inertia.sum())


def distances_at_once() -> int:
    """Entries of a table of distances on this device."""
    return TABLE if jax.default_backend() == "cpu" else LARGE


def chunks(x: Float[Array, "n d"], weight: Float[Array, " n"], size: int) -> Rows:
    """Return the rows in chunks of `size` (one of n, where n is smaller), the last one padded with weight 0."""
    size = min(size, len(x))
    padding = -len(x) % size
    x, weight = jnp.pad(x, ((0, padding), (0, 0))), jnp.pad(weight, (0, padding))
    return Rows(x.reshape(-1, size, x.shape[1]), weight.reshape(-1, size))


def nearest(x: Float[Array, "c d"], centers: Float[Array, "k d"]) -> tuple[Int[Array, " c"], Float[Array, " c"]]:
    """Label and squared distance of each row's nearest centre.

    The argmin goes over the leading axis of [k, c], which a CPU does several rows at a time; under vmap over
    restarts the product stays one large matrix product.
    """
    score = 0.5 * jnp.sum(centers**2, axis=1)[:, None] - dot(centers, x.T)
    labels = jnp.argmin(score, axis=0).astype(jnp.int32)
    return labels, jnp.maximum(jnp.sum(x**2, axis=1) + 2 * jnp.min(score, axis=0), 0)


def sweep(rows: Rows, centers: Float[Array, "k d"]) -> Sweep:
    """Assign every row to its nearest center, chunk by chunk, and gather what the next step needs."""
    k, d = centers.shape

    def add(total: Sweep, chunk: Rows) -> tuple[Sweep, None]:
        labels, distance = nearest(chunk.x, centers)
        # A matrix product: 15 times faster than a scatter on a CPU at d = 784, and equal at d = 10.
        members = jnp.where(labels == jnp.arange(k)[:, None], chunk.weight, 0)
        distance = jnp.where(chunk.weight > 0, distance, 0)
        far = jnp.argmax(distance)
        farther = distance[far] > total.farthest
        return Sweep(
            sums=total.sums + dot(members, chunk.x),
            counts=total.counts + members.sum(axis=1),
            inertia=total.inertia + jnp.sum(chunk.weight * distance),
            farthest=jnp.where(farther, distance[far], total.farthest),
            outlier=jnp.where(farther, chunk.x[far], total.outlier),
        ), None

    zero = jnp.zeros(())
    return lax.scan(add, Sweep(jnp.zeros((k, d)), jnp.zeros(k), zero, zero, jnp.zeros(d)), rows)[0]


def lloyd(
    rows: Rows, centers: Float[Array, "k d"], max_iterations: int, threshold: Float[Array, ""]
) -> Float[Array, "k d"]:
    """Move each center to the mean of its rows until their summed squared shift is at most `threshold`."""

    def step(state):
        centers, _, iteration = state
        total = sweep(rows, centers)
        empty = total.counts == 0
        means = jnp.where(empty[:, None], centers, total.sums / jnp.where(empty, 1, total.counts)[:, None])
        refill = empty.any() & (total.farthest > threshold)
        first = jnp.argmax(empty)
        means = means.at[first].set(jnp.where(refill, total.outlier, means[first]))
        return means, jnp.sum((means - centers) ** 2), iteration + 1

    def moving(state):
        _, shift, iteration = state
        return (shift > threshold) & (iteration < max_iterations)

    return lax.while_loop(moving, step, (centers, jnp.inf, 0))[0]


def seed(key: Key[Array, ""], rows: Rows, k: int) -> Float[Array, "k d"]:
    """Greedy k-means++: of 2 + ⌊log k⌋ rows drawn ∝ w·D², a centre is the one that lowers ΣwD² most.

    D is a row's distance to the nearest centre so far. With no distance left (fewer distinct rows than k), ∝ w. The
    first centre is one row drawn ∝ w.
    """

    def draw(u: Float[Array, " 2"], mass: Float[Array, "m c"]) -> Float[Array, " d"]:
        chunk = pick(u[0], mass.sum(axis=1))
        return rows.x[chunk, pick(u[1], mass[chunk])]

    def distance(center: Float[Array, " d"]) -> Float[Array, "m c"]:
        return jnp.maximum(jnp.sum(rows.x**2, axis=2) - 2 * dot(rows.x, center) + jnp.sum(center**2), 0)

    def add(closest: Float[Array, "m c"], u: Float[Array, "t 2"]) -> tuple[Float[Array, "m c"], Float[Array, " d"]]:
        mass = rows.weight * closest
        mass = jnp.where(mass.sum() > 0, mass, rows.weight)
        candidates = jax.vmap(draw, (0, None))(u, mass)

        def potential(chunk):
            x, weight, closest = chunk
            score = jnp.sum(candidates**2, axis=1)[:, None] - 2 * dot(candidates, x.T)
            return jnp.sum(weight * jnp.clip(score + jnp.sum(x**2, axis=1), 0, closest), axis=1)

        best = candidates[jnp.argmin(lax.map(potential, (*rows, closest)).sum(axis=0))]
        return jnp.minimum(closest, distance(best)), best

    u = jax.random.uniform(key, (k, 2 + int(math.log(k)), 2))  # all at once: each call costs compilation time
    center = draw(u[0, 0], rows.weight)
    _, others = lax.scan(add, distance(center), u[1:])
    return jnp.concatenate([center[None], others])


def pick(u: Float[Array, ""], mass: Float[Array, " c"]) -> Int[Array, ""]:
    """Return the index that u in [0, 1) falls on when every index takes a share ∝ mass, never one without mass.

    Mass 0 is masked because the partial sums of a parallel scan are rounded differently and need not be monotone.
    """
    cumulative = jnp.where(mass > 0, jnp.cumsum(mass), 0)
    return jnp.argmax(cumulative > u * cumulative.max())
