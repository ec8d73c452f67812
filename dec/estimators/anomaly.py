"""How odd a row is to a fitted model: far from every cluster, or badly reconstructed."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dec.data.dataset import sample_rows
from dec.methods.base import Method
from dec.shallow.distances import squared_distances
from dec.training.engine import sweep

SAMPLE = 10_000  # rows that say what is usual


class Usual(NamedTuple):
    """What is usual among the rows a model was fitted on."""

    centers: np.ndarray  # float32 [k, c], the mean codes of the clusters that have rows
    distance: float  # median distance of a code to the nearest of them
    error: float  # median reconstruction loss
    least: float  # and the least; a likelihood's loss may be negative


def fit_usual(fit: Any, x: Any, labels: np.ndarray) -> Usual:
    """What is usual among the training rows; above `SAMPLE` rows, among a fixed uniform sample of them.

    Args:
      fit: a `dec.training.fit.Fit`.
      x: [n, d] the raw rows.
      labels: [n] theirs; -1 (noise) is left out.
    """
    if len(labels) > SAMPLE:
        rows = sample_rows(len(labels), SAMPLE)
        x, labels = x[rows], labels[rows]
    codes = fit.encode(x)
    clusters = np.unique(labels[labels >= 0])
    centers = np.stack([codes[labels == j].mean(axis=0) for j in clusters] if len(clusters) else [codes.mean(axis=0)])
    _, distance, error = _measured(fit, x, centers)
    return Usual(centers, float(np.median(distance)), float(np.median(error)), float(error.min()))


def judge(fit: Any, usual: Usual, x: Any) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, " n"]]:
    """The log soft assignments of rows, and how odd each is: the mean of two parts, 1 for a usual row and more else,

        distance to the nearest center / its median,    (loss - least loss) / (median loss - least loss)

    A part whose median is the least there is (no network, or rows equal to their centers) is left out.
    """
    log_q, distance, error = _measured(fit, x, usual.centers)
    scales = ((distance, usual.distance), (error - usual.least, usual.error - usual.least))
    parts = [part / scale for part, scale in scales if scale > 0]
    return log_q, np.mean(parts, axis=0) if parts else np.zeros(x.shape[0], np.float32)


def _measured(fit: Any, x: Any, centers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each row: log soft assignments, distance of its code to the nearest center, reconstruction loss."""
    head = jax.tree.map(lambda stacked: stacked[fit.chosen], fit.heads)
    return fit.over_rows(x, partial(_measure, fit.method), head, centers)


@partial(jax.jit, static_argnames="method")
def _measure(method: Method, data, net, head, centers):
    def chunk(x, weight):
        codes = x if net is None else net.encode(x)
        error = jnp.zeros(len(x)) if net is None else net.reconstruction(x, codes)
        return (method.assign(head, codes), jnp.sqrt(squared_distances(codes, centers).min(axis=1)), error), ()

    return sweep(chunk, data)[0]
