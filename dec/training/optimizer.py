"""From the `Optimizer` config to an optax transformation and its learning-rate schedule."""

from __future__ import annotations

import inspect

import optax

from dec import config
from dec.errors import UserError


def schedule(optimizer: config.Optimizer, steps_per_epoch: int, steps: int) -> optax.Schedule:
    """Return the learning rate at each step of a phase of `steps` steps."""
    rate = 1e-3 if optimizer.learning_rate is None else optimizer.learning_rate
    every = optimizer.decay_every * steps_per_epoch
    match optimizer.schedule:
        case "constant":
            return optax.constant_schedule(rate)
        case "cosine":
            return optax.cosine_decay_schedule(rate, max(steps, 1), alpha=optimizer.decay)
        case kind:
            return optax.exponential_decay(rate, every, optimizer.decay, staircase=kind == "step")


def transform(
    optimizer: config.Optimizer, steps_per_epoch: int, steps: int
) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """Return the optax transformation of a phase, and its learning rate at each step.

    Raises:
      ValueError: for a name optax does not have, or a momentum for an optimizer without one.
    """
    make = getattr(optax, optimizer.name, None)
    parameters = inspect.signature(make).parameters if callable(make) else {}
    if "learning_rate" not in parameters:
        known = [n for n in dir(optax) if n.islower() and "learning_rate" in _parameters(getattr(optax, n))]
        raise UserError(config.unknown("optimizer", optimizer.name, known))
    options = {}
    if optimizer.momentum is not None:
        if "momentum" not in parameters:
            raise UserError(f"optimizer {optimizer.name!r} takes no momentum; leave momentum={optimizer.momentum} out")
        options["momentum"] = optimizer.momentum
    rate = schedule(optimizer, steps_per_epoch, steps)
    return make(rate, **options), rate  # type: ignore[misc]  # checked above


def _parameters(candidate: object) -> dict:
    return dict(inspect.signature(candidate).parameters) if inspect.isfunction(candidate) else {}
