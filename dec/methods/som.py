"""The self-organising map (Kohonen), its units grouped into clusters."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from dec.errors import UserError
from dec.methods.base import LOG_ZERO, Head, Method, UnitMap, check_at_least, labels_of
from dec.shallow.distances import squared_distances
from dec.shallow.kmeans import dot
from dec.shallow.som import fit_map, quality, ward

EMPTY = 0.01  # rows that a unit without any counts as, so that it joins the cluster it is nearest to


class Units(NamedTuple):
    """What is known of the units besides their prototypes, the head's params [u, d]."""

    rows: Float[Array, " u"]  # how many have it as their best-matching unit
    clusters: Int[Array, " k"]  # their names, 0 to k-1: into so many the units are grouped


def som(height: int = 8, width: int = 8, t_max: float = 10.0, t_min: float = 0.1, passes: int = 50) -> Method:
    """Self-organising map whose units are grouped into clusters.

    A row's cluster is that of its best-matching unit. Units are grouped by Ward's method, each with the weight of its
    rows: that draws nothing, so the clusters are a function of the map, and does not depend on a start as k-means does.

    Args:
      height: rows of units of the map.
      width: columns of units of the map.
      t_max: reach of the neighbourhood exp(-δ²/T²) in the first pass, in steps of the map.
      t_min: its reach in the last; from 0.5 up the map is smoother and fits less closely.
      passes: over all rows, while T falls exponentially.

    References:
      Kohonen 1982, 1990; the groups: Vesanto and Alhoniemi 2000.
    """
    check_at_least(1, height=height, width=width, passes=passes)
    if not 0 < t_min <= t_max:
        raise UserError(f"t_min={t_min} must be above 0 and at most t_max={t_max}")

    def init(key, net, view, k):
        if k > height * width:
            raise UserError(f"n_clusters={k} is more than the {height * width} units; make height or width larger")
        prototypes, rows = fit_map(key, view.encode(net), view.weight, height, width, t_max, t_min, passes)
        return Head(prototypes, Units(rows, jnp.arange(k)))

    def assign(head, codes):
        unit = jnp.argmin(squared_distances(codes, head.params), axis=-1)
        return jnp.where(_groups(head)[unit] > 0, 0.0, LOG_ZERO)

    def centers(head):
        groups = _groups(head)
        return dot(groups.T, head.params) / groups.sum(axis=0)[:, None]

    def measures(head, codes):
        return quality(np.asarray(codes), np.asarray(head.params), height, width)

    def artifacts(head, codes):
        return [UnitMap(height, width, np.asarray(head.params), np.asarray(labels_of(assign(head, head.params))))]

    return Method(init, assign, centers=centers, quality=measures, artifacts=artifacts)


def _groups(head: Head) -> Float[Array, "u k"]:
    """Return the rows of each unit, in the column of its cluster."""
    rows, clusters = head.state
    rows = rows + EMPTY
    label = ward(head.params, rows, len(clusters))
    return jnp.where(label[:, None] == clusters, rows[:, None], 0)
