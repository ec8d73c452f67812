"""One table of promises over every registered method: a new one is checked by its line in `METHODS` alone."""

import functools
import inspect
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dec
from dec.cli.arguments import options_of
from dec.methods import METHODS, make
from dec.methods.base import Batch, Clock, Head, View, labels_of
from dec.networks.autoencoder import Net, build

K, N, D, CODE = 3, 40, 6, 4
OPTIONS = {"n2d": {"manifold": "isomap"}}  # UMAP compiles for half a minute
# The functions of a method on the input are those on the codes; `test_trains_end_to_end` has both.
pytestmark = pytest.mark.parametrize("name", [name for name in METHODS if f"ae+{name}" not in METHODS])


@functools.cache
def inputs():
    net = Net.fresh(jax.random.key(1), build(dec.Network(hidden=(8,), code_size=CODE), D, posterior=True))
    return net, jax.random.normal(jax.random.key(2), (N, D))


@pytest.fixture(scope="module")
def net():
    return inputs()[0]


@pytest.fixture(scope="module")
def x():
    return inputs()[1]


def start(method, net, codes):
    return method.init(jax.random.key(0), net, View(lambda net: codes, jnp.ones(len(codes))), K)


@functools.cache
def started(name):
    (net, x), method = inputs(), make(name, OPTIONS.get(name))
    codes = net.encode(x) if method.space == "codes" else x
    return method, codes, start(method, net, codes)


def batch_of(method, head, codes, x):
    rows, stats = method.refresh(head, codes, jnp.ones(N)) if method.refresh else ((), ())
    return Batch(x, x, rows, stats, jnp.ones(N), jax.random.key(3))


CLOCK = Clock(jnp.int32(5), jnp.float32(0.5), jnp.float32(0.1))


def test_start_is_finite_and_a_function_of_the_key(name, net, x):
    method, codes, head = started(name)
    like = jax.eval_shape(lambda: start(method, net, codes[:2 * K]))
    assert jax.tree.structure(like) == jax.tree.structure(head)  # into this a saved one is read
    assert isinstance(head, Head)
    for leaf, again in zip(jax.tree.leaves(head), jax.tree.leaves(start(method, net, codes))):
        assert np.isfinite(leaf).all()
        np.testing.assert_array_equal(leaf, again)


def test_rows_of_weight_zero_do_not_matter_at_the_start(name, net, x):
    method, codes, head = started(name)
    more = jnp.concatenate([codes, jnp.full((5, codes.shape[1]), 1e3)])
    padded = View(lambda net: more, jnp.ones(N + 5).at[N:].set(0))
    again = method.init(jax.random.key(0), net, padded, K)
    found, other = (np.sort(method.assign(h, codes), axis=1) for h in (head, again))  # clusters may change places
    np.testing.assert_allclose(found, other, rtol=1e-4, atol=1e-5)


def test_assignments_are_log_probabilities(name, net, x):
    method, codes, head = started(name)
    log_q = method.assign(head, codes)
    assert log_q.shape == (N, K) and log_q.dtype == jnp.float32
    total, labels = np.exp(log_q).sum(axis=1), labels_of(log_q)
    np.testing.assert_allclose(total, np.where(labels < 0, 0, 1), atol=1e-5)
    assert (method.noise or labels.min() == 0) and labels.max() < K
    assert method.noise or len(np.unique(labels)) == K
    far = method.assign(head, codes * 1e6)
    assert not np.isnan(far).any() and (far > -jnp.inf).all()


def test_a_row_is_assigned_by_itself(name, net, x):
    method, codes, head = started(name)
    np.testing.assert_allclose(method.assign(head, codes)[:5], method.assign(head, codes[:5]), rtol=1e-5, atol=1e-6)


def test_loss_is_finite_and_its_gradient_reaches_encoder_and_head(name, net, x):
    method, codes, head = started(name)
    if method.loss is None:
        assert method.refresh is None
        return
    batch = batch_of(method, head, codes, x)

    def total(net, params):
        terms = method.loss(net, Head(params, head.state), batch, CLOCK)
        assert all(term.shape in ((), (N,)) for term in terms.values())
        return sum(term.mean() for term in terms.values())

    assert np.isfinite(total(net, head.params))
    of_net, of_head = jax.grad(total, argnums=(0, 1))(net, head.params)
    encoder = [leaf for path, leaf in jax.tree_util.tree_leaves_with_path(of_net) if "encoder" in str(path)]
    assert encoder and all(np.abs(leaf).max() > 0 for leaf in [*encoder, *jax.tree.leaves(of_head)])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((of_net, of_head)))


