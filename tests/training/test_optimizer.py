import dataclasses

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dec.config import Optimizer, Refinement, Run
from dec.methods import make
from dec.runs.prepare import resolved
from dec.training.optimizer import schedule, transform


@pytest.mark.parametrize(("kind", "decay", "expected"), [  # 10 steps an epoch, a factor every 2 epochs, 100 steps
    ("constant", 0.1, {0: 0.5, 99: 0.5}),
    ("step", 0.1, {0: 0.5, 19: 0.5, 20: 0.05, 39: 0.05, 40: 0.005}),
    ("exponential", 0.25, {0: 0.5, 10: 0.25, 20: 0.125, 30: 0.0625}),
    ("cosine", 0.0, {0: 0.5, 50: 0.25, 100: 0.0}),
    ("cosine", 0.2, {0: 0.5, 50: 0.3, 100: 0.1}),
])
def test_schedules_by_hand(kind, decay, expected):
    rate = schedule(Optimizer(learning_rate=0.5, schedule=kind, decay=decay, decay_every=2), 10, 100)
    for step, value in expected.items():
        np.testing.assert_allclose(rate(jnp.int32(step)), value, rtol=1e-6, atol=1e-9)


def test_momentum_and_schedule_by_hand():
    """v = 0.9 v + g, w -= lr v, with the learning rate halved at step 1 (v: 2, 3.8)."""
    tx, _ = transform(Optimizer("sgd", 0.1, momentum=0.9, schedule="step", decay=0.5, decay_every=1), 1, 10)
    w, state = jnp.float32(1), tx.init(jnp.float32(1))
    for expected in (1 - 0.1 * 2, 1 - 0.1 * 2 - 0.05 * 3.8):
        update, state = tx.update(jnp.float32(2), state, w)
        w = optax.apply_updates(w, update)
        np.testing.assert_allclose(w, expected, rtol=1e-6)


def test_the_optimizer_of_the_method_unless_another_is_named():
    own, unsaid = Optimizer("sgd", 0.01, 0.9), Refinement().optimizer
    assert unsaid.over(own) == own
    assert dataclasses.replace(unsaid, learning_rate=0.5).over(own) == Optimizer("sgd", 0.5, 0.9)
    assert dataclasses.replace(unsaid, schedule="cosine").over(own) == Optimizer("sgd", 0.01, 0.9, "cosine")
    named = dataclasses.replace(unsaid, name="adam")
    assert named.over(own) == named and float(schedule(named, 1, 1)(0)) == pytest.approx(1e-3)
    assert make("dec").optimizer == own and make("vade").optimizer.name == "adam"
    assert resolved(Run(method="dec")).model.refinement.optimizer == own  # what config.json will say


@pytest.mark.parametrize("name", ["adamm", "apply_updates", "exponential_decay", "__name__"])
def test_what_is_no_optimizer_is_refused(name):
    with pytest.raises(ValueError, match=f"Unknown optimizer '{name}'"):
        transform(Optimizer(name), 1, 1)


def test_the_nearest_name_is_given():
    with pytest.raises(ValueError, match="Did you mean 'rmsprop'"):
        transform(Optimizer("rmspropp"), 1, 1)


def test_momentum_is_refused_where_there_is_none():
    with pytest.raises(ValueError, match=r"'adam' takes no momentum; leave momentum=0\.9 out"):
        transform(Optimizer("adam", momentum=0.9), 1, 1)
