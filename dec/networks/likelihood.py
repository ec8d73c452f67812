"""What a row's reconstruction is judged by: squared error, cross-entropy, or a likelihood of its own for every column.

A row of features is a sequence of blocks, written `kind:width` in the order of the columns:

    gaussian:3        three numbers, each with a variance that is learned
    bernoulli:2       two columns of 0 and 1
    categorical:21    one column of a table, one-hot
    poisson:500       counts
    sequence:128x6    128 steps of 6 channels, then 128 columns that are 1 where there is a step (see `SequenceWindows`)
"""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float

from dec.data.dataset import row_blocks
from dec.errors import UserError

KINDS = ("gaussian", "bernoulli", "categorical", "poisson", "sequence")
LEAST_LOG_VARIANCE = -6.0  # of a Gaussian column: a standard deviation of 0.05; lower, and its likelihood has no bound
LARGEST_LOG_RATE = 15.0  # of a Poisson column


def parse(blocks: tuple[str, ...], features: int) -> list[tuple[str, int, int, int]]:
    """Return (kind, first column, column after the last, channels) of each block; channels is 0 but for sequences.

    Raises:
      ValueError: an unknown kind, or widths that do not add up to `features`.
    """
    found, start = [], 0
    for block in blocks:
        match = re.fullmatch(rf"({'|'.join(KINDS)}):(\d+)(?:x(\d+))?", block)
        if match is None or (match[1] == "sequence") != bool(match[3]):
            raise UserError(f"blocks: {block!r} must be one of {', '.join(KINDS[:-1])} with a width, like gaussian:3, "
                            "or sequence:STEPSxCHANNELS")
        channels = int(match[3] or 0)
        width = int(match[2]) * (channels + 1)
        found.append((match[1], start, start + width, channels))
        start += width
    if blocks and start != features:
        raise UserError(f"blocks={','.join(blocks)} describe {start} columns, but the data have {features}")
    return found


def weights(blocks: list, x: Float[Array, "b d"], zero_weight: float) -> Float[Array, "b d"] | None:
    """Return the weights of values in a squared error: 0 where a sequence has no step, `zero_weight` where x is 0."""
    weight = None if zero_weight == 1 else jnp.where(x == 0, zero_weight, 1.0)
    for kind, start, stop, channels in blocks:
        if kind == "sequence":
            weight = jnp.ones_like(x) if weight is None else weight
            steps = (stop - start) // (channels + 1)
            there = (x[:, stop - steps : stop] > 0).astype(x.dtype)  # whatever the scaling
            weight = weight.at[:, start:stop].multiply(
                jnp.concatenate([jnp.repeat(there, channels, axis=1), jnp.zeros_like(there)], axis=1))
    return weight


def squared_error(
    x: Float[Array, "b d"], out: Float[Array, "b d"], weight: Float[Array, "b d"] | None
) -> Float[Array, " b"]:
    """Return the (weighted) mean over a row's features of (x - out)²."""
    if weight is None:
        return jnp.mean((x - out) ** 2, axis=-1)
    return jnp.sum(weight * (x - out) ** 2, axis=-1) / jnp.maximum(weight.sum(axis=-1), 1e-6)


def negative_log_likelihood(
    blocks: list, log_variance: Float[Array, " d"], x: Float[Array, "b d"], out: Float[Array, "b d"]
) -> Float[Array, " b"]:
    """Return -log p(x | out) of each row in nats, averaged over its columns; a one-hot block is one column.

    gaussian     ½ [(x - out)² / σ² + log σ²]
    bernoulli    log(1 + e^out) - x out
    categorical  -Σ x log softmax(out); a category that was never seen, whose x is all zeros, costs as much as the least
                 expected one, and has no gradient
    poisson      e^out - x out
    sequence     ½ (x - out)², the mean over the steps that are there, times the number of its values

    Constants that depend on x alone are left out.
    """
    total = jnp.zeros(x.shape[0])
    for kind, start, stop, channels in blocks:
        a, o = x[:, start:stop], out[:, start:stop]
        if kind == "gaussian":
            s = jnp.maximum(log_variance[start:stop], LEAST_LOG_VARIANCE)
            total += 0.5 * jnp.sum((a - o) ** 2 * jnp.exp(-s) + s, axis=-1)
        elif kind == "bernoulli":
            total += jnp.sum(optax.sigmoid_binary_cross_entropy(o, a), axis=-1)
        elif kind == "categorical":
            surprise = -jax.nn.log_softmax(o)
            total += jnp.where(a.any(axis=-1), jnp.sum(a * surprise, axis=-1),
                               lax.stop_gradient(surprise.max(axis=-1)))
        elif kind == "poisson":
            o = jnp.minimum(o, LARGEST_LOG_RATE)
            total += jnp.sum(jnp.exp(o) - a * o, axis=-1)
        else:
            weight = weights([(kind, 0, stop - start, channels)], a, 1.0)
            total += 0.5 * columns([(kind, start, stop, channels)]) * squared_error(a, o, weight)
    return total / columns(blocks)


def check_values(blocks: tuple[str, ...], x: Any) -> None:
    """Check that every value is in the support of the likelihood of its block.

    Args:
      blocks: as in the module.
      x: [n, d], an array or CSR.

    Raises:
      ValueError: otherwise, with the first such value, its row and column.
    """
    allowed = {
        "bernoulli": ("0 or 1, or between", lambda a: (a >= 0) & (a <= 1)),
        "categorical": ("one-hot: a 1 and zeros", lambda a: ((a == 0) | (a == 1)) & (a.sum(1, keepdims=True) <= 1)),
        "poisson": ("counts: 0 or more", lambda a: a >= 0),
    }
    parts = [(kind, start, stop) for kind, start, stop, _ in parse(blocks, x.shape[1]) if kind in allowed]
    for first, rows in row_blocks(x, np.float32) if parts else ():
        for kind, start, stop in parts:
            told, right = allowed[kind]
            if not (fine := right(rows[:, start:stop])).all():
                row, column = np.argwhere(~fine)[0]
                raise UserError(f"row {first + row}, column {start + column} is {rows[row, start + column]:g}, but "
                                f"block {kind}:{stop - start} must hold {told}; change network.blocks or the values")


def columns(blocks: list) -> int:
    """Return the columns of the blocks: a category has one, and the mask of a sequence none."""
    return sum(1 if kind == "categorical" else (stop - start) // (channels + 1) * channels if channels else stop - start
               for kind, start, stop, channels in blocks)


def mean(blocks: list, out: Float[Array, "b d"]) -> Float[Array, "b d"]:
    """Return the expected row: the decoder's output through each block's own link."""
    links = {"bernoulli": jax.nn.sigmoid, "categorical": jax.nn.softmax,
             "poisson": lambda o: jnp.exp(jnp.minimum(o, LARGEST_LOG_RATE))}
    return jnp.concatenate([links.get(kind, lambda o: o)(out[:, start:stop]) for kind, start, stop, _ in blocks],
                           axis=-1)


def encoder_input(blocks: list, x: Float[Array, "b d"]) -> Float[Array, "b d"]:
    """Return the input of the encoder: counts as log(1 + x), all else as it is."""
    for kind, start, stop, _ in blocks:
        if kind == "poisson":
            x = x.at[:, start:stop].set(jnp.log1p(x[:, start:stop]))
    return x
