"""The contract of a method: a few pure functions in a tuple. The engine does everything else.

Shapes: n rows, b rows of a batch, k clusters, d code width. None of the functions sees the seeds axis, a device, an
optimizer or a label; the engine lifts them over seeds, differentiates `loss`, and calls `refresh` on a schedule.
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Literal, NamedTuple, Protocol

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

from dec.config import Optimizer
from dec.errors import UserError

LOG_ZERO = -1e30  # the log of an assignment that is not made


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


class Init(Protocol):
    """Hook that starts the clusters in the codes of the pretrained network."""

    def __call__(self, key: Key[Array, ""], net: PyTree, view: View, k: int) -> Head:
        """Return the initial head; `net` is None for a method on the input."""


class Assign(Protocol):
    """Hook that assigns rows to clusters."""

    def __call__(self, head: Head, codes: Float[Array, "n d"]) -> Float[Array, "n k"]:
        """Return log soft assignments; `LOG_ZERO` stands for a cluster that a row is not assigned to."""


class Loss(Protocol):
    """Hook with the loss of the refinement."""

    def __call__(self, net: PyTree, head: Head, batch: Batch, clock: Clock) -> dict[str, Float[Array, "..."]]:
        """Return named terms, each [b] or []; the engine averages them over rows and sums them."""


class Refresh(Protocol):
    """Hook that computes over all the data what `loss` needs, every `refresh_every` steps."""

    def __call__(
        self, head: Head, codes: Float[Array, "c d"], weight: Float[Array, " c"]
    ) -> tuple[PyTree, PyTree]:
        """Return (rows [c, ...], stats) of a chunk: rows are concatenated, stats added; both reach the batch."""


class Update(Protocol):
    """Hook that changes the head's state after each step, without gradients."""

    def __call__(self, head: Head, codes: Float[Array, "b d"], batch: Batch) -> PyTree:
        """Return the new state; the codes are those of the clean rows by the network after the step."""


class Between(Protocol):
    """Hook that changes network and head every `between_every` epochs, before a refresh.

    The head's moments in the optimizer then start anew. Such a method runs to its last step.
    """

    def __call__(self, key: Key[Array, ""], net: PyTree, head: Head, view: View, clock: Clock) -> tuple[PyTree, Head]:
        """Return the new network and head."""


class Sample(Protocol):
    """Hook of a generative method that draws codes of a cluster."""

    def __call__(self, key: Key[Array, ""], head: Head, n: int, cluster: int) -> Float[Array, "n d"]:
        """Return n codes."""


class Quality(Protocol):
    """Hook with measures of the method's own, for people to look at."""

    def __call__(self, head: Head, codes: Float[np.ndarray, "n d"]) -> dict[str, float]:
        """Return named measures of the clusters on codes."""


class UnitMap(NamedTuple):
    """An artifact: units on a grid, numbered row by row."""

    height: int
    width: int
    prototypes: Float[np.ndarray, "u d"]
    clusters: Int[np.ndarray, " u"]


class Tree(NamedTuple):
    """An artifact: a tree of merges over some of the rows."""

    merges: Float[np.ndarray, "m-1 4"]  # as of `scipy.cluster.hierarchy.linkage`
    rows: Int[np.ndarray, " m"]  # the positions of its leaves among the codes
    about: str  # how the merges were found


class Artifacts(Protocol):
    """Hook with what a report shows of the method alone, drawn by its type."""

    def __call__(self, head: Head, codes: Float[np.ndarray, "n d"]) -> list[UnitMap | Tree]:
        """Return the artifacts of a fitted head and the codes of some rows."""


class Method(NamedTuple):
    """A deep clustering method: a tuple of hooks; see `dec/methods/idec.py` for a whole one.

    Attributes:
      init, assign: every method has them.
      loss: None for a method that ends with `init`.
      refresh, update, between, sample, quality, artifacts: see their protocols.
      between_every: epochs from one `between` to the next.
      centers: (head) -> [k, d], for people to look at, where the head's params are not just these.
      optimizer: of the refinement, where no other is asked for: the choice of the method's authors.
      anneals: whether the loss follows the clock to the end; the method then runs to its last step, however few labels
        change.
      posterior: whether it asks for net.posterior, the mean and the log variance of a code.
      space: what is clustered: the codes of a pretrained network, or the scaled input itself (no network is trained).
      noise: whether a row may belong to no cluster; all its log_q are then `LOG_ZERO`, and its label is -1.
      max_start_rows: rows of the view that `init` looks at, a uniform sample of more; 0 for all of them.
    """

    init: Init
    assign: Assign
    loss: Loss | None = None
    refresh: Refresh | None = None
    update: Update | None = None
    between: Between | None = None
    between_every: int = 0
    centers: Callable[[Head], Float[Array, "k d"]] | None = None
    sample: Sample | None = None
    quality: Quality | None = None
    optimizer: Optimizer = Optimizer("sgd", 0.01, 0.9)
    anneals: bool = False
    posterior: bool = False
    space: Literal["codes", "input"] = "codes"
    noise: bool = False
    max_start_rows: int = 0
    artifacts: Artifacts | None = None


def check_at_least(least: float, **options: float) -> None:
    """Check that options are numbers of at least `least`."""
    for name, value in options.items():
        if not isinstance(value, Real):
            raise UserError(f"{name}={value!r} must be a number")
        if not value >= least:
            raise UserError(f"{name}={value} must be at least {least}")


def labels_of(log_q: Float[Array, "n k"]) -> Int[Array, " n"]:
    """Return the most probable cluster of each row, int32; -1 where every cluster is out."""
    label = jnp.argmax(log_q, axis=-1).astype(jnp.int32)
    return jnp.where(log_q.max(axis=-1) <= LOG_ZERO / 2, -1, label)  # a diverged row, NaN, is not noise
