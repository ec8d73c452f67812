"""Refinement: network and clusters are trained together by a method's loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Float, Int, Key, PyTree

from dec import config
from dec.errors import UserError
from dec.methods.base import Batch, Clock, Head, Method, View, labels_of
from dec.training.augment import Augment
from dec.training.batches import permute
from dec.training.engine import CONVERGED, NOT_FINITE, RUNNING, Data, State, steps, sweep, weighted_mean
from dec.training.optimizer import transform
from dec.training.optimizer_step import leaves_read, update_leaves

START_ROWS = 2**18  # at most so many rows, and so many of their values, are looked at to start the clusters
START_VALUES = 2**28
KEPT_ROWS = 2**20  # of more rows, what a refresh says of each is not kept but computed again for each batch

FROZEN = {"none": (), "encoder": ("encoder", "embedding", "posterior"), "decoder": ("decoder",)}  # names of layers


class Trained(NamedTuple):
    """What the optimizer of this phase changes."""

    net: PyTree
    params: PyTree  # of the head


@dataclass(frozen=True)
class Refine:
    """The clustering phase of any method; a period is a refresh over all the data and the steps up to the next.

    Attributes:
      method: the functions of a method.
      k: number of clusters.
      rows: n.
      batch_size: rows a step.
      config: steps, refresh interval, tolerance, frozen part, optimizer.
      augment: what makes other views of the rows; None: they are trained on as they are.
    """

    method: Method
    k: int
    rows: int
    batch_size: int
    config: config.Refinement
    augment: Augment | None = None
    name: str = "cluster"

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches that cover all rows."""
        return -(-self.rows // self.batch_size)

    @property
    def refresh_every(self) -> int:
        """The number of steps between two refreshes."""
        return self.config.refresh_every or max(140, self.steps_per_epoch)

    @property
    def periods(self) -> int:
        """The number of refreshes, 0 for a method without a loss."""
        return -(-self.config.steps // self.refresh_every) if self.method.loss else 0

    def _optimizer(self) -> tuple[optax.GradientTransformation, optax.Schedule]:
        return transform(self.config.optimizer.over(self.method.optimizer), self.steps_per_epoch, self.config.steps)

    def start(self, data: Data, key: Key[Array, ""], net: PyTree) -> State:
        """Return the initial clusters in the pretrained codes; for one seed."""
        view = self._view(data, key)
        codes = view.encode(net)  # once: the first labels need them as well
        head = self.method.init(key, net, view._replace(encode=lambda _: codes), self.k)
        optimizer = self._optimizer()[0].init(Trained(net, head.params))
        state = State(net, head, optimizer, (), jnp.int32(RUNNING), jnp.int32(0))
        if self.method.loss is None:
            labels = jnp.zeros(self.rows, jnp.int32)  # there is no later change to compare them with
        elif len(codes) == self.rows:
            labels = labels_of(self.method.assign(head, codes))
        else:
            labels = self.labels(data, state)
        return state._replace(memory=labels)

    def view_rows(self, width: int) -> int:
        """Return the number of rows, of `width` values each, that the clusters are started from."""
        return min(self.rows, START_ROWS, START_VALUES // width if self.method.space == "input" else START_ROWS)

    def _view(self, data: Data, key: Key[Array, ""]) -> View:
        """Return all rows, or a uniform sample of many."""
        most, sample = self.view_rows(math.prod(data.x.shape[1:])), None
        if self.rows > most:
            sample = jnp.sort(permute(jax.random.fold_in(key, self.rows), jnp.arange(most), self.rows))
        return View(lambda net: sweep(lambda x, weight: (self._codes(net, x), ()), data, sample)[0],
                    jnp.ones(most))

    def period(
        self, data: Data, extra: None, key: Key[Array, ""], state: State, index: Int[Array, ""]
    ) -> tuple[State, dict[str, Array]]:
        """Refresh; stop if hardly a row changed its cluster; else train up to the next refresh."""
        if self.method.between:
            state = self._between(data, key, state, index)
        labels, rows, (stats, entropy) = self._refresh(data, state)
        change = jnp.mean(labels != state.memory)
        to_the_end = self.method.between is not None or self.method.anneals
        converged = (index > 0) & (change < self.config.tolerance) & (not to_the_end)

        every, first = self.refresh_every, index * self.refresh_every
        last_is_whole = self.config.steps % every == 0  # so that the count is known while tracing, see `steps`
        count = every if last_is_whole else jnp.minimum(every, self.config.steps - first)
        batches = self._batches(data, key, first, state, rows, stats)
        carry = Trained(state.net, state.head.params), state.head.state, state.optimizer
        step = self._step(batches, jax.eval_shape(batches, first), carry)
        (trained, of_head, optimizer), record = steps(step, carry, first, count, converged)

        status = jnp.where(converged, CONVERGED, jnp.where(jnp.isfinite(record["loss"]), RUNNING, NOT_FINITE))
        sizes = jnp.bincount(jnp.where(labels < 0, self.k, labels), length=self.k)  # noise is left out
        record |= {
            "change": change,
            "occupied": jnp.sum(sizes > 0),
            "smallest": sizes.min(),
            "largest": sizes.max(),
            "entropy": entropy / self.rows,
            "learning_rate": self._optimizer()[1](first),
        }
        head = Head(trained.params, of_head)
        taken = jnp.where(converged, first, first + count)
        return State(trained.net, head, optimizer, labels, status.astype(jnp.int32), taken), record

    def _batches(
        self, data: Data, key: Key[Array, ""], first: Int[Array, ""], state: State, rows: PyTree, stats: PyTree
    ) -> Callable[[Int[Array, ""]], tuple[Batch, Clock]]:
        """Return the function from a step of this period to its batch, with what the refresh computed."""
        rows_of = data.batches(key, first, min(self.refresh_every, self.config.steps), self.batch_size)

        def batch(i: Int[Array, ""]) -> tuple[Batch, Clock]:
            x, at, valid = rows_of(i)
            weight, own = valid.astype(jnp.float32), jax.random.fold_in(key, ~i.astype(jnp.uint32))  # no epoch's key
            return Batch(
                x=self.augment(x, jax.random.fold_in(own, 1)) if self.augment else x,
                clean=x,
                rows=jax.tree.map(lambda a: a[at], rows) if self._keeps else self._assigned(state, x, weight)[1],
                stats=stats,
                weight=weight,
                key=own,
            ), self._clock(i)

        return batch

    def _step(self, batches: Callable, shapes: tuple[Batch, Clock], carry: tuple) -> Callable:
        """Return the function that takes one step of the optimizer; `shapes` are those of a batch."""
        tx = self._optimizer()[0]
        moves = self._unfrozen(leaves_read(self._objective, *carry[:2], *shapes))

        def step(i: Int[Array, ""], carry: tuple[Trained, PyTree, PyTree]) -> tuple[tuple, dict[str, Array]]:
            trained, of_head, optimizer = carry
            batch, clock = batches(i)
            (loss, terms), gradient = jax.value_and_grad(self._objective, has_aux=True)(trained, of_head, batch, clock)
            trained, optimizer = update_leaves(tx, gradient, optimizer, trained, moves)
            if self.method.update:
                codes = self._codes(trained.net, batch.clean)
                of_head = self.method.update(Head(trained.params, of_head), codes, batch)
            return (trained, of_head, optimizer), {"loss": loss, **terms}

        return step

    def _objective(
        self, trained: Trained, of_head: PyTree, batch: Batch, clock: Clock
    ) -> tuple[Float[Array, ""], dict[str, Array]]:
        """Return the loss of a batch and its terms."""
        assert self.method.loss is not None  # else there are no periods
        terms = self.method.loss(trained.net, Head(trained.params, of_head), batch, clock)
        terms = {name: weighted_mean(term, batch.weight) for name, term in terms.items()}
        return sum(terms.values()), terms  # type: ignore[return-value]  # there is a term

    def _between(self, data: Data, key: Key[Array, ""], state: State, index: Int[Array, ""]) -> State:
        """Apply the method's change of network and head, in the periods that begin a new run of `every` epochs."""
        first, every = index * self.refresh_every, self.method.between_every * self.steps_per_epoch
        due = (index > 0) & (first // every > (first - self.refresh_every) // every)  # the same for all seeds
        tx = self._optimizer()[0]

        def change(state: State) -> State:
            own = jax.random.fold_in(key, ~first.astype(jnp.uint32))
            assert self.method.between is not None  # else this is not called
            net, head = self.method.between(own, state.net, state.head, self._view(data, key), self._clock(first))
            jax.tree_util.tree_map_with_path(self._check_frozen, state.net, net)
            trained = Trained(net, head.params)
            of_head = Trained(jax.tree.map(lambda _: False, net), jax.tree.map(lambda _: True, head.params))
            anew = optax.tree_utils.tree_map_params(
                tx, lambda _, anew: anew, state.optimizer, of_head, transform_non_params=lambda _: False)
            optimizer = jax.tree.map(lambda new, old, anew: new if anew else old, tx.init(trained), state.optimizer,
                                     anew)
            return state._replace(net=net, head=head, optimizer=optimizer)

        return lax.cond(due, change, lambda state: state, state)

    def _clock(self, step: Int[Array, ""]) -> Clock:
        return Clock(step, step / self.steps_per_epoch, step / self.config.steps)

    @property
    def _keeps(self) -> bool:
        """Whether what a refresh says of each row is kept."""
        return self.rows <= KEPT_ROWS

    def _codes(self, net: PyTree, x: Float[Array, "c d"]) -> Float[Array, "c e"]:
        return x if self.method.space == "input" else net.encode(x)

    def _assigned(
        self, state: State, x: Float[Array, "c d"], weight: Float[Array, " c"]
    ) -> tuple[Int[Array, " c"], PyTree, PyTree]:
        """Return labels of some rows and what a refresh says of each; its sums over them, and their entropy in nats."""
        codes = self._codes(state.net, x)
        log_q = self.method.assign(state.head, codes)
        rows, stats = self.method.refresh(state.head, codes, weight) if self.method.refresh else ((), ())
        return labels_of(log_q), rows, (stats, -weight @ jnp.sum(jnp.exp(log_q) * log_q, axis=1))

    def _refresh(self, data: Data, state: State) -> tuple[Int[Array, " n"], PyTree, PyTree]:
        """Return labels of all rows, what the refresh says of each where that is kept, and its sums over them."""
        def chunk(x, weight):
            labels, rows, stats = self._assigned(state, x, weight)
            return (labels, rows if self._keeps else ()), stats

        (labels, rows), stats = sweep(chunk, data)
        return labels, rows, stats

    def _unfrozen(self, moves: Trained) -> Trained:
        """Return the parts that move, without the part of the network that is frozen."""
        def part(path, move):
            return move and not self._frozen(path)

        return moves._replace(net=jax.tree_util.tree_map_with_path(part, moves.net))

    def _frozen(self, path: tuple) -> bool:
        return any(layers in jax.tree_util.keystr(path) for layers in FROZEN[self.config.freeze])

    def _check_frozen(self, path: tuple, old: Array, new: Array) -> None:
        if new is not old and self._frozen(path):
            raise UserError(f"refinement.freeze={self.config.freeze!r} must be 'none' for a method that changes the "
                            "network itself between epochs, as brb_every asks for")

    def labels(self, data: Data, state: State) -> Int[Array, " n"]:
        """Return the cluster of every row at the end, for one seed."""
        return self._refresh(data, state)[0]
