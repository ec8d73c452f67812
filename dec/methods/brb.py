"""BRB: breaking the reclustering barrier in centroid-based deep clustering (Miklautz et al., ICLR 2025)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import jax

from dec.errors import UserError
from dec.methods.base import Method

if TYPE_CHECKING:
    from dec.networks.autoencoder import Net

KEEP = 0.8  # the paper's α


def brb(method: Method, every: int, keep: float) -> Method:
    """Return the method with a soft reset of its encoder every few epochs, and clusters started anew from its codes.

    θ <- keep θ + (1 - keep) φ with newly drawn φ loosens a network that has settled too early on its first clusters.
    It takes the place of what the method itself does between epochs.

    Args:
      method: one that learns centers.
      every: epochs from one reset to the next (the paper takes 20); 0 leaves the method as it is.
      keep: the part of the weights that stays.

    References:
      Miklautz et al. 2025, section 5.
    """
    if every < 0:
        raise UserError(f"brb_every={every} must be at least 0 epochs (0 is off)")
    if not 0 <= keep <= 1:
        raise UserError(f"brb_keep={keep} must be from 0 to 1")
    if every == 0 and keep != KEEP:
        raise UserError(f"brb_keep={keep} does nothing without resets; set brb_every as well, for example to 20")
    if every == 0:
        return method

    def between(key, net, head, view, clock):
        draw, restart = jax.random.split(key)
        k = len(method.centers(head) if method.centers else head.params)
        net = soft_reset(net, net.fresh(draw, net.module), keep)
        return net, method.init(restart, net, view, k)

    return method._replace(between=between, between_every=every)


def soft_reset(net: Net, fresh: Net, keep: float) -> Net:
    """Return the hidden layers of the encoder moved towards `fresh`; as in the paper, code layer and decoder stay."""
    old, new = net.params["params"], fresh.params["params"]
    hidden = sum(name.startswith("encoder_") for name in old) - 1
    reset = {name: jax.tree.map(lambda a, b: keep * a + (1 - keep) * b, old[name], new[name])
             for name in (f"encoder_{i}" for i in range(hidden))}
    return dataclasses.replace(net, params=net.params | {"params": old | reset})
