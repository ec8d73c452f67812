"""DESOM: deep embedded self-organising map (Forest, Lebbah, Azzag and Lacaille, ESANN 2019)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from dec.config import Optimizer
from dec.errors import UserError
from dec.methods.base import Method, check_at_least
from dec.methods.som import som
from dec.shallow.distances import squared_distances
from dec.shallow.som import map_distances, neighbourhood, temperature


def desom(gamma: float = 1e-3, height: int = 8, width: int = 8, t_max: float = 1.0, t_min: float = 0.1) -> Method:
    """An autoencoder and a self-organising map of its codes, trained together.

        L = reconstruction + γ Σ_m K_T(δ(b, m)) |z - p_m|²,   K_T(δ) = exp(-δ² / T²)

    p are the prototypes of the units, b the best-matching unit of the code z, δ the Manhattan distance on the map. K
    has no gradient. T falls exponentially over all the steps of the run. The prototypes start as a map of the codes
    whose neighbourhood has shrunk from the whole map to t_max. Units are grouped into clusters as in `som`, with the
    rows that each had at the last refresh.

    Args:
      gamma: weight of the map's loss, a sum over units and code dimensions, beside a reconstruction loss averaged over
        features.
      height: rows of units of the map.
      width: columns of units of the map.
      t_max: reach T of the neighbourhood at the first step, in steps of the map. The paper starts an untrained network
        (`pretraining.epochs=0`) at 10; codes that are trained already are drawn together by that.
      t_min: its reach at the last step.

    References:
      Forest et al. 2019.
    """
    check_at_least(0, gamma=gamma)
    if not 0 < t_min <= t_max:
        raise UserError(f"t_min={t_min} must be above 0 and at most t_max={t_max}")
    base = som(height, width, max(t_max, height + width), t_max)
    distances = jnp.asarray(map_distances(height, width))

    def loss(net, head, batch, clock):
        codes = net.encode(batch.x)
        unit = jnp.argmin(squared_distances(net.encode(batch.clean), head.params), axis=-1)
        near = neighbourhood(distances, temperature(clock.fraction, t_max, t_min))
        return {
            "reconstruction": net.reconstruction(batch.x, codes),
            "map": gamma * jnp.sum(near[unit] * squared_distances(codes, head.params), axis=-1),
        }

    def refresh(head, codes, weight):
        unit = jnp.argmin(squared_distances(codes, head.params), axis=-1)
        return (), weight @ jax.nn.one_hot(unit, height * width)

    def update(head, codes, batch):
        return head.state._replace(rows=batch.stats)

    return base._replace(loss=loss, refresh=refresh, update=update, anneals=True,
                         optimizer=Optimizer("adam", 1e-3))
