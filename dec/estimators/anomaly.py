"""Anomaly scores of rows: how far they are from every cluster, and how badly they are reconstructed."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dec.data.dataset import sample_rows
from dec.methods.base import Method
from dec.shallow.distances import squared_distances
from dec.training.engine import sweep
from dec.training.fitted_state import AnomalyReference, FittedState

SAMPLE = 10_000  # rows that the reference is taken from


def fit_reference(state: FittedState, x: Any, labels: np.ndarray) -> AnomalyReference:
    """Return the usual distance and loss of the training rows; above `SAMPLE` rows, of a fixed uniform sample.

    Args:
      state: the fitted state of one seed.
      x: [n, d] the raw training rows.
      labels: [n] their clusters; noise (-1) is left out.
    """
    if len(labels) > SAMPLE:
        rows = sample_rows(len(labels), SAMPLE)
        x, labels = x[rows], labels[rows]
    codes = state.encode(x)
    clusters = np.unique(labels[labels >= 0])
    centers = np.stack([codes[labels == j].mean(axis=0) for j in clusters] if len(clusters) else [codes.mean(axis=0)])
    _, distance, error = _measured(state, x, centers)
    return AnomalyReference(centers, float(np.median(distance)), float(np.median(error)), float(error.min()))


def assign_and_score(state: FittedState, x: Any) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, " n"]]:
    """Return the log soft assignments of rows and their anomaly scores.

    A score is the mean of two terms, each 1 for a usual training row and larger for an unusual row:

        distance to the nearest center / its median,    (loss - least loss) / (median loss - least loss)

    A term whose median is the least value there is (no network, or rows equal to their centers) is left out.
    """
    reference = state.reference
    assert reference is not None  # of a fitted estimator
    log_q, distance, error = _measured(state, x, reference.centers)
    scales = (distance, reference.distance), (error - reference.least, reference.error - reference.least)
    terms = [value / scale for value, scale in scales if scale > 0]
    return log_q, np.mean(terms, axis=0) if terms else np.zeros(x.shape[0], np.float32)


def _measured(state: FittedState, x: Any, centers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each row's log soft assignments, distance of its code to the nearest center, and reconstruction loss."""
    return state.over_rows(x, partial(_measure, state.method), state.head, centers)


@partial(jax.jit, static_argnames="method")
def _measure(method: Method, data, net, head, centers):
    def chunk(x, weight):
        codes = x if net is None else net.encode(x)
        error = jnp.zeros(len(x)) if net is None else net.reconstruction(x, codes)
        return (method.assign(head, codes), jnp.sqrt(squared_distances(codes, centers).min(axis=1)), error), ()

    return sweep(chunk, data)[0]
