"""VaDE: variational deep embedding, a generative model of clusters (Jiang, Zheng, Tan, Tang and Zhou, IJCAI 2017)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dec.config import Optimizer
from dec.errors import UserError
from dec.methods.base import Head, Method, View
from dec.methods.gmm import gmm
from dec.shallow.mixture import LEAST_LOG_VARIANCE, Mixture, divergence


def vade(kl_weight: float = 1.0) -> Method:
    """A variational autoencoder whose prior is a mixture of Gaussians: its components are the clusters.

    It starts from the plain autoencoder, whose code is the posterior's mean, and a mixture fitted to its codes.

    Args:
      kl_weight: of the divergence from the prior beside the reconstruction; 1 is the evidence lower bound (eq. 5).

    References:
      Jiang et al. 2017, section 3.
    """
    if kl_weight <= 0:
        raise UserError(f"kl_weight={kl_weight} must be above 0")

    def init(key, net, view, k):
        mixture = start(key, net, view, k)
        trained = net is not None and net.module.config.variational  # then its posterior has variances of its own
        return Head(mixture, state=jnp.zeros(mixture.mean.shape[1]) if trained else narrow(mixture))

    def assign(head, codes):
        return jax.nn.log_softmax(head.params.log_joint(codes))  # eq. 16 at the posterior's mean

    def loss(net, head, batch, clock):
        prior, (mean, log_variance) = head.params, net.posterior(batch.x)
        log_variance += head.state
        z = mean + jnp.exp(0.5 * log_variance) * jax.random.normal(batch.key, mean.shape)  # eq. 9
        log_gamma = jax.nn.log_softmax(prior.log_joint(z))  # eq. 16
        gamma = jnp.exp(log_gamma)
        # Eq. 12, its terms put together: KL(q(z, c | x) || p(z, c)) with q(z, c | x) = q(z | x) γ_c.
        of_codes = divergence(mean[:, None], log_variance[:, None], prior.mean, prior.floored())
        of_clusters = log_gamma - jax.nn.log_softmax(prior.logits)
        return {
            "reconstruction": net.calibrated(net.reconstruction(batch.x, z), batch.weight),
            "divergence": kl_weight * net.divergence(jnp.sum(gamma * (of_codes + of_clusters), axis=-1)),
        }

    adam = Optimizer("adam", 2e-3, schedule="step", decay=0.9, decay_every=10)
    return Method(init, assign, loss, centers=lambda head: head.params.mean, posterior=True, optimizer=adam,
                  sample=lambda key, head, n, cluster: head.params.draw(key, n, cluster))


def start(key, net, view: View, k: int) -> Mixture:
    """Return the mixture that `gmm` fits to the codes."""
    log_weight, mean, precision = gmm("diag").init(key, net, view, k).state  # its inverse standard deviations
    log_variance = jnp.maximum(-2 * jnp.log(precision), LEAST_LOG_VARIANCE + 1)  # below it there is no gradient
    return Mixture(log_weight, mean, log_variance)


def narrow(mixture: Mixture) -> Float[Array, " c"]:
    """Return the log variance that a posterior starts with: of the variance within clusters, a tenth."""
    return jnp.log(0.1 * jax.nn.softmax(mixture.logits) @ jnp.exp(mixture.log_variance))
