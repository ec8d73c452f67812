"""Squared Euclidean distances between rows and centres."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

# Up to here explicit differences cost about as much as a matrix product for a batch of 256 rows on a CPU, with and
# without the gradient; at ten times as many entries the product is four times faster.
SMALL = 128


def squared_distances(x: Float[Array, "n d"], c: Float[Array, "k d"]) -> Float[Array, "n k"]:
    """Return |x_i - c_j|² in float32.

    Explicit differences where k·d is small (`SMALL`), which lose nothing to cancellation. Beyond, the expanded
    |x|² - 2x·c + |c|² in full float32 precision, clamped at 0, with the mean of c as the origin: its absolute error
    is about 1e-7·(|x|² + |c|²).

    Args:
      x: rows, any real dtype.
      c: centres, any real dtype.
    """
    x, c = x.astype(jnp.float32), c.astype(jnp.float32)
    if c.size <= SMALL:
        return jnp.sum((x[:, None] - c) ** 2, axis=-1)
    center = c.mean(axis=0)
    x, c = x - center, c - center
    products = jnp.matmul(x, c.T, precision=lax.Precision.HIGHEST)
    return jnp.maximum(jnp.sum(x * x, axis=1)[:, None] - 2 * products + jnp.sum(c * c, axis=1), 0)
