"""Convolutions over images or over time, as products of patches."""

from __future__ import annotations

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from dec import config
from dec.networks.layers import Layers, row_shape

SIDES = (2, 3)  # numbers of sides that the shape of a row may have


def patches(x: Float[Array, "b ... c"], kernel: int) -> Float[Array, "b ... p"]:
    """Return every second window of images or steps, zeros around them: half the size, kernel^directions c values.

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


class Convolution(nn.Module):
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


class TransposedConvolution(nn.Module):
    """A convolution transposed: what `Convolution` makes of rows shaped `after` becomes such rows again."""

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


def _filters(
    layer: Convolution | TransposedConvolution, shape: tuple[int, ...]
) -> tuple[Float[Array, "... c f"], Float[Array, " f"]]:
    """Return a kernel and a bias, in the dtype to compute in."""
    kernel = layer.param("kernel", layer.options["kernel_init"], shape)
    bias = layer.param("bias", nn.initializers.zeros, shape[-1:])
    kernel = kernel.transpose(*reversed(range(len(shape) - 2)), -2, -1)  # the last direction first, as in `patches`
    return kernel.astype(layer.options["dtype"]), bias.astype(layer.options["dtype"])


def convolutional(net: config.Network, features: int, options: dict[str, Any]) -> Layers:
    """Return convolutions 5, 5, ..., 3 wide with stride 2 around a dense code (Guo et al. 2017, DCEC)."""
    shape, masked = row_shape(net, features, SIDES)
    hidden = net.hidden or ()
    shapes = [(*shape[:-1], shape[-1] + masked)]
    for width in hidden:
        shapes.append((*(-(-size // 2) for size in shapes[-1][:-1]), width))
    kernels = [5] * (len(hidden) - 1) + [3]
    encoder = [Convolution(*layer, options) for layer in zip(shapes, hidden, kernels)]
    afters = [shape, *shapes[1:-1]]
    decoder = [TransposedConvolution(*layer, options) for layer in zip(shapes[1:], afters, kernels)]
    flat = nn.Dense(math.prod(shapes[-1]), **options)
    return Layers([*encoder, nn.Dense(net.code_size, **options)], [flat, *reversed(decoder)])
