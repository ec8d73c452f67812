import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dec.training.optimizer_step import leaves_read, update_leaves


def test_the_parameters_that_a_loss_reads(net, x):
    """Of a real network: the codes come from the encoder alone; what only passes through a gradient of 0 counts."""
    def read(f):
        flags = jax.tree_util.tree_leaves_with_path(leaves_read(f, net, x[:5]))
        return {jax.tree_util.keystr(path).split("'")[3].split("_")[0] for path, flag in flags if flag}

    assert read(lambda net, x: net.encode(x)) == {"encoder"}
    assert read(lambda net, x: net.decode(net.encode(x))) == {"encoder", "decoder"}
    assert read(lambda net, x: net.decode(jax.lax.stop_gradient(net.encode(x)))) == {"encoder", "decoder"}
    assert read(lambda net, x: x.sum()) == set()


@pytest.mark.parametrize("tx", [
    optax.sgd(0.1, 0.9), optax.adam(0.1), optax.rmsprop(optax.exponential_decay(0.1, 1, 0.5), momentum=0.9),
])
def test_what_does_not_move_costs_nothing_and_changes_nothing(tx, identical):
    def loss(params):
        return jnp.sum((params["a"] - 3) ** 2)

    params = {"a": jnp.array([1.0, 2.0]), "b": jnp.array([-0.5])}
    moves = leaves_read(loss, params)
    assert moves == {"a": True, "b": False}
    left, plain = ((params, tx.init(params)) for _ in range(2))
    for _ in range(3):
        gradient = jax.grad(loss)(left[0])
        left = update_leaves(tx, gradient, left[1], left[0], moves)
        updates, state = tx.update(jax.grad(loss)(plain[0]), plain[1], plain[0])
        plain = optax.apply_updates(plain[0], updates), state
    assert identical(left, plain)
    assert (np.abs(left[0]["a"] - params["a"]) > 0.05).all()


def test_what_does_not_move_does_not_decay():
    tx, params = optax.adamw(0.1, weight_decay=0.5), {"a": jnp.array(1.0), "b": jnp.array(1.0)}
    moved, state = update_leaves(tx, {"a": jnp.array(1.0), "b": jnp.array(0.0)}, tx.init(params), params,
                           {"a": True, "b": False})
    assert moved["b"] == 1 and moved["a"] < 1
    assert state[0].count == 1
