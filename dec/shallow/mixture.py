"""Gaussians with diagonal covariance, and mixtures of them fitted by expectation maximisation; all in logarithms."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Key

from dec.shallow.distances import squared_distances
from dec.shallow.kmeans import kmeans

LEAST_LOG_VARIANCE = -12.0  # of a component in training; with less, its likelihood has no bound
LEAST_SHARE = 1e-4  # of the codes' mean variance, in the fit
STEPS, GAIN = 200, 1e-4  # at most so many steps of EM, while one gains so many nats a row


def log_density(
    z: Float[Array, "*b c"], mean: Float[Array, "*b c"], log_variance: Float[Array, "*b c"]
) -> Float[Array, "*b"]:
    """log N(z; μ, σ²)."""
    return -0.5 * jnp.sum(math.log(2 * math.pi) + log_variance + (z - mean) ** 2 * jnp.exp(-log_variance), axis=-1)


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
        """log p(z, c)."""
        return jax.nn.log_softmax(self.logits) + log_density(z[:, None], self.mean, self.floored())

    def floored(self) -> Float[Array, "k c"]:
        """Log variances that are not too small."""
        return jnp.maximum(self.log_variance, LEAST_LOG_VARIANCE)


def fit_mixture(key: Key[Array, ""], codes: Float[Array, "m c"], weight: Float[Array, " m"], k: int) -> Mixture:
    """The mixture that EM finds from the clusters of k-means.

    Args:
      codes: [m, c].
      weight: [m], 0 for rows that do not count.
      k: number of components. One without rows keeps its place with a weight of about 0.
    """
    total = weight.sum()
    center = weight @ codes / total
    spread = (weight @ (codes - center) ** 2 / total).mean()

    def maximise(share: Float[Array, "m k"]) -> Mixture:
        share *= weight[:, None]
        size = share.sum(0) + 1e-6
        mean = share.T @ codes / size[:, None]
        variance = lax.map(lambda c: c[0] @ (codes - c[1]) ** 2, (share.T, mean)) / size[:, None]
        return Mixture(jnp.log(size / size.sum()), mean, jnp.log(variance + LEAST_SHARE * spread + 1e-30))

    def step(state):
        mixture, last, _, i = state
        joint = mixture.log_joint(codes)
        evidence = jax.scipy.special.logsumexp(joint, axis=1)
        return maximise(jnp.exp(joint - evidence[:, None])), weight @ evidence / total, last, i + 1

    def going(state):
        _, new, last, i = state
        return (i < 2) | ((i < STEPS) & (new - last > GAIN))

    centers = kmeans(key, codes, weight, k).centers
    nearest = jax.nn.one_hot(jnp.argmin(squared_distances(codes, centers), axis=1), k)
    start = maximise(nearest), jnp.float32(-jnp.inf), jnp.float32(-jnp.inf), jnp.int32(0)
    return lax.while_loop(going, step, start)[0]
