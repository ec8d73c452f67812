"""GMVAE: a variational autoencoder with a cluster for each row (Kingma et al. 2014, M2; Dilokthanakul et al. 2016)."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dec.config import Optimizer
from dec.errors import UserError
from dec.methods.base import Head, Method
from dec.methods.vade import narrow, start
from dec.shallow.kmeans import dot
from dec.shallow.mixture import Mixture, divergence


class Inference(NamedTuple):
    """Networks of one layer on the code h, and the prior p(z | y)."""

    cluster: Float[Array, "c k"]  # q(y | x) = softmax(h cluster + cluster_bias)
    cluster_bias: Float[Array, " k"]
    code: Float[Array, "c c"]  # q(z | x, y) = N(h code + code_bias[y], ...
    code_bias: Float[Array, "k c"]
    log_variance: Float[Array, "c c"]  # ... exp(h log_variance + log_variance_bias[y]))
    log_variance_bias: Float[Array, "k c"]
    prior: Mixture


def gmvae(kl_weight: float = 1.0) -> Method:
    """A generative model x <- z <- y whose inference networks q(y | x) and q(z | x, y) are trained with it.

    The encoder's code h is what both see. At the start q(y | x) is the posterior of a mixture fitted to the pretrained
    codes, with variances that all clusters share, and q(z | x, y) lies at the code.

    Args:
      kl_weight: of the divergences from the prior beside the reconstruction; 1 is the evidence lower bound.

    References:
      Kingma, Mohamed, Rezende, Welling 2014, eq. 7 (M2 without labels); Dilokthanakul et al. 2016.
    """
    if kl_weight <= 0:
        raise UserError(f"kl_weight={kl_weight} must be above 0")

    def init(key, net, view, k):
        prior = start(key, net, view, k)
        share = jax.nn.softmax(prior.logits)
        within = share @ jnp.exp(prior.log_variance)
        scaled = prior.mean / within  # log p(y | h) is linear in h where variances are shared
        width = prior.mean.shape[1]
        return Head(Inference(
            cluster=scaled.T,
            cluster_bias=prior.logits - 0.5 * jnp.sum(scaled * prior.mean, axis=1),
            code=jnp.eye(width),
            code_bias=jnp.zeros((k, width)),
            log_variance=jnp.zeros((width, width)),
            log_variance_bias=jnp.broadcast_to(narrow(prior), (k, width)),
            prior=prior,
        ))

    def assign(head, codes):
        return jax.nn.log_softmax(dot(codes, head.params.cluster) + head.params.cluster_bias)

    def loss(net, head, batch, clock):
        own, h = head.params, net.encode(batch.x)
        log_q = assign(head, h)
        q = jnp.exp(log_q)

        def of_cluster(y):
            mean = h @ own.code + own.code_bias[y]
            log_variance = h @ own.log_variance + own.log_variance_bias[y]
            z = mean + jnp.exp(0.5 * log_variance) * jax.random.normal(jax.random.fold_in(batch.key, y), mean.shape)
            prior = own.prior.mean[y], own.prior.floored()[y]
            return net.reconstruction(batch.x, z), divergence(mean, log_variance, *prior)

        errors, of_codes = jax.lax.map(of_cluster, jnp.arange(len(own.cluster_bias)))  # [k, b]
        of_clusters = log_q - jax.nn.log_softmax(own.prior.logits)
        return {
            "reconstruction": net.calibrated(jnp.sum(q * errors.T, axis=-1), batch.weight),
            "divergence": kl_weight * net.divergence(jnp.sum(q * (of_codes.T + of_clusters), axis=-1)),
        }

    return Method(init, assign, loss, centers=lambda head: head.params.prior.mean,
                  optimizer=Optimizer("adam", 1e-3),
                  sample=lambda key, head, n, cluster: head.params.prior.draw(key, n, cluster))
