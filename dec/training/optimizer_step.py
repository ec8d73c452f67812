"""One step of an optimizer on the parameters that a loss depends on; the others stay as they are, at no cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import optax
from jaxtyping import PyTree


def leaves_read(f: Callable[..., Any], params: PyTree, *args: PyTree) -> PyTree:
    """Return which leaves of `params` f(params, *args) reads; the gradient of any other leaf is 0.

    It is known while tracing: DEC never reads the decoder, half of its network's parameters.
    """
    program = jax.make_jaxpr(f)(params, *args).jaxpr
    read = {id(variable) for equation in program.eqns for variable in equation.invars}
    leaves, structure = jax.tree.flatten(params)
    return jax.tree.unflatten(structure, [id(variable) in read for variable in program.invars[: len(leaves)]])


def update_leaves(
    tx: optax.GradientTransformation, gradient: PyTree, state: PyTree, params: PyTree, moves: PyTree
) -> tuple[PyTree, PyTree]:
    """Return new parameters and optimizer state, changed only where `moves` (True or False for each leaf) says so.

    With a gradient that is always 0 a step of SGD, with or without momentum, of Adam or of RMSprop would give the same
    bits. An optimizer that also decays the weights leaves those alone that do not move.
    """
    updates, new = tx.update(gradient, state, params)
    changes = optax.tree_utils.tree_map_params(  # moments go with their parameters; a count of steps always moves
        tx, lambda _, move: move, state, moves, transform_non_params=lambda _: True)

    def pick(new: Any, old: Any, move: bool) -> Any:
        return new if move else old

    return (
        jax.tree.map(pick, optax.apply_updates(params, updates), params, moves),
        jax.tree.map(pick, new, state, changes),
    )
