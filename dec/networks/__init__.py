"""Flax modules: the encoder/decoder pairs, and the differentiable pytree that methods see of them.

The only room that imports flax.linen.
"""
