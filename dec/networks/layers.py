"""What every kind of network is made of: a list of layers for the encoder, and their mirror image for the decoder.

Each layer maps rows [b, e] to rows [b, e'], so that any of them stack alike.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import flax.linen as nn

from dec import config
from dec.errors import UserError


class Layers(NamedTuple):
    """The layers of an autoencoder.

    A layer with the attribute `bounded` is followed by no activation.
    """

    encoder: list[nn.Module]  # from rows [b, features] to codes [b, code_size]
    decoder: list[nn.Module]  # of the same number


def dense(net: config.Network, features: int, options: dict[str, Any]) -> Layers:
    """Return the dense layers d-hidden-code-reversed(hidden)-d."""
    hidden = net.hidden or ()
    encoder: list[nn.Module] = [nn.Dense(width, **options) for width in (*hidden, net.code_size)]
    return Layers(encoder, [nn.Dense(width, **options) for width in (*reversed(hidden), features)])


def row_shape(net: config.Network, features: int, sides: tuple[int, ...]) -> tuple[tuple[int, ...], bool]:
    """Return the shape of a row's values, and whether the mask of a sequence follows them.

    Args:
      net: the config, with the shape.
      features: the width of a row.
      sides: the numbers of sides that the shape may have.

    Raises:
      ValueError: no shape, or one of another size than the rows.
    """
    if len(net.shape) not in sides:
        raise UserError(f"network.shape={net.shape} must be (steps, channels)"
                        f"{' or (height, width, channels)' if 3 in sides else ''} for network.layers={net.layers!r}")
    values = math.prod(net.shape)
    if features not in (values, values + net.shape[0]) or (features != values and len(net.shape) == 3):
        raise UserError(f"network.shape={net.shape} has {values} values, but the rows have {features}")
    return net.shape, features != values
