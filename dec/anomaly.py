"""How odd a row is to a fitted model: far from every cluster, or badly reconstructed."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dec.data.base import sample_rows
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
    distance, error = fit.over_rows(x, _measure, centers)
    return Usual(centers, float(np.median(distance)), float(np.median(error)), float(error.min()))


def anomaly(fit: Any, usual: Usual, x: Any) -> Float[np.ndarray, " n"]:
    """The mean of two parts, each 1 for a usual row and more for an odd one:

        distance to the nearest center / its median,    (loss - least loss) / (median loss - least loss)

    A part whose median is the least there is (no network, or rows equal to their centers) is left out.
    """
    distance, error = fit.over_rows(x, _measure, usual.centers)
    scales = ((distance, usual.distance), (error - usual.least, usual.error - usual.least))
    parts = [part / scale for part, scale in scales if scale > 0]
    return np.mean(parts, axis=0) if parts else np.zeros(x.shape[0], np.float32)


@jax.jit
def _measure(data, net, centers):
    """Distance of each row's code to the nearest center, and its reconstruction loss (0 without a network)."""
    def chunk(x, weight):
        codes = x if net is None else net.encode(x)
        error = jnp.zeros(len(x)) if net is None else net.reconstruction(x, codes)
        return (jnp.sqrt(squared_distances(codes, centers).min(axis=1)), error), ()

    return sweep(chunk, data)[0]
