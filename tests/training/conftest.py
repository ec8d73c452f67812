"""One small model, trained once for all tests of the training engine; and helpers to train it otherwise."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dec import config
from dec.methods import make
from dec.networks.autoencoder import Net, build
from dec.training import engine
from dec.training.fit import fit
from dec.training.fitted_state import FittedState
from dec.training.session import Session

# A refresh before every step, so that the history has the loss of each; 300 rows fill 4 batches of 64 and a part.
MODEL = config.Model(
    batch_size=64,
    network=config.Network(hidden=(16,), code_size=3),
    pretraining=config.Pretraining(epochs=6, optimizer=config.Optimizer(learning_rate=0.02)),
    refinement=config.Refinement(steps=24, refresh_every=1, tolerance=0.0),
)
SEEDS = [0, 1, 2]


class Trained(NamedTuple):
    fit: FittedState
    session: Session


@pytest.fixture(scope="session")
def x(blobs) -> np.ndarray:
    return blobs[0]


@pytest.fixture(scope="session")
def model() -> config.Model:
    return MODEL


@pytest.fixture(scope="session")
def train(x):
    """train(seeds, method, model, checkpoints, callback, resume) on the blobs, or on other `rows`."""
    def train(seeds=SEEDS, method=None, model=MODEL, resume=None, cache=None, rows=x, **session) -> Trained:
        session = Session(list(seeds), **session)
        return Trained(fit(rows, 4, method or make("dec"), model, session, resume=resume, cache=cache), session)

    return train


@pytest.fixture(scope="session")
def trained(train) -> Trained:
    """DEC with three seeds."""
    return train()


@pytest.fixture(scope="session")
def module():
    return build(MODEL.network, 8)


@pytest.fixture(scope="session")
def net(module) -> Net:
    """One network; drawn with NumPy, since initialising with flax takes a second."""
    shapes, rng = jax.eval_shape(lambda key: Net.fresh(key, module), jax.random.key(0)), np.random.default_rng(0)
    return jax.tree.map(lambda a: jnp.asarray(rng.normal(scale=0.3, size=a.shape), a.dtype), shapes)


@pytest.fixture(scope="session")
def run_phase():
    """run_phase(phase, data, states, keys, extra, start) -> final states and the records [s, periods run]."""
    def run_phase(phase, data, states, keys, extra=None, start=0):
        visits = []
        states = engine.run(phase, data, extra, keys, states, lambda visit: visits.append(visit), start)
        names = visits[0].records
        return states, {name: np.concatenate([v.records[name] for v in visits], axis=1) for name in names}

    return run_phase


def _leaves(tree) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


@pytest.fixture(scope="session")
def identical():
    """identical(a, b, at=(i, j)): whether trees agree in every bit (those of seeds i and j)."""
    def identical(a, b, at=None) -> bool:
        a, b = _leaves(a), _leaves(b)
        if at is not None:
            a, b = [leaf[at[0]] for leaf in a], [leaf[at[1]] for leaf in b]
        return len(a) == len(b) and all(p.tobytes() == q.tobytes() for p, q in zip(a, b))

    return identical