def test_refreshed_sums_add_over_chunks(name, net, x):
    method, codes, head = started(name)
    if method.refresh is None:
        return
    weight = jnp.ones(N).at[-3:].set(0)
    rows, stats = method.refresh(head, codes, weight)
    parts = [method.refresh(head, codes[s], weight[s]) for s in (slice(0, 13), slice(13, N))]
    for whole, *halves in zip(jax.tree.leaves(rows), *(jax.tree.leaves(part[0]) for part in parts)):
        np.testing.assert_allclose(whole, np.concatenate(halves), rtol=1e-5, atol=1e-7)
    for whole, *halves in zip(jax.tree.leaves(stats), *(jax.tree.leaves(part[1]) for part in parts)):
        np.testing.assert_allclose(whole, sum(halves), rtol=1e-5)


def test_padding_updates_nothing(name, net, x):
    method, codes, head = started(name)
    if method.update is None:
        return
    batch = batch_of(method, head, codes, x)._replace(weight=jnp.ones(N).at[-3:].set(0))
    found, other = (method.update(head, rows, batch) for rows in (codes, codes.at[-3:].add(100)))
    for leaf, same, start in zip(*map(jax.tree.leaves, (found, other, head.state))):
        np.testing.assert_allclose(leaf, same, rtol=1e-6)
        assert leaf.shape == start.shape and leaf.dtype == start.dtype


def test_options_are_documented_and_cited(name, net, x):
    doc = inspect.getdoc(METHODS[name])
    assert re.search(r"\b(19|20)\d\d\b", doc.split("References:")[1])
    for option, _, default, about in options_of(METHODS[name]):
        assert default is not inspect.Parameter.empty, f"{option} needs a default"
        assert about, f"{option} needs a line under Args"


def test_trains_end_to_end(name, net, x, blobs, tiny):
    from sklearn.metrics import adjusted_rand_score

    for each in sorted({name, name.removeprefix("ae+")} & METHODS.keys()):
        options = OPTIONS.get(each)
        method = make(each, options)
        model = dec.DeepClustering(4, method=each, method_options=options, n_init=2, **tiny).fit(blobs[0])
        assert (model.runs_["status"] == "ok").all()
        assert (model.runs_["occupied"] == 4).all() or method.noise  # then it finds its own number of clusters
        np.testing.assert_array_equal(model.predict(blobs[0]), model.labels_)
        assert adjusted_rand_score(blobs[1], model.labels_) > (0.4 if method.noise else 0.9)
        measured = model.fit_.quality(model.codes_)
        assert set(measured) == ({"quantization_error", "topographic_error", "trustworthiness"} if "som" in each
                                 else set()) and np.isfinite(list(measured.values())).all()
        trained = model.history_[model.history_["phase"] == "cluster"] if len(model.history_) else model.history_
        assert (len(trained) > 0) == (method.loss is not None)


@pytest.mark.slow
def test_alone_streamed_saved_and_in_bfloat16(name, net, x, blobs, tiny, tmp_path):
    def fitted(**settings):
        return dec.DeepClustering(4, method=name, method_options=OPTIONS.get(name), **tiny | settings).fit(blobs[0])

    both = fitted(n_init=2, random_state=3)
    np.testing.assert_array_equal(fitted(random_state=both.fit_seed_).labels_, both.labels_)
    np.testing.assert_array_equal(fitted(n_init=2, random_state=3, stream_above=0).labels_, both.labels_)
    both.save(tmp_path / "model")
    again = dec.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(blobs[0]), both.labels_)
    rough = fitted(dtype="bfloat16")
    assert (rough.runs_["status"] == "ok").all() and np.isfinite(rough.codes_).all()
    np.testing.assert_array_equal(rough.predict(blobs[0]), rough.labels_)


def test_gradients_are_finite_far_away(name, net, x):
    """At rows a thousand times as large, where densities and kernels underflow."""
    method, _, head = started(name)
    if method.loss is None:
        return
    batch = batch_of(method, head, net.encode(1e3 * x), 1e3 * x)

    def total(net, params):
        return sum(term.mean() for term in method.loss(net, Head(params, head.state), batch, CLOCK).values())

    gradient = jax.grad(total, argnums=(0, 1))(net, head.params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_clusters_have_no_order(name, net, x):
    """The same head with its clusters in another order: the same assignments in that order, and the same loss."""
    method, codes, head = started(name)
    order = np.array([2, 0, 1])

    def reordered(leaf):
        for axis in np.flatnonzero(np.array(leaf.shape) == K):
            leaf = np.take(np.asarray(leaf), order, axis)
        return jnp.asarray(leaf)

    other = jax.tree.map(reordered, head)
    np.testing.assert_allclose(method.assign(other, codes), np.asarray(method.assign(head, codes))[:, order],
                               rtol=1e-5, atol=1e-5)
    if method.loss and name != "gmvae":  # which draws a code for each cluster by its number
        losses = [method.loss(net, h, batch_of(method, h, codes, x), CLOCK) for h in (head, other)]
        jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), *losses)
