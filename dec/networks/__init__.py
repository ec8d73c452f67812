"""Flax modules: the encoder/decoder pairs, and the differentiable pytree that methods see. The only room that imports flax.linen."""
