"""Layers that are more than a dense one. Each maps rows [b, e] to rows [b, e'], so that any of them stack alike."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from dec import config
from dec.errors import UserError


def patches(x: Float[Array, "b ... c"], kernel: int) -> Float[Array, "b ... p"]:
    """Every second window of images or steps, with zeros around them: half their size, kernel^directions c values each.

    Convolutions are products of these: XLA's own take 10 times as long to differentiate inside a loop on a CPU, and
    with other filters for each seed they are no products on a GPU.
    """
    for axis in range(1, x.ndim - 1):
        size = x.shape[axis]
        half = -(-size // 2)
        around = max(2 * (half - 1) + kernel - size, 0)
        zeros = (around // 2, around - around // 2)
        x = jnp.pad(x, [zeros if i == axis else (0, 0) for i in range(x.ndim)])
        x = jnp.concatenate([lax.slice_in_dim(x, i, i + 2 * half - 1, 2, axis) for i in range(kernel)], axis=-1)
    return x


class Down(nn.Module):
    """A convolution with stride 2 over images or steps: half their size, zeros around them.

    Attributes:
      shape: of a row: (height, width, channels) or (steps, channels).
      width: number of filters.
      kernel: size of the filters in each direction.
    """

    shape: tuple[int, ...]
    width: int
    kernel: int
    options: dict[str, Any]  # kernel_init and dtype

    @nn.compact
    def __call__(self, x: Float[Array, "b e"]) -> Float[Array, "b f"]:
        directions = len(self.shape) - 1
        kernel, bias = _filters(self, (self.kernel,) * directions + (self.shape[-1], self.width))
        x = patches(x.reshape(-1, *self.shape).astype(kernel.dtype), self.kernel)
        return (x @ kernel.reshape(-1, self.width) + bias).reshape(len(x), -1)


class Up(nn.Module):
    """A convolution transposed: what `Down` makes of rows shaped `after` becomes such rows again."""

    shape: tuple[int, ...]
    after: tuple[int, ...]
    kernel: int
    options: dict[str, Any]

    @nn.compact
    def __call__(self, x: Float[Array, "b f"]) -> Float[Array, "b e"]:
        directions, width = len(self.shape) - 1, self.shape[-1]
        kernel, bias = _filters(self, (self.kernel,) * directions + (width, self.after[-1]))
        x = x.reshape(-1, *self.shape).astype(kernel.dtype) @ jnp.moveaxis(kernel, -2, 0).reshape(width, -1)
        rows = jax.ShapeDtypeStruct((len(x), *self.after), x.dtype)
        (x,) = jax.linear_transpose(lambda x: patches(x, self.kernel), rows)(x)
        return (x + bias).reshape(len(x), -1)


def _filters(layer: Down | Up, shape: tuple[int, ...]) -> tuple[Float[Array, "... c f"], Float[Array, " f"]]:
    """A kernel and a bias, in the dtype to compute in."""
    kernel = layer.param("kernel", layer.options["kernel_init"], shape)
    bias = layer.param("bias", nn.initializers.zeros, shape[-1:])
    kernel = kernel.transpose(*reversed(range(len(shape) - 2)), -2, -1)  # the last direction first, as in `patches`
    return kernel.astype(layer.options["dtype"]), bias.astype(layer.options["dtype"])


class Read(nn.Module):
    """Gated recurrent units over the steps (Cho et al. 2014): the last one's state after a row's last step.

    Attributes:
      shape: of a row: (steps, channels); if masked, the last channel is 1 where there is a step.
      widths: of the units, from the input on.
    """

    shape: tuple[int, int]
    widths: tuple[int, ...]
    masked: bool
    options: dict[str, Any]

    @nn.compact
    def __call__(self, x: Float[Array, "b e"]) -> Float[Array, "b w"]:
        x = x.reshape(-1, *self.shape)
        lengths = x[..., -1].sum(axis=1).astype(jnp.int32) if self.masked else None
        for width in self.widths:
            last, x = nn.RNN(nn.GRUCell(width, **self.options), return_carry=True)(x, seq_lengths=lengths)
        return last


class Write(nn.Module):
    """Gated recurrent units that see the same row at every step, and a dense layer from their states to channels."""

    shape: tuple[int, int]
    widths: tuple[int, ...]
    options: dict[str, Any]

    @nn.compact
    def __call__(self, h: Float[Array, "b w"]) -> Float[Array, "b e"]:
        x = jnp.repeat(h[:, None], self.shape[0], axis=1)
        for width in self.widths:
            x = nn.RNN(nn.GRUCell(width, **self.options))(x)
        return nn.Dense(self.shape[1], **self.options)(x).reshape(len(h), -1)


Layers = tuple[list[nn.Module], list[nn.Module]]  # of the encoder and of the decoder, its mirror image


def dense(net: config.Network, features: int, options: dict[str, Any]) -> Layers:
    """d-hidden-code-reversed(hidden)-d."""
    encoder = [nn.Dense(width, **options) for width in (*net.widths, net.code_size)]
    decoder = [nn.Dense(width, **options) for width in (*reversed(net.widths), features)]
    return encoder, decoder


def convolutional(net: config.Network, features: int, options: dict[str, Any]) -> Layers:
    """Filters 5, 5, ..., 3 wide with stride 2 around a dense code (Guo et al. 2017, DCEC): for images, or over time."""
    shape, masked = row_shape(net, features)
    shapes = [(*shape[:-1], shape[-1] + masked)]
    for width in net.widths:
        shapes.append((*(-(-size // 2) for size in shapes[-1][:-1]), width))
    kernels = [5] * (len(net.widths) - 1) + [3]
    encoder = [Down(*layer, options) for layer in zip(shapes, net.widths, kernels)]
    afters = [shape, *shapes[1:-1]]
    decoder = [Up(*layer, options) for layer in zip(shapes[1:], afters, kernels)]
    flat = nn.Dense(math.prod(shapes[-1]), **options)
    return [*encoder, nn.Dense(net.code_size, **options)], [flat, *reversed(decoder)]


def recurrent(net: config.Network, features: int, options: dict[str, Any]) -> Layers:
    """Units that read the steps, a dense code, and units that write them (after Srivastava et al. 2015)."""
    (steps, channels), masked = row_shape(net, features)
    widths = net.widths
    encoder = [Read((steps, channels + masked), widths, masked, options), nn.Dense(net.code_size, **options)]
    return encoder, [nn.Dense(widths[-1], **options), Write((steps, channels), widths[::-1], options)]


def row_shape(net: config.Network, features: int) -> tuple[tuple[int, ...], bool]:
    """The shape of a row's values, and whether the mask of a sequence follows them.

    Raises:
      ValueError: no shape, or one of another size than the rows.
    """
    sizes = {"conv": (2, 3), "gru": (2,)}[net.layers]
    if len(net.shape) not in sizes:
        raise UserError(f"network.shape={net.shape} must be (steps, channels)"
                        f"{' or (height, width, channels)' if 3 in sizes else ''} for network.layers={net.layers!r}")
    values = math.prod(net.shape)
    if features not in (values, values + net.shape[0]) or (features != values and len(net.shape) == 3):
        raise UserError(f"network.shape={net.shape} has {values} values, but the rows have {features}")
    return net.shape, features != values


KINDS: dict[str, Callable[[config.Network, int, dict[str, Any]], Layers]] = {
    "dense": dense, "conv": convolutional, "gru": recurrent,
}
