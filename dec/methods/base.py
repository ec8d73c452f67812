"""The contract of a method: a few pure functions in a tuple. The engine does everything else.

Shapes: n rows, b rows of a batch, k clusters, d code width. None of the functions sees the seeds axis, a device, an
optimizer or a label; the engine lifts them over seeds, differentiates `loss`, and calls `refresh` on a schedule.
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Literal, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree

from dec.config import Optimizer
from dec.errors import UserError

OUT = -1e30  # the log of an assignment that is not made


class Head(NamedTuple):
    """What a method learns besides the network."""

    params: PyTree  # the optimizer's
    state: PyTree = ()  # not the optimizer's


class Clock(NamedTuple):
    """Where training is, as traced scalars, for schedules inside a loss."""

    step: Int[Array, ""]
    epoch: Float[Array, ""]
    fraction: Float[Array, ""]  # of the longest possible run, 0 to 1


class View(NamedTuple):
    """The rows that clusters are started from: all of them, or a fixed uniform sample of many."""

    encode: Callable[[PyTree], Float[Array, "m d"]]  # net -> their codes; the scaled rows where net is None
    weight: Float[Array, " m"]  # 0 for padding


class Batch(NamedTuple):
    """One step's rows, scaled."""

    x: Float[Array, "b ..."]  # augmented where that is asked for
    clean: Float[Array, "b ..."]  # as they are
    rows: PyTree  # these rows of what the last refresh computed for all rows
    stats: PyTree  # what the last refresh summed over all rows
    weight: Float[Array, " b"]  # 0 for padding
    key: Key[Array, ""]


class Method(NamedTuple):
    """A deep clustering method; see `dec/methods/idec.py` for a whole one.

    init: (key, net, view, k) -> Head, the initial clusters in the codes of the pretrained net.
    assign: (head, codes [n, d]) -> log_q [n, k], log soft assignments; -1e30 stands for a cluster that is out.
    loss: (net, head, batch, clock) -> {term: [b] or []}; the engine averages over rows and sums the terms. None for a
      method that ends with `init`.
    refresh: (head, codes [c, d], weight [c]) -> (rows [c, ...], stats), every `refresh_every` steps over all the data:
      rows are concatenated over chunks, stats are added; both reach `loss` in its batch.
    update: (head, codes [b, d], batch) -> the head's new state, without gradients, after each step; the codes are those
      of the clean rows by the network after that step.
    between: (key, net, head, view, clock) -> (net, head), every `every` epochs, before a refresh; the head's moments in
      the optimizer then start anew. Such a method runs to its last step, however few labels change.
    centers: (head) -> [k, d], for people to look at, where the head's params are not just these.
    sample: (key, head, n, cluster) -> codes [n, d], of the methods that can make up rows of a cluster.
    quality: (head, codes [n, d]) -> {name: number}, measures of its own, for people to look at.
    optimizer: of the refinement, where no other is asked for: what its authors took.
    anneals: whether its loss follows the clock to the end; it then runs to its last step, however few labels change.
    posterior: whether it asks for net.posterior, the mean and the log variance of a code.
    on: what is clustered: the codes of a pretrained network, or the scaled input itself (no network is trained).
    noise: whether a row may belong to no cluster; all its log_q are then -1e30, and its label is -1.
    most: rows of the view that `init` looks at, a uniform sample of more; 0 for all of them.
    """

    init: Callable[..., Head]
    assign: Callable[..., Float[Array, "n k"]]
    loss: Callable[..., dict[str, Array]] | None = None
    refresh: Callable[..., tuple[PyTree, PyTree]] | None = None
    update: Callable[..., PyTree] | None = None
    between: Callable[..., tuple[PyTree, Head]] | None = None
    every: int = 0
    centers: Callable[[Head], Float[Array, "k d"]] | None = None
    sample: Callable[..., Float[Array, "n d"]] | None = None
    quality: Callable[..., dict[str, float]] | None = None
    optimizer: Optimizer = Optimizer("sgd", 0.01, 0.9)
    anneals: bool = False
    posterior: bool = False
    on: Literal["codes", "input"] = "codes"
    noise: bool = False
    most: int = 0


def at_least(least: float, **options: float) -> None:
    """Raise a ValueError for an option that is no number, or below `least`."""
    for name, value in options.items():
        if not isinstance(value, Real):
            raise UserError(f"{name}={value!r} must be a number")
        if not value >= least:
            raise UserError(f"{name}={value} must be at least {least}")


def labels_of(log_q: Float[Array, "n k"]) -> Int[Array, " n"]:
    """Return the most probable cluster of each row, int32; -1 where every cluster is out."""
    label = jnp.argmax(log_q, axis=-1).astype(jnp.int32)
    return jnp.where(log_q.max(axis=-1) <= OUT / 2, -1, label)  # a diverged row, NaN, is not noise
