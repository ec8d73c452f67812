"""VaDE and GMVAE: their losses against the evidence lower bound computed another way, and what they start from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dec
from dec.methods import make
from dec.methods.base import Batch, Head, View
from dec.networks.autoencoder import Net, build
from dec.shallow.mixture import Mixture

N, D, C, K = 6, 5, 2, 3
PRIOR = Mixture(jnp.array([0.1, 0.0, -0.3]), jax.random.normal(jax.random.key(1), (K, C)),
                0.3 * jax.random.normal(jax.random.key(2), (K, C)))


def a_net(output="sigmoid"):
    module = build(dec.Network(hidden=(7,), code_size=C, output=output), D, posterior=True)
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda key: Net.fresh(key, module), jax.random.key(0))
    return jax.tree.map(lambda a: jnp.asarray(rng.normal(scale=0.5, size=a.shape), a.dtype), shapes)


X = jax.random.uniform(jax.random.key(3), (N, D))
BATCH = Batch(X, X, (), (), jnp.ones(N), jax.random.key(4))


def log_normal(z, mean, log_variance):
    return -0.5 * (np.log(2 * np.pi) + log_variance + (z - mean) ** 2 / np.exp(log_variance)).sum(-1)


def test_vade_is_the_bound_by_sampling():
    """E_q[log p(z, c) - log q(z, c | x)] over many z from q(z | x), with γ at the z that the loss drew."""
    net, unit = a_net(), jnp.array([-1.0, 0.5])
    terms = make("vade").loss(net, Head(PRIOR, unit), BATCH, None)
    mean, log_variance = (np.asarray(a, np.float64) for a in net.posterior(X))
    log_variance = log_variance + np.asarray(unit)
    rng, prior = np.random.default_rng(0), [np.asarray(a, np.float64) for a in PRIOR]
    log_pi = prior[0] - np.log(np.exp(prior[0]).sum())
    drawn = mean + np.exp(log_variance / 2) * np.asarray(jax.random.normal(BATCH.key, mean.shape), np.float64)

    def joint(z):
        return log_pi + log_normal(z[..., None, :], prior[1], prior[2])

    log_gamma = joint(drawn) - np.log(np.exp(joint(drawn)).sum(-1, keepdims=True))
    z = mean + np.exp(log_variance / 2) * rng.normal(size=(200_000, N, C))
    inside = (np.exp(log_gamma) * (log_normal(z, mean, log_variance)[..., None] + log_gamma - joint(z))).sum(-1)
    np.testing.assert_allclose(np.asarray(terms["divergence"]) * D, inside.mean(0), atol=0.02)
    expected = net.reconstruction(X, jnp.asarray(drawn, jnp.float32))
    np.testing.assert_allclose(terms["reconstruction"], expected, rtol=1e-4)


def test_gmvae_is_the_bound_by_sampling():
    """Over y by summation and over z by sampling: -E[log p(z | y) p(y) - log q(z | x, y) q(y | x)]."""
    net, method = a_net(), make("gmvae")
    view = View(lambda net: 2 * jax.random.normal(jax.random.key(5), (80, C)), jnp.ones(80))
    own, rng = method.init(jax.random.key(6), net, view, K).params, np.random.default_rng(7)
    own = own._replace(**{name: jnp.asarray(rng.normal(scale=0.3, size=leaf.shape), jnp.float32)
                          for name, leaf in own._asdict().items() if name != "prior"})
    terms = method.loss(net, Head(own), BATCH, None)
    h = np.asarray(net.encode(X), np.float64)
    log_q = np.asarray(method.assign(Head(own), net.encode(X)), np.float64)
    prior = [np.asarray(a, np.float64) for a in own.prior]
    log_pi, total, error = prior[0] - np.log(np.exp(prior[0]).sum()), 0, 0
    for y in range(K):
        mean = h @ np.asarray(own.code) + np.asarray(own.code_bias[y])
        log_variance = h @ np.asarray(own.log_variance) + np.asarray(own.log_variance_bias[y])
        z = mean + np.exp(log_variance / 2) * np.random.default_rng(y).normal(size=(100_000, N, C))
        inside = log_normal(z, mean, log_variance) - log_normal(z, prior[1][y], prior[2][y])
        total += np.exp(log_q[:, y]) * (inside.mean(0) + log_q[:, y] - log_pi[y])
        noise = jax.random.normal(jax.random.fold_in(BATCH.key, y), mean.shape)
        drawn = jnp.asarray(mean + np.exp(log_variance / 2) * noise, jnp.float32)
        error += np.exp(log_q[:, y]) * np.asarray(net.reconstruction(X, drawn))
    np.testing.assert_allclose(np.asarray(terms["divergence"]) * D, total, rtol=0.01, atol=0.02)
    np.testing.assert_allclose(terms["reconstruction"], error, rtol=1e-4)


def test_gmvae_starts_with_the_posterior_of_the_mixture():
    """With variances that are shared, softmax of a linear function of the code."""
    codes = jnp.asarray(np.random.default_rng(0).normal(size=(300, C)) + np.repeat([[0, 0], [9, 0], [0, 9]], 100, 0),
                        jnp.float32)
    method = make("gmvae")
    head = method.init(jax.random.key(0), None, View(lambda net: codes, jnp.ones(300)), K)
    prior = head.params.prior
    shared = jnp.log(jax.nn.softmax(prior.logits) @ jnp.exp(prior.log_variance))
    exact = prior._replace(log_variance=jnp.broadcast_to(shared, (K, C))).log_joint(codes)
    np.testing.assert_allclose(method.assign(head, codes), jax.nn.log_softmax(exact), atol=1e-3)
    np.testing.assert_allclose(codes @ head.params.code + head.params.code_bias[0], codes)


def test_a_squared_error_is_calibrated_by_hand():
    """Losses 1 and 3 have σ² = 2 on average: ½ (1/2 + log 2) and ½ (3/2 + log 2); padding does not count."""
    net = a_net("linear")
    found = net.calibrated(jnp.array([1.0, 3.0, 50.0]), jnp.array([1.0, 1.0, 0.0]))
    np.testing.assert_allclose(found[:2], [0.25 + np.log(2) / 2, 0.75 + np.log(2) / 2], rtol=1e-6)
    np.testing.assert_allclose(a_net().calibrated(jnp.array([0.3]), jnp.ones(1)), [0.3])  # cross-entropy is one already


def test_a_component_never_shrinks_to_a_point():
    head = Head(PRIOR._replace(log_variance=jnp.full((K, C), -1e4)), jnp.zeros(C))
    terms = make("vade").loss(a_net(), head, BATCH, None)
    assert all(np.isfinite(term).all() for term in terms.values())


@pytest.mark.parametrize("name", ["vade", "gmvae"])
def test_the_posterior_joins_the_networks_that_other_methods_share(name, blobs, tiny, tmp_path):
    """From a cache filled by another method; and a saved model predicts the same."""
    tiny = tiny | {"cache": str(tmp_path / "cache"), "refinement": dec.Refinement(
        steps=40, refresh_every=10, optimizer=dec.Optimizer("adam", 2e-3))}
    of_codes = dec.DeepClustering(4, method="ae+kmeans", **tiny).fit(blobs[0])
    model = dec.DeepClustering(4, method=name, **tiny).fit(blobs[0])
    assert len(list((tmp_path / "cache").iterdir())) == 1
    model.save(tmp_path / "model")
    loaded = dec.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(blobs[0]), model.labels_)
    assert loaded.cluster_centers_.shape == (4, 3)
    for cluster in range(4):  # what is made up belongs where it was made
        rows = loaded.sample(50, cluster)
        assert rows.shape == (50, 8) and np.mean(loaded.predict(rows) == cluster) > 0.8
        np.testing.assert_array_equal(rows, model.sample(50, cluster))
    with pytest.raises(ValueError, match="cluster=4 must be from 0 to 3"):
        model.sample(1, 4)
    with pytest.raises(ValueError, match="no generative model"):
        of_codes.sample(1, 0)


def test_draws_have_the_moments_of_their_component():
    z = np.asarray(PRIOR.draw(jax.random.key(0), 100_000, 1))
    np.testing.assert_allclose(z.mean(0), PRIOR.mean[1], atol=0.02)
    np.testing.assert_allclose(np.log(z.var(0)), PRIOR.log_variance[1], atol=0.02)


def test_a_variational_autoencoder_learns_and_its_codes_are_means(blobs, tiny):
    tiny = tiny | {"network": dec.Network(hidden=(16,), code_size=3, variational=True),
                   "pretraining": dec.Pretraining(epochs=30, optimizer=dec.Optimizer("adam", 0.01))}
    model = dec.DeepClustering(4, method="ae+kmeans", **tiny).fit(blobs[0])
    losses = model.history_["loss"]
    assert losses.iloc[-1] < losses.iloc[0] - 0.3
    net = model.fit_._one(model.fit_.nets, None)
    mean, log_variance = net.posterior(model.fit_.scaling.apply(jnp.asarray(blobs[0])))
    np.testing.assert_allclose(mean, model.codes_, atol=1e-5)
    assert np.abs(log_variance).max() > 0.1  # its own layer was trained
    standard = 0.5 * (mean**2 + jnp.exp(log_variance) - log_variance - 1).sum(1).mean()
    assert 1 < standard < 30  # neither ignored nor collapsed


def test_other_clusters_on_the_codes_of_vade(blobs, tiny, tmp_path):
    model = dec.VADE(4, **tiny).fit(blobs[0])
    model.save(tmp_path / "vade")
    kept = dec.Pretraining(epochs=0, warm_start=str(tmp_path / "vade"))
    after = dec.DeepClustering(4, method="ae+gmm", **tiny | {"pretraining": kept}).fit(blobs[0])
    np.testing.assert_allclose(after.codes_, model.codes_, rtol=1e-5, atol=1e-5)
