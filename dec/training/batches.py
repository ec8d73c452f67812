"""Batches as a pure function of (key, step): no shuffled copy, no index array, no state to save."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Int, Key, UInt32

ROUNDS = 6


def permute(key: Key[Array, ""], index: Int[Array, " b"], n: int) -> Int[Array, " b"]:
    """The images of `index` under a random permutation of 0..n-1.

    A Feistel network permutes the smallest 2^(2h) >= n numbers; whatever falls outside 0..n-1 is sent through again
    until it falls inside ("cycle walking", Black and Rogaway 2002), which keeps it a permutation.
    """
    half = max(1, ((n - 1).bit_length() + 1) // 2)
    mask = jnp.uint32((1 << half) - 1)
    round_keys = jax.random.bits(key, (ROUNDS,), jnp.uint32)

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
    key: Key[Array, ""], step: Int[Array, ""], n: int, batch_size: int
) -> tuple[Int[Array, " b"], Bool[Array, " b"]]:
    """Row numbers of batch `step`, and which of them count.

    Every epoch of ceil(n / batch_size) steps sees each row once, in an order of its own; the last batch is filled up
    with row 0, marked False.
    """
    steps_per_epoch = -(-n // batch_size)
    position = (step % steps_per_epoch) * batch_size + jnp.arange(batch_size)
    valid = position < n
    rows = permute(jax.random.fold_in(key, step // steps_per_epoch), jnp.minimum(position, n - 1), n)
    return jnp.where(valid, rows, 0), valid


def _mix(h: UInt32[Array, " b"]) -> UInt32[Array, " b"]:
    """A 32-bit integer hash in which every input bit moves every output bit (the finalizer of MurmurHash3)."""
    h = (h ^ (h >> 16)) * jnp.uint32(0x85EBCA6B)
    h = (h ^ (h >> 13)) * jnp.uint32(0xC2B2AE35)
    return h ^ (h >> 16)
