from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chi2

from dec.training.batches import batch_rows, next_window, permute

permuted = jax.jit(permute, static_argnames="n")


@pytest.mark.parametrize("n", [1, 2, 3, 255, 256, 257, 1000, 4097])
def test_permute_is_a_permutation(n):
    np.testing.assert_array_equal(np.sort(permuted(jax.random.key(n), jnp.arange(n), n)), np.arange(n))


def test_keys_and_epochs_have_orders_of_their_own():
    keys = [jax.random.fold_in(jax.random.key(k), epoch) for k in (0, 1) for epoch in (0, 1)]
    orders = [np.asarray(permuted(key, jnp.arange(1000), 1000)) for key in keys]
    for i, a in enumerate(orders):
        for b in orders[:i]:
            assert (a == b).mean() < 0.01  # chance is 1 in 1000
            assert abs(np.corrcoef(a, b)[0, 1]) < 0.15  # its deviation is 0.03


@pytest.mark.parametrize("n", [10, 100])
def test_every_image_is_about_equally_likely(n):
    """The images of 0, of 1 and of their difference over 5000 keys are uniform."""
    keys = jax.random.split(jax.random.key(7), 5000)
    images = np.asarray(jax.jit(jax.vmap(partial(permute, n=n), (0, None)))(keys, jnp.arange(2)))
    for values, cells in ((images[:, 0], n), (images[:, 1], n), ((images[:, 1] - images[:, 0]) % n - 1, n - 1)):
        observed = np.bincount(values, minlength=cells)
        assert observed.size == cells
        statistic = ((observed - 5000 / cells) ** 2).sum() / (5000 / cells)
        assert statistic < chi2.ppf(1 - 1e-6, cells - 1)


@pytest.mark.parametrize(("n", "size"), [(10, 4), (8, 4), (3, 8), (300, 64)])
def test_an_epoch_has_every_row_once(n, size):
    batch = jax.jit(partial(batch_rows, n=n, batch_size=size))
    per_epoch = -(-n // size)
    epochs = []
    for epoch in (0, 1):
        drawn = [batch(jax.random.key(3), jnp.int32(epoch * per_epoch + i)) for i in range(per_epoch)]
        rows = np.concatenate([rows for rows, _ in drawn])
        valid = np.concatenate([valid for _, valid in drawn])
        np.testing.assert_array_equal(np.sort(rows[valid]), np.arange(n))
        np.testing.assert_array_equal(valid, np.arange(per_epoch * size) < n)  # only the end of the last batch is out
        assert (rows[~valid] == 0).all()
        epochs.append(rows[valid])
    if n > 3:
        assert (epochs[0] != epochs[1]).any()


def test_a_batch_depends_on_key_and_step_alone():
    key, batch = jax.random.key(5), partial(batch_rows, n=100, batch_size=16)
    together = jax.jit(jax.vmap(partial(batch, key)))(jnp.arange(10))[0]
    one = jax.jit(batch)
    for step in (9, 4, 0):
        np.testing.assert_array_equal(one(key, jnp.int32(step))[0], together[step])


# ---- Windows of consecutive rows


@pytest.mark.parametrize(("n", "window", "size"), [
    (300, 64, 32), (300, 64, 50), (257, 64, 64), (256, 64, 48), (30, 7, 64), (10, 9, 4), (1000, 10, 7),
])
def test_an_epoch_goes_through_the_windows_one_after_the_other(n, window, size):
    per_epoch, windows = -(-n // size), -(-n // window)
    drawn = jax.jit(jax.vmap(partial(batch_rows, n=n, batch_size=size, window=window), (None, 0)))
    orders = {}
    for seed in (3, 4):
        for epoch in range(4):
            rows, valid = map(np.asarray, drawn(jax.random.key(seed), epoch * per_epoch + jnp.arange(per_epoch)))
            rows = rows[valid]
            np.testing.assert_array_equal(np.sort(rows), np.arange(n))
            visited = rows // window
            changes = np.flatnonzero(np.diff(visited)) + 1
            assert len(changes) == windows - 1  # a window is never left and entered again
            orders[seed, epoch] = visited[[0, *changes]], rows
    for epoch in range(4):
        (order, rows), (same, others) = orders[3, epoch], orders[4, epoch]
        np.testing.assert_array_equal(order, same)  # what the seeds share
        assert (rows != others).mean() > 0.5  # and what they do not
    inside = [orders[3, 0][1][orders[3, 0][1] // window == w] % window for w in range(windows - 1)]
    if windows > 2 and window > 7:
        assert (inside[0] != inside[1]).mean() > 0.5  # each window has an order of its own
        assert len({tuple(orders[3, epoch][0]) for epoch in range(4)}) > 1
        assert len({tuple(orders[3, epoch][0]).index(windows - 1) for epoch in range(4)}) > 1  # the smaller one moves


@pytest.mark.parametrize(("n", "window", "size"), [(300, 64, 32), (257, 64, 50), (300, 64, 300)])
def test_the_next_window_is_the_one_that_comes(n, window, size):
    per_epoch = -(-n // size)
    steps = jnp.arange(3 * per_epoch)
    one = partial(batch_rows, jax.random.key(1), n=n, batch_size=size, window=window)
    rows, valid = map(np.asarray, jax.jit(jax.vmap(one))(steps))
    visited = rows[valid] // window
    ends = np.cumsum(valid.sum(1))
    following = np.asarray(jax.jit(jax.vmap(lambda step: next_window(step, n, size, window)))(steps))
    for end, ahead in zip(ends, following):
        later = visited[end:][visited[end:] != visited[end - 1]]
        epoch_ends = end % n == 0
        expected = visited[end] if epoch_ends and end < len(visited) else later[0] if len(later) else None
        assert expected in (None, ahead)


def test_one_window_of_all_rows_changes_nothing():
    for window in (100, 101, None):
        rows, _ = batch_rows(jax.random.key(5), jnp.int32(9), 100, 16, window)
        np.testing.assert_array_equal(rows, batch_rows(jax.random.key(5), jnp.int32(9), 100, 16)[0])
