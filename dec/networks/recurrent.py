"""Gated recurrent units that read the steps of a sequence and write them."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from dec import config
from dec.networks.layers import Layers, row_shape

SIDES = (2,)  # numbers of sides that the shape of a row may have


class SequenceReader(nn.Module):
    """Gated recurrent units over the steps (Cho et al. 2014): the last one's state after a row's last step.

    Attributes:
      shape: of a row: (steps, channels); if masked, the last channel is 1 where there is a step.
      widths: of the units, from the input on.
    """

    shape: tuple[int, int]
    widths: tuple[int, ...]
    masked: bool
    options: dict[str, Any]
    bounded = True  # its output needs no activation

    @nn.compact
    def __call__(self, x: Float[Array, "b e"]) -> Float[Array, "b w"]:
        x = x.reshape(-1, *self.shape)
        lengths = x[..., -1].sum(axis=1).astype(jnp.int32) if self.masked else None
        for width in self.widths:
            last, x = nn.RNN(nn.GRUCell(width, **self.options), return_carry=True)(x, seq_lengths=lengths)
        return last


class SequenceWriter(nn.Module):
    """Gated recurrent units that see the same row at every step, and a dense layer from their states to channels."""

    shape: tuple[int, int]
    widths: tuple[int, ...]
    options: dict[str, Any]

    @nn.compact
    def __call__(self, h: Float[Array, "b w"]) -> Float[Array, "b e"]:
        x = jnp.repeat(h[:, None], self.shape[0], axis=1)
        for width in self.widths:
            x = nn.RNN(nn.GRUCell(width, **self.options))(x)  # type: ignore[assignment]
        return nn.Dense(self.shape[1], **self.options)(x).reshape(len(h), -1)


def recurrent(net: config.Network, features: int, options: dict[str, Any]) -> Layers:
    """Units that read the steps, a dense code, and units that write them (after Srivastava et al. 2015)."""
    (steps, channels), masked = row_shape(net, features, SIDES)
    widths = net.hidden or ()
    encoder = [SequenceReader((steps, channels + masked), widths, masked, options), nn.Dense(net.code_size, **options)]
    return Layers(encoder, [nn.Dense(widths[-1], **options), SequenceWriter((steps, channels), widths[::-1], options)])
