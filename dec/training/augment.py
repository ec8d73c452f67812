"""Augmentation: other views of the rows of a batch, which tell the network what does not matter.

That is prior knowledge of the data. It is an option of any method, after Guo et al. 2018 (DEC-DA): targets come from
the rows as they are, assignments and reconstructions from other views.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates
from jaxtyping import Array, Float, Key

from dec import config
from dec.errors import UserError


class Augment(NamedTuple):
    """Augmentation of rows whose values have `shape`: (height, width, channels), (steps, channels), or ()."""

    options: config.Augmentation
    shape: tuple[int, ...] = ()

    @classmethod
    def of(cls, model: config.Model) -> Augment | None:
        """Return the augmentation of a model; None where it has none.

        Raises:
          ValueError: an option for images where rows have no such shape.
        """
        chosen, shape = model.augmentation, model.network.shape
        if chosen == config.Augmentation():
            return None
        if not shape and (block := next((b for b in model.network.blocks if b.startswith("sequence:")), None)):
            shape = tuple(map(int, block.removeprefix("sequence:").split("x")))  # behind it is the mask
        for name in ("shift", "rotation", "zoom", "shear", "flip", "cutout"):
            least = 2 if name == "cutout" else 3
            if getattr(chosen, name) and len(shape) < least:
                raise UserError(f"augmentation.{name} needs rows with a shape, but network.shape={shape}; set it to "
                                f"(height, width, channels){' or (steps, channels)' if least == 2 else ''}")
        return cls(chosen, shape)

    def __call__(self, x: Float[Array, "b d"], key: Key[Array, ""]) -> Float[Array, "b d"]:
        """Return a random view of each scaled row; the mask of a sequence, behind its values, stays."""
        options, keys = self.options, jax.random.split(key, 5)
        size = math.prod(self.shape) if self.shape else x.shape[1]
        values, there = x[:, :size], x[:, size:]
        if len(self.shape) == 3 and any((options.shift, options.rotation, options.zoom, options.shear, options.flip)):
            images = values.reshape(-1, *self.shape)
            values = jax.vmap(partial(_warped, options))(images, jax.random.split(keys[0], len(x))).reshape(len(x), -1)
        if options.cutout:
            cut = jax.vmap(partial(_hole, options.cutout, self.shape))(jax.random.split(keys[1], len(x)))
            values = jnp.where(cut.reshape(len(x), -1), 0, values)
        if options.amplitude:
            values *= 1 + options.amplitude * jax.random.normal(keys[2], (len(x), 1))
        if options.noise:
            noise = options.noise * jax.random.normal(keys[3], values.shape)
            steps = jnp.repeat(there > 0, size // there.shape[1], axis=1) if there.shape[1] else True
            values += jnp.where(steps, noise, 0)
        if options.mask:
            values = jnp.where(jax.random.bernoulli(keys[4], options.mask, values.shape), 0, values)
        return jnp.concatenate([values, there], axis=1)


def _warped(options: config.Augmentation, image: Float[Array, "h w c"], key: Key[Array, ""]) -> Float[Array, "h w c"]:
    """Return the image flipped, sheared, rotated, zoomed and shifted about its center; its border goes on outside."""
    turn, lean, size, mirror, move = jax.random.split(key, 5)
    height, width, _ = image.shape

    def angle(key: Key[Array, ""], most: float) -> Float[Array, ""]:
        return jnp.deg2rad(jax.random.uniform(key, minval=-most, maxval=most))

    a, s = angle(turn, options.rotation), angle(lean, options.shear)
    zoom = 1 + jax.random.uniform(size, minval=-options.zoom, maxval=options.zoom)
    flip = jnp.where(options.flip & jax.random.bernoulli(mirror), -1.0, 1.0)
    # From a pixel of the view to the place in the image that it shows.
    matrix = jnp.array([[jnp.cos(a), -jnp.sin(a)], [jnp.sin(a), jnp.cos(a)]]) @ jnp.array([[1.0, jnp.tan(s)], [0, 1.0]])
    matrix = matrix / zoom * jnp.array([1.0, flip])
    center = jnp.array([(height - 1) / 2, (width - 1) / 2])
    shift = jax.random.uniform(move, (2,), minval=-options.shift, maxval=options.shift) * jnp.array([height, width])
    grid = jnp.stack(jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij"), -1) - center - shift
    places = jnp.moveaxis(grid @ matrix.T + center, -1, 0)
    return jax.vmap(lambda channel: map_coordinates(channel, list(places), 1, mode="nearest"), -1, -1)(image)


def _hole(part: float, shape: tuple[int, ...], key: Key[Array, ""]) -> Array:
    """Return [*shape] whether a value is in a box of the fraction `part` of each direction, somewhere in the row."""
    inside = jnp.ones(shape, bool)
    for axis, (size, own) in enumerate(zip(shape[:-1], jax.random.split(key, len(shape) - 1))):
        length = max(1, round(part * size))
        start = jax.random.randint(own, (), 0, size - length + 1)
        at = jnp.arange(size)
        along = (at >= start) & (at < start + length)
        inside &= along.reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return inside
