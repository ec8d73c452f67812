"""Pretraining: the autoencoder learns to reconstruct, in one or several stages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key, PyTree

from dec import config
from dec.networks.autoencoder import Net
from dec.networks.registry import hidden_widths
from dec.training.augment import Augment
from dec.training.engine import NO_PROGRESS, NOT_FINITE, RUNNING, Data, State, steps, sweep, weighted_mean
from dec.training.optimizer import transform


class Best(NamedTuple):
    """The best weights so far, where they are asked for."""

    loss: Float[Array, ""]
    epoch: Int[Array, ""]
    net: PyTree  # () where only the epoch matters


@dataclass(frozen=True)
class Pretrain:
    """One stage of pretraining as a phase of the engine; a period is an epoch.

    Attributes:
      name: of the stage, for the history.
      periods: epochs, passes over the rows.
      batch_size: rows a step.
      rows: n, the training rows.
      rate: part of the layers' inputs dropped.
      layer: the layer pair trained alone, or None for all end to end.
      config: optimizer, keep_best and patience.
      augment: what makes other views of the rows to reconstruct; None: they are taken as they are.
    """

    name: str
    periods: int
    batch_size: int
    rows: int
    rate: float
    layer: int | None
    config: config.Pretraining
    augment: Augment | None = None

    @property
    def steps_per_epoch(self) -> int:
        """The number of steps in an epoch."""
        return -(-self.rows // self.batch_size)

    def _optimizer(self) -> tuple[optax.GradientTransformation, optax.Schedule]:
        return transform(self.config.optimizer, self.steps_per_epoch, self.periods * self.steps_per_epoch)

    def start(self, net: Net) -> State:
        """Return the state before the first epoch, for one seed."""
        best = Best(jnp.float32(jnp.inf), jnp.int32(0), net if self.config.keep_best else ())
        return State(net, (), self._optimizer()[0].init(net), best, jnp.int32(RUNNING), jnp.int32(0))

    def period(
        self, data: Data, validation: Data | None, key: Key[Array, ""], state: State, epoch: Int[Array, ""]
    ) -> tuple[State, dict[str, Array]]:
        """Train one epoch; then measure the validation loss, keep the best weights and look for reasons to stop."""
        tx, rate = self._optimizer()

        def objective(net: Net, x, weight, step_key):
            return weighted_mean(self._loss(net, x, step_key, weight, self.rate), weight)

        def step(index, carry):
            net, optimizer = carry
            x, _, valid = batch(index)
            step_key = jax.random.fold_in(key, ~index.astype(jnp.uint32))  # apart from the epochs' keys
            x = self.augment(x, jax.random.fold_in(step_key, 1)) if self.augment else x
            loss, gradient = jax.value_and_grad(objective)(net, x, valid.astype(jnp.float32), step_key)
            updates, optimizer = tx.update(gradient, optimizer, net)
            terms = {"loss": loss}
            if self.config.accuracy:
                terms["accuracy"] = weighted_mean(_matches(net, x), valid)
            return (optax.apply_updates(net, updates), optimizer), terms

        first = epoch * self.steps_per_epoch
        batch = data.batches(key, first, self.steps_per_epoch, self.batch_size)
        carry, record = steps(step, (state.net, state.optimizer), first, self.steps_per_epoch)
        net, optimizer = carry
        if validation is not None:
            record["validation_loss"] = self._mean(lambda x, weight: self._loss(net, x, key, weight), validation)
            if self.config.accuracy:
                record["validation_accuracy"] = self._mean(lambda x, weight: _matches(net, x), validation)
        judged = record.get("validation_loss", record["loss"])
        best = self._best(state.memory, judged, epoch, net)
        status = jnp.where(jnp.isfinite(record["loss"]), state.status, NOT_FINITE)
        if self.config.patience is not None:
            stale = epoch - best.epoch >= self.config.patience
            status = jnp.where((status == RUNNING) & stale, NO_PROGRESS, status)
        record["learning_rate"] = rate(first)
        return State(net, (), optimizer, best, status, first + self.steps_per_epoch), record

    def _loss(
        self, net: Net, x: Float[Array, "b d"], key: Key[Array, ""], weight: Float[Array, " b"], rate: float = 0.0
    ) -> Float[Array, " b"]:
        """Return each row's loss in this stage."""
        if net.module.config.variational and self.layer is None:
            return net.negative_elbo(x, key, weight, rate)
        return net.denoising(x, key, rate, self.layer)

    def _mean(
        self, f: Callable[[Float[Array, "c d"], Float[Array, " c"]], Float[Array, " c"]], data: Data
    ) -> Float[Array, ""]:
        """Return the mean of a function of rows and their weights over all rows."""
        return sweep(lambda x, weight: ((), jnp.sum(f(x, weight) * weight)), data)[1] / data.n

    def _best(self, best: Best, loss: Float[Array, ""], epoch: Int[Array, ""], net: Net) -> Best:
        better = loss < best.loss
        new = Best(loss, epoch, net if self.config.keep_best else ())
        return jax.tree.map(lambda new, old: jnp.where(better, new, old), new, best)

    def result(self, states: State) -> Net:
        """Return the stacked networks at the end of this stage, NaN where it diverged."""
        nets = states.memory.net if self.config.keep_best else states.net
        diverged = states.status == NOT_FINITE
        return jax.tree.map(lambda a: jnp.where(diverged.reshape(-1, *[1] * (a.ndim - 1)), jnp.nan, a), nets)


def _matches(net: Net, x: Float[Array, "b d"]) -> Float[Array, " b"]:
    """Return 1 where a row's largest input and reconstruction are in the same column: Keras's categorical accuracy."""
    return (jnp.argmax(x, axis=-1) == jnp.argmax(net.decode(net.encode(x)), axis=-1)).astype(jnp.float32)


def stages(model: config.Model, rows: int) -> list[Pretrain]:
    """Return the stages in order: layer by layer, end to end (with dropout where asked), fine-tuned without dropout."""
    pretraining = model.pretraining

    def stage(name: str, epochs: int, rate: float, layer: int | None = None) -> Pretrain:
        augment = Augment.of(model) if layer is None else None
        return Pretrain(name, epochs, model.batch_size, rows, rate, layer, pretraining, augment)

    layerwise = [stage(f"layer {i + 1}", pretraining.layerwise_epochs, pretraining.dropout, i)
                 for i in range(len(hidden_widths(model.network)) + 1)]
    # Xie et al. 2016, section 3.2: after the denoising layers, the whole is fine-tuned without dropout.
    end_to_end = stage("pretrain", pretraining.epochs, 0.0 if pretraining.layerwise_epochs else pretraining.dropout)
    finetune = stage("finetune", pretraining.finetune_epochs, 0.0)
    return [s for s in (*layerwise, end_to_end, finetune) if s.periods]
