"""IDEC: improved deep embedded clustering with local structure preservation (Guo et al., IJCAI 2017)."""

from __future__ import annotations

from typing import Literal

from dec.methods.base import Method, check_at_least
from dec.methods.brb import KEEP
from dec.methods.dec import dec


def idec(
    gamma: float = 0.1,
    alpha: float = 1.0,
    target: Literal["dataset", "batch"] = "dataset",
    brb_every: int = 0,
    brb_keep: float = KEEP,
) -> Method:
    """DEC that keeps the decoder: L = reconstruction + gamma * clustering.

    Args:
      gamma: weight of the clustering loss (eq. 6; the paper takes 0.1) beside a reconstruction loss averaged over
        features. It is tied to the scale of the input: 0.1 beside a sum over 784 pixels is nearly no clustering.
      alpha: degrees of freedom of the Student-t kernel (eq. 2).
      target: as in DEC.
      brb_every: epochs from one soft reset of the encoder to the next, as in DEC; 0 for none.
      brb_keep: part of the weights that such a reset keeps.

    References:
      Guo et al. 2017, section 3.
    """
    check_at_least(0, gamma=gamma)
    base = dec(alpha, target, brb_every, brb_keep)

    def loss(net, head, batch, clock):
        clustering = base.loss(net, head, batch, clock)["clustering"]
        return {
            "reconstruction": net.reconstruction(batch.x, net.encode(batch.x)),
            "clustering": gamma * clustering,
        }

    return base._replace(loss=loss)
