"""DESOM: deep embedded self-organising map (Forest, Lebbah, Azzag and Lacaille, ESANN 2019)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from dec.methods.base import Method
from dec.methods.som import ae_som
from dec.shallow.distances import squared_distances
from dec.shallow.som import map_distances, neighbourhood, temperature


def desom(
    gamma: float = 1e-3, height: int = 8, width: int = 8, t_max: float = 10.0, t_min: float = 0.1
) -> Method:
    """An autoencoder and a self-organising map of its codes, trained together.

        L = reconstruction + γ Σ_k K_T(δ(b, k)) |z - m_k|²,   K_T(δ) = exp(-δ² / T²)

    b is the best-matching unit of the code z, δ the Manhattan distance on the map; T falls from t_max to t_min
    exponentially over the steps of the run. The weights K have no gradient. Units are grouped into clusters as those of
    ae+som, with the rows that they had at the last refresh.

    The paper trains with Adam, from the first step: `refinement.optimizer.name=adam` with a learning rate of 0.001,
    `pretraining.epochs=0`. Plain SGD hardly moves a prototype at its γ.

    Args:
      gamma: weight of the map's loss, summed over units and code dimensions, beside a reconstruction loss averaged over
        features.
      height: rows of units of the map.
      width: columns of units of the map.
      t_max: width of the neighbourhood at the first step, in steps of the map.
      t_min: its width at the last step.

    References:
      Forest et al. 2019, ESANN.
    """
    if gamma < 0:
        raise ValueError(f"gamma={gamma} must be at least 0")
    base, distances = ae_som(height, width, t_max, t_min), jnp.asarray(map_distances(height, width))

    def loss(net, head, batch, clock):
        codes = net.encode(batch.x)
        squared = squared_distances(codes, head.params)
        near = neighbourhood(distances, temperature(clock.fraction, t_max, t_min))
        weights = near[jnp.argmin(squared, axis=-1)]
        return {
            "reconstruction": net.reconstruction(batch.x, codes),
            "map": gamma * jnp.sum(weights * squared, axis=-1),
        }

    def refresh(head, codes, weight):
        unit = jnp.argmin(squared_distances(codes, head.params), axis=-1)
        return (), weight @ jax.nn.one_hot(unit, height * width)

    def update(head, codes, batch):
        return head.state._replace(rows=batch.stats)

    return base._replace(loss=loss, refresh=refresh, update=update)
