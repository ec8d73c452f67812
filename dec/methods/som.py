"""Self-organising maps (Kohonen) on the input, and on the codes of a pretrained autoencoder."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from dec.methods.base import OUT, Head, Method
from dec.shallow.distances import squared_distances
from dec.shallow.som import fit_map, ward

EMPTY = 0.01  # rows that a unit without any counts as, so that it joins the cluster it is nearest to


class Units(NamedTuple):
    """What is known of the units besides their prototypes, the head's params [u, d]."""

    rows: Float[Array, " u"]  # how many have it as their best-matching unit
    clusters: Int[Array, " k"]  # their names, 0 to k-1; the units are grouped into so many


def som(height: int = 8, width: int = 8, t_max: float = 10.0, t_min: float = 0.1, passes: int = 50) -> Method:
    """A self-organising map of the scaled input, its units grouped into clusters; no network.

    Args:
      height: rows of units of the map.
      width: columns of units of the map.
      t_max: width of the neighbourhood exp(-δ²/T²) at first, in steps of the map.
      t_min: its width at the end; from 0.5 up the map is smoother and fits less closely.
      passes: over the rows, while T falls from t_max to t_min exponentially.

    References:
      Kohonen 1982, 1990; the groups: Vesanto and Alhoniemi 2000.
    """
    return ae_som(height, width, t_max, t_min, passes)._replace(on="input")


def ae_som(height: int = 8, width: int = 8, t_max: float = 10.0, t_min: float = 0.1, passes: int = 50) -> Method:
    """A self-organising map of the codes of the pretrained autoencoder, its units grouped into clusters.

    A row's cluster is that of its best-matching unit. The units are grouped by Ward's method, each with the weight of
    its rows: a function of the map that draws nothing, and merges first what is most alike.

    Args:
      height: rows of units of the map.
      width: columns of units of the map.
      t_max: width of the neighbourhood exp(-δ²/T²) at first, in steps of the map.
      t_min: its width at the end; from 0.5 up the map is smoother and fits less closely.
      passes: over the rows, while T falls from t_max to t_min exponentially.

    References:
      Kohonen 1982, 1990; the groups: Vesanto and Alhoniemi 2000.
    """
    for name, value in (("height", height), ("width", width), ("passes", passes)):
        if value < 1:
            raise ValueError(f"{name}={value} must be at least 1")
    if not 0 < t_min <= t_max:
        raise ValueError(f"t_min={t_min} must be above 0 and at most t_max={t_max}")

    def init(key, net, view, k):
        if k > height * width:
            raise ValueError(f"n_clusters={k} is more than the {height * width} units; make height or width larger")
        prototypes, rows = fit_map(key, view.encode(net), view.weight, height, width, t_max, t_min, passes)
        return Head(prototypes, Units(rows, jnp.arange(k)))

    def assign(head, codes):
        unit = jnp.argmin(squared_distances(codes, head.params), axis=-1)
        return jnp.where(_groups(head)[unit] > 0, 0.0, OUT)

    def centers(head):
        share = _groups(head)
        return share.T @ head.params / share.sum(axis=0)[:, None]

    return Method(init, assign, centers=centers)


def _groups(head: Head) -> Float[Array, "u k"]:
    """The rows of each unit in the column of its cluster."""
    rows, clusters = head.state
    rows = rows + EMPTY
    label = ward(head.params, rows, len(clusters))
    return jnp.where(label[:, None] == clusters, rows[:, None], 0)
