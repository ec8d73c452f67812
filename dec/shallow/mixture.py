"""Gaussians with diagonal covariance and mixtures of them, in logarithms."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

LEAST_LOG_VARIANCE = -12.0  # of a component in training; with less, its likelihood has no bound


def divergence(
    mean: Float[Array, "*b c"], log_variance: Float[Array, "*b c"],
    other: Float[Array, "*b c"], other_log_variance: Float[Array, "*b c"],
) -> Float[Array, "*b"]:
    """KL(N(μ, σ²) || N(μ', σ'²)) in nats."""
    squared = jnp.exp(log_variance) + (mean - other) ** 2
    return 0.5 * jnp.sum(squared * jnp.exp(-other_log_variance) - 1 - log_variance + other_log_variance, axis=-1)


class Mixture(NamedTuple):
    """p(c) = π_c, p(z | c) = N(μ_c, σ_c²)."""

    logits: Float[Array, " k"]  # log π up to a constant
    mean: Float[Array, "k c"]
    log_variance: Float[Array, "k c"]

    def log_joint(self, z: Float[Array, "b c"]) -> Float[Array, "b k"]:
        """Return log p(z, c) = log π_c + log N(z; μ_c, σ_c²)."""
        log_variance = self.floored()
        squares = (z[:, None] - self.mean) ** 2 * jnp.exp(-log_variance)
        log_density = -0.5 * jnp.sum(math.log(2 * math.pi) + log_variance + squares, axis=-1)
        return jax.nn.log_softmax(self.logits) + log_density

    def draw(self, key: Key[Array, ""], n: int, cluster: int) -> Float[Array, "n c"]:
        """Return n draws of p(z | c)."""
        noise = jax.random.normal(key, (n, self.mean.shape[1]))
        return self.mean[cluster] + jnp.exp(0.5 * self.floored()[cluster]) * noise

    def floored(self) -> Float[Array, "k c"]:
        """Return log variances that are not too small."""
        return jnp.maximum(self.log_variance, LEAST_LOG_VARIANCE)
