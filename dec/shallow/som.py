"""Self-organising maps: units on a grid, with prototypes that are alike where the units are near one another.

Units are numbered row by row; u = height · width of them.

References:
  Kohonen: The Self-Organizing Map. Proceedings of the IEEE 78(9), 1990. Its batch form: Self-Organizing Maps, 1995.
  Forest, Lebbah, Azzag, Lacaille: Deep Embedded SOM. ESANN 2019 (the neighbourhood and its temperature).
  Vesanto, Alhoniemi: Clustering of the Self-Organizing Map. IEEE Transactions on Neural Networks 11(3), 2000.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, Key

from dec.shallow.distances import squared_distances
from dec.shallow.kmeans import chunks, distances_at_once, dot, sweep

MEASURED_ROWS = 2000  # at most so many for the trustworthiness, which compares each with all others
LEAST_MASS = 1e-20  # below it a prototype stays: the sums would lose their digits


def grid(height: int, width: int) -> Int[np.ndarray, "u 2"]:
    """Return row and column of each unit."""
    return np.stack(np.divmod(np.arange(height * width), width), axis=1)


def map_distances(height: int, width: int) -> Int[np.ndarray, "u u"]:
    """Manhattan distances between units on the grid: 1 for neighbours."""
    at = grid(height, width)
    return np.abs(at[:, None] - at).sum(axis=-1)


def temperature(fraction: Float[Array, ""], t_max: float, t_min: float) -> Float[Array, ""]:
    """T, in steps of the grid, which falls exponentially from t_max at fraction 0 to t_min at 1."""
    return t_max * (t_min / t_max) ** fraction


def neighbourhood(distances: Int[Array, "u u"], t: Float[Array, ""]) -> Float[Array, "u u"]:
    """K = exp(-δ² / T²) for distances δ on the map: a Gaussian with σ = T / √2, and 1 for a unit itself."""
    return jnp.exp(-((distances / t) ** 2))


@partial(jax.jit, static_argnames=("height", "width", "passes"))
def fit_map(
    key: Key[Array, ""],
    x: Float[Array, "n d"],
    weight: Float[Array, " n"],
    height: int,
    width: int,
    t_max: float,
    t_min: float,
    passes: int,
) -> tuple[Float[Array, "u d"], Float[Array, " u"]]:
    """Return the batch map: each pass moves every prototype to the mean of all rows, weighted by the neighbourhood.

        m_k = Σ_i w_i K_T(δ(b_i, k)) x_i / Σ_i w_i K_T(δ(b_i, k)),   b_i = argmin_k |x_i - m_k|

    It starts from rows drawn at random; T falls from the first pass to the last.

    Args:
      key: a threefry key; the result is a pure function of it and of the data.
      x: rows; computed in float32 after their mean is subtracted.
      weight: of each row, at least 0. A row of weight 0 counts for nothing, whatever it holds.

    Returns:
      prototypes, and the weight of the rows of each unit, both float32.
    """
    weight = weight.astype(jnp.float32)
    x = jnp.where(weight[:, None] > 0, x, 0).astype(jnp.float32)
    share = weight / jnp.maximum(weight.sum(), jnp.finfo(jnp.float32).tiny)
    mean = dot(share, x)
    rows = chunks(x - mean, weight, max(distances_at_once() // (height * width), 1))
    distances = jnp.asarray(map_distances(height, width))

    def move(i: Int[Array, ""], prototypes: Float[Array, "u d"]) -> Float[Array, "u d"]:
        total = sweep(rows, prototypes)
        near = neighbourhood(distances, temperature(i / max(passes - 1, 1), t_max, t_min))
        mass = dot(near, total.counts)[:, None]
        return jnp.where(mass > LEAST_MASS, dot(near, total.sums) / jnp.maximum(mass, LEAST_MASS), prototypes)

    start = x[jax.random.choice(key, len(x), (height * width,), p=share)] - mean
    prototypes = lax.fori_loop(0, passes, move, start)
    return prototypes + mean, sweep(rows, prototypes).counts


def ward(x: Float[Array, "u d"], weight: Float[Array, " u"], k: int) -> Int[Array, " u"]:
    """Ward's clustering: of all clusters, those two merge whose union adds least to Σ w |x - mean|², until k are left.

        cost of A ∪ B = w_A w_B / (w_A + w_B) |mean_A - mean_B|²

    Unlike k-means it draws nothing, so that the clusters are a function of what is clustered. They are numbered by
    their first members.

    Args:
      x: a few hundred points: memory is u² floats, time u³.
      weight: of each, above 0.
      k: number of clusters, at most u.

    References:
      Ward: Hierarchical Grouping to Optimize an Objective Function. Journal of the American Statistical Association
        58(301), 1963.
    """
    points = jnp.arange(len(x))

    def merge(_, state):
        means, weight, costs, label = state
        i, j = jnp.sort(jnp.stack(jnp.divmod(jnp.argmin(costs), len(x))))
        both = weight[i] + weight[j]
        mean = (weight[i] * means[i] + weight[j] * means[j]) / both
        means, weight = means.at[i].set(mean), weight.at[i].set(both)
        row = both * weight / (both + weight) * squared_distances(means, mean[None])[:, 0]
        row = jnp.where(jnp.isinf(costs[i]) | (points == j), jnp.inf, row)
        costs = costs.at[i].set(row).at[:, i].set(row).at[j].set(jnp.inf).at[:, j].set(jnp.inf)
        return means, weight, costs, jnp.where(label == j, i, label)

    costs = weight[:, None] * weight / (weight[:, None] + weight) * squared_distances(x, x)
    costs = jnp.where(points[:, None] == points, jnp.inf, costs)
    label = lax.fori_loop(0, len(x) - k, merge, (x, weight, costs, points))[-1]
    return (jnp.cumsum(label == points) - 1)[label]


def quality(
    x: Float[np.ndarray, "n d"], prototypes: Float[np.ndarray, "u d"], height: int, width: int
) -> dict[str, float]:
    """Measure the fit of a map to rows, and how well it keeps their neighbourhoods.

    Args:
      x: at least three rows.
      prototypes: of the units.

    Returns:
      quantization_error: mean distance from a row to its best-matching unit (Kohonen 1995), in the units of x.
      topographic_error: part of the rows whose two best-matching units are no neighbours, up, down, left or right
        (Kiviluoto 1996).
      trustworthiness: 1 where the rows that are nearest on the map are also nearest in x, less the further they are
        (Venna and Kaski 2001); of a fixed uniform sample above `MEASURED_ROWS` rows. Nearest are as many as five units
        have on average, a unit and its neighbours: fewer would say nothing of the map.

    References:
      Kiviluoto: Topology Preservation in Self-Organizing Maps. ICNN 1996.
      Venna, Kaski: Neighborhood Preservation in Nonlinear Projection Methods: An Experimental Study. ICANN 2001.
    """
    from sklearn.manifold import trustworthiness

    squared = np.asarray(squared_distances(jnp.asarray(x), jnp.asarray(prototypes)))
    units = np.argsort(squared, axis=1, kind="stable")
    some = np.random.default_rng(0).permutation(len(x))[:MEASURED_ROWS]
    places = grid(height, width)[units[some, 0]]
    near = min(5 * len(some) // (height * width), (len(some) - 1) // 2)
    return {
        "quantization_error": float(np.sqrt(squared.min(axis=1)).mean()),
        "topographic_error": float((map_distances(height, width)[units[:, 0], units[:, 1]] > 1).mean()),
        "trustworthiness": float(trustworthiness(x[some], places, n_neighbors=max(near, 1))),
    }
