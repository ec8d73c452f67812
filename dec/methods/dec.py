"""DEC: unsupervised deep embedding for clustering analysis (Xie, Girshick and Farhadi, ICML 2016)."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
from jax import lax

from dec.errors import UserError
from dec.methods.base import Head, Method
from dec.methods.brb import KEEP, brb
from dec.shallow.kmeans import kmeans
from dec.shallow.student_t import kl_divergence, log_assignment, target_distribution


def dec(
    alpha: float = 1.0,
    target: Literal["dataset", "batch"] = "dataset",
    brb_every: int = 0,
    brb_keep: float = KEEP,
) -> Method:
    """Sharpen soft assignments: minimise KL(P || Q), with P the squared and renormalised Q.

    Args:
      alpha: degrees of freedom of the Student-t kernel (eq. 1; the paper fixes 1).
      target: soft cluster frequencies of eq. 3 over the whole data set at every refresh (the paper), or over each
        batch anew (as some libraries do).
      brb_every: epochs from one soft reset of the encoder to the next (Miklautz et al. 2025, who take 20), at the
        first refresh after them; 0 for none.
      brb_keep: part of the weights that such a reset keeps.

    References:
      Xie et al. 2016, section 3.1.
    """
    if alpha <= 0:
        raise UserError(f"alpha={alpha} must be above 0")

    if target not in ("dataset", "batch"):
        raise UserError(f"target={target!r} must be dataset or batch")

    def init(key, net, view, k):
        return Head(params=kmeans(key, view.encode(net), view.weight, k).centers)

    def assign(head, codes):
        return log_assignment(codes, head.params, alpha)

    def refresh(head, codes, weight):
        q = jnp.exp(assign(head, codes))
        return q, weight @ q  # f_j = sum_i q_ij

    def loss(net, head, batch, clock):
        log_q = assign(head, net.encode(batch.x))
        if target == "dataset":
            q, frequencies = batch.rows, batch.stats
        else:
            q = lax.stop_gradient(jnp.exp(assign(head, net.encode(batch.clean))))
            frequencies = batch.weight @ q
        return {"clustering": kl_divergence(target_distribution(q, frequencies), log_q)}

    return brb(Method(init, assign, loss, refresh if target == "dataset" else None), brb_every, brb_keep)
