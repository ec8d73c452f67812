"""Batches as a pure function of (key, step): no shuffled copy, no index array, no state to save."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Int, Key, UInt32

ROUNDS = 6


def permute(
    key: Key[Array, ""], index: Int[Array, " b"], n: int, salt: Int[Array, " b"] | None = None
) -> Int[Array, " b"]:
    """Return the images of `index` under a random permutation of 0..n-1, one for each value of `salt`.

    A Feistel network permutes the smallest 2^(2h) >= n numbers; whatever falls outside 0..n-1 is sent through again
    until it falls inside ("cycle walking", Black and Rogaway 2002), which keeps it a permutation.
    """
    half = max(1, ((n - 1).bit_length() + 1) // 2)
    mask = jnp.uint32((1 << half) - 1)
    round_keys = jax.random.bits(key, (ROUNDS,), jnp.uint32)
    if salt is not None:
        round_keys = _mix(round_keys[:, None] ^ salt.astype(jnp.uint32))

    def feistel(value: UInt32[Array, " b"]) -> UInt32[Array, " b"]:
        left, right = value >> half, value & mask
        for round_key in round_keys:
            left, right = right, left ^ (_mix(right ^ round_key) & mask)
        return (left << half) | right

    walked = lax.while_loop(
        lambda value: jnp.any(value >= n),
        lambda value: jnp.where(value >= n, feistel(value), value),
        feistel(index.astype(jnp.uint32)),
    )
    return walked.astype(jnp.int32)


def batch_rows(
    key: Key[Array, ""], step: Int[Array, ""], n: int, batch_size: int, window: int | None = None
) -> tuple[Int[Array, " b"], Bool[Array, " b"]]:
    """Return row numbers of batch `step`, and which of them count.

    Every epoch of ceil(n / batch_size) steps sees each row once, in an order of its own; the last batch is filled up
    with row 0, marked False.

    Rows that are read from a disk are read `window` consecutive ones at a time: the windows come in an order that all
    keys share, so that many seeds read the rows once, and each key has an order of its own inside each window. The
    last window may be smaller; it comes at any rank. None is one window of all rows.
    """
    steps_per_epoch = -(-n // batch_size)
    epoch = step // steps_per_epoch
    position = (step % steps_per_epoch) * batch_size + jnp.arange(batch_size)
    valid = position < n
    position, key = jnp.minimum(position, n - 1), jax.random.fold_in(key, epoch)
    if window is None or window >= n:
        rows = permute(key, position, n)
    else:
        order = _window_order(epoch, n, window)
        rank, inside = _locate(position, order, n, window)
        number, last, size = order[rank], len(order) - 1, _last_size(n, window)
        row = permute(key, inside, window, salt=number)
        if size < window:
            row = jnp.where(number == last, permute(key, jnp.minimum(inside, size - 1), size), row)
        rows = number * window + row
    return jnp.where(valid, rows, 0), valid


def next_window(step: Int[Array, ""], n: int, batch_size: int, window: int) -> Int[Array, ""]:
    """Return the number of the window after the one with the last row of batch `step`, to read it ahead."""
    steps_per_epoch = -(-n // batch_size)
    epoch = step // steps_per_epoch
    order = _window_order(epoch, n, window)
    end = jnp.minimum((step % steps_per_epoch + 1) * batch_size, n) - 1
    rank = _locate(end, order, n, window)[0] + 1
    return jnp.where(rank < len(order), order[jnp.minimum(rank, len(order) - 1)],
                     _window_order(epoch + 1, n, window)[0])


def _last_size(n: int, window: int) -> int:
    """Return rows in the last window."""
    return n - (n - 1) // window * window


def _window_order(epoch: Int[Array, ""], n: int, window: int) -> Int[Array, " w"]:
    """Return the windows in the order of an epoch; no seed's key takes part."""
    key = jax.random.fold_in(jax.random.key(0, impl="threefry2x32"), epoch)
    windows = -(-n // window)
    return permute(key, jnp.arange(windows), windows)


def _locate(
    position: Int[Array, "..."], order: Int[Array, " w"], n: int, window: int
) -> tuple[Int[Array, "..."], Int[Array, "..."]]:
    """Return the rank in `order` of the window that holds a position of an epoch, and the position inside it."""
    size = _last_size(n, window)
    end = jnp.argmax(order) * window + size  # of the smaller window
    position = jnp.where(position < end, position, position + window - size)
    return position // window, position % window


def _mix(h: UInt32[Array, " b"]) -> UInt32[Array, " b"]:
    """Return a 32-bit integer hash in which every input bit moves every output bit (the finalizer of MurmurHash3)."""
    h = (h ^ (h >> 16)) * jnp.uint32(0x85EBCA6B)
    h = (h ^ (h >> 13)) * jnp.uint32(0xC2B2AE35)
    return h ^ (h >> 16)
