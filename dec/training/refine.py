"""Refinement: network and clusters are trained together by a method's loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key, PyTree

from dec import config
from dec.methods.base import Batch, Clock, Head, Method, View
from dec.training.batches import batch_rows
from dec.training.engine import CONVERGED, NOT_FINITE, RUNNING, Data, State, steps, sweep, weighted_mean
from dec.training.optimizer import transform


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
    """

    method: Method
    k: int
    rows: int
    batch_size: int
    config: config.Refinement
    name: str = "cluster"

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.rows // self.batch_size)

    @property
    def refresh_every(self) -> int:
        return self.config.refresh_every or max(140, self.steps_per_epoch)

    @property
    def periods(self) -> int:
        return -(-self.config.steps // self.refresh_every) if self.method.loss else 0

    def _optimizer(self) -> tuple[optax.GradientTransformation, optax.Schedule]:
        return transform(self.config.optimizer, self.steps_per_epoch, self.config.steps)

    def start(self, data: Data, key: Key[Array, ""], net: PyTree) -> State:
        """The initial clusters in the pretrained codes, for one seed."""
        codes, _ = sweep(lambda x, weight: (self._codes(net, x), ()), data)
        head = self.method.init(key, View(codes, jnp.ones(self.rows)), self.k)
        labels = jnp.argmax(self.method.assign(head, codes), axis=-1).astype(jnp.int32)
        optimizer = self._optimizer()[0].init(Trained(net, head.params))
        return State(net, head, optimizer, labels, jnp.int32(RUNNING), jnp.int32(0))

    def period(
        self, data: Data, extra: None, key: Key[Array, ""], state: State, index: Int[Array, ""]
    ) -> tuple[State, dict[str, Array]]:
        """Refresh; stop if hardly a row changed its cluster; else train up to the next refresh."""
        (tx, rate), every = self._optimizer(), self.refresh_every
        labels, rows, stats = self._refresh(data, state)
        change = jnp.mean(labels != state.memory)
        converged = (index > 0) & (change < self.config.tolerance)

        def objective(trained: Trained, batch: Batch, clock: Clock):
            head = Head(trained.params, state.head.state)
            terms = self.method.loss(trained.net, head, batch, clock)
            terms = {name: weighted_mean(term, batch.weight) for name, term in terms.items()}
            return sum(terms.values()), terms

        def step(i, carry):
            trained, optimizer = carry
            at, valid = batch_rows(key, i, self.rows, self.batch_size)
            batch = Batch(
                x=data[at],
                rows=jax.tree.map(lambda a: a[at], rows),
                stats=stats,
                weight=valid.astype(jnp.float32),
                key=jax.random.fold_in(key, ~i.astype(jnp.uint32)),  # apart from the epochs' keys
            )
            clock = Clock(i, i / self.steps_per_epoch, i / self.config.steps)
            (loss, terms), gradient = jax.value_and_grad(objective, has_aux=True)(trained, batch, clock)
            updates, optimizer = tx.update(gradient, optimizer, trained)
            return (optax.apply_updates(trained, self._frozen(updates)), optimizer), {"loss": loss, **terms}

        first = index * every
        last = jnp.minimum(first + every, self.config.steps)
        carry, record = steps(step, (Trained(state.net, state.head.params), state.optimizer), first, last, converged)
        trained, optimizer = carry
        status = jnp.where(converged, CONVERGED, jnp.where(jnp.isfinite(record["loss"]), RUNNING, NOT_FINITE))
        sizes = jnp.bincount(labels, length=self.k)
        record |= {
            "change": change,
            "occupied": jnp.sum(sizes > 0),
            "learning_rate": rate(first),
        }
        head = Head(trained.params, state.head.state)
        taken = jnp.where(converged, first, last)
        return State(trained.net, head, optimizer, labels, status.astype(jnp.int32), taken), record

    def _codes(self, net: PyTree, x: Float[Array, "c d"]) -> Float[Array, "c e"]:
        return x if self.method.on == "input" else net.encode(x)

    def _refresh(self, data: Data, state: State) -> tuple[Int[Array, " n"], PyTree, PyTree]:
        """Labels, and what the method keeps of all rows and sums over them."""
        def chunk(x, weight):
            codes = self._codes(state.net, x)
            labels = jnp.argmax(self.method.assign(state.head, codes), axis=-1).astype(jnp.int32)
            rows, stats = self.method.refresh(state.head, codes, weight) if self.method.refresh else ((), ())
            return (labels, rows), stats

        (labels, rows), stats = sweep(chunk, data)
        return labels, rows, stats

    def _frozen(self, updates: Trained) -> Trained:
        """The updates without those of the part of the network that is frozen."""
        def part(path, update):
            frozen = self.config.freeze != "none" and self.config.freeze in jax.tree_util.keystr(path)
            return jnp.zeros_like(update) if frozen else update

        return updates._replace(net=jax.tree_util.tree_map_with_path(part, updates.net))

    def labels(self, data: Data, state: State) -> Int[Array, " n"]:
        """The cluster of every row at the end, for one seed."""
        return self._refresh(data, state)[0]
