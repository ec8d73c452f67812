"""The mixture of Gaussians."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dec.errors import UserError
from dec.methods.base import Head, Method, check_at_least
from dec.methods.host import on_host

FLOOR = 1e-6  # of the mean variance of a column, added to every component's variances


def gmm(covariance: Literal["full", "diag"] = "full", restarts: int = 10) -> Method:
    """A mixture of Gaussians.

    Fitted by expectation maximisation from the clusters of k-means; a row's assignment is its posterior.

    Args:
      covariance: of each component; full ones cost n·k·d² an iteration, so take diag for wide rows.
      restarts: fits from new clusters of k-means, of which the most likely one is kept.

    References:
      Dempster, Laird, Rubin 1977.
    """
    if covariance not in ("full", "diag"):
        raise UserError(f"covariance={covariance!r} must be full or diag")
    check_at_least(1, restarts=restarts)

    def init(key, net, view, k):
        codes = view.encode(net)
        d, shape = codes.shape[1], jax.ShapeDtypeStruct

        def fit(codes, seed):
            from sklearn.mixture import GaussianMixture

            codes = codes.astype(np.float64)
            floor = max(FLOOR * codes.var(axis=0).mean(), 1e-12)
            mixture = GaussianMixture(k, covariance_type=covariance, n_init=restarts, reg_covar=floor,
                                      random_state=seed).fit(codes)
            return np.log(mixture.weights_), mixture.means_, mixture.precisions_cholesky_

        shapes = (shape((k,), jnp.float32), shape((k, d), jnp.float32),
                  shape((k, d, d) if covariance == "full" else (k, d), jnp.float32))
        return Head((), on_host(fit, shapes, key, codes, view.weight))

    def assign(head, codes):
        def log_joint(component):  # up to a constant: log π + log |P| - |(z - μ) P|² / 2, with Σ⁻¹ = P Pᵀ
            log_weight, mean, p = component
            scaled = (codes - mean) * p if p.ndim == 1 else jnp.matmul(codes - mean, p, precision=lax.Precision.HIGHEST)
            scale = p if p.ndim == 1 else jnp.diagonal(p)
            return log_weight + jnp.log(scale).sum() - 0.5 * jnp.sum(scaled**2, axis=1)

        return jax.nn.log_softmax(lax.map(log_joint, head.state).T)

    return Method(init, assign, centers=lambda head: head.state[1])
