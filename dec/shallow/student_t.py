"""The soft assignment of Deep Embedded Clustering, its target distribution and the divergence between them.

References:
  Xie, Girshick, Farhadi: Unsupervised Deep Embedding for Clustering Analysis. ICML 2016, section 3.1.
  van der Maaten: Learning a Parametric Embedding by Preserving Local Structure. AISTATS 2009 (the kernel's alpha).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dec.shallow.distances import squared_distances


def log_assignment(codes: Float[Array, "n d"], centers: Float[Array, "k d"], alpha: float = 1.0) -> Float[Array, "n k"]:
    """Return log q_ij, the Student-t similarity of code i to center j (equation 1), in logs.

        q_ij ∝ (1 + |z_i - μ_j|² / α)^(-(α+1)/2),   Σ_j q_ij = 1

    Args:
      codes: z, float.
      centers: μ, float.
      alpha: degrees of freedom α > 0; the paper fixes 1.

    Returns:
      float32; values and gradients are finite as long as |z - μ|² is.
    """
    return jax.nn.log_softmax(-(alpha + 1) / 2 * jnp.log1p(squared_distances(codes, centers) / alpha))


def target_distribution(q: Float[Array, "n k"], frequencies: Float[Array, " k"]) -> Float[Array, "n k"]:
    """Return p_ij, the sharpened assignment that q is pulled towards (equation 3). Stop its gradient.

        p_ij ∝ q_ij² / f_j,   Σ_j p_ij = 1

    Args:
      q: soft assignments.
      frequencies: f_j = Σ_i q_ij over the whole data set (the paper) or over a batch. A cluster with f_j = 0 gets 0.

    Returns:
      rows that sum to 1, or to 0 where every cluster with q_ij > 0 has f_j = 0.
    """
    tiny = jnp.finfo(q.dtype).tiny  # below it 1 / f overflows
    p = jnp.where(frequencies < tiny, 0, q**2 / jnp.maximum(frequencies, tiny))
    return p / jnp.maximum(p.sum(axis=1, keepdims=True), tiny)


def kl_divergence(p: Float[Array, "n k"], log_q: Float[Array, "n k"]) -> Float[Array, " n"]:
    """KL(p_i ‖ q_i) of every row in nats (a summand of equation 2), with 0 log 0 = 0.

    Args:
      p: target distribution.
      log_q: log soft assignments, finite (-1e30 for a cluster that is out).
    """
    log_p = jnp.log(jnp.where(p > 0, p, 1))
    return jnp.sum(p * (log_p - log_q), axis=1)
