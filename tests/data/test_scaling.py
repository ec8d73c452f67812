"""Scaling against a plain float64 computation, and where there is nothing to divide by."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from command_line import run as dec_command
from scipy.sparse import csr_array
from sklearn.metrics import adjusted_rand_score

import dec
from dec.data.precision import float64_offset, needs_float64
from dec.data.scaling import fit_scaling

KINDS = ("power", "range", "symmetric", "standard", "none")


def oracle(x, kind):
    """The scaled [n, d] in float64, straight from the definitions."""
    x = x.reshape(len(x), -1).astype(np.float64)
    low, high = x.min(), x.max()
    return {"power": lambda: x / np.sqrt((x ** 2).mean()),
            "range": lambda: (x - low) / (high - low),
            "symmetric": lambda: 2 * (x - low) / (high - low) - 1,
            "standard": lambda: (x - x.mean(0)) / x.std(0),
            "none": lambda: x}[kind]()


def data(dtype, shape=(3000, 20, 20)):
    rng = np.random.default_rng(0)  # 1.2 million values: more than one block of rows
    return rng.integers(0, 200, shape).astype(np.uint8) if dtype == "uint8" else rng.normal(
        3, 2, shape).astype(dtype)


def test_by_hand():
    x = np.array([[0, 2], [4, 2]], np.uint8)
    power = fit_scaling(x, "power")  # mean of x² is (0 + 4 + 16 + 4) / 4 = 6
    assert power.shift == 0 and power.scale == np.float32(6 ** -0.5) and power.scale.dtype == np.float32
    np.testing.assert_array_equal(fit_scaling(x, "range").apply(x), [[0, 0.5], [1, 0.5]])
    np.testing.assert_array_equal(fit_scaling(x, "symmetric").apply(x), [[-1, 0], [1, 0]])
    np.testing.assert_array_equal(fit_scaling(x, "standard").apply(x), [[-1, 0], [1, 0]])
    np.testing.assert_array_equal(fit_scaling(x, "none").apply(x), x)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("kind", KINDS)
def test_matches_the_oracle(kind, dtype):
    x = data(dtype)
    scaling = fit_scaling(x, kind)
    assert scaling.shift.shape == scaling.scale.shape == ((400,) if kind == "standard" else ())
    assert scaling.shift.dtype == scaling.scale.dtype == np.float32
    scaled = scaling.apply(x)
    assert scaled.dtype == np.float32 and scaled.shape == x.shape
    np.testing.assert_allclose(scaled.reshape(len(x), -1), oracle(x, kind), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(scaling.invert(scaled), x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_sparse_and_mapped_rows_are_scaled_as_dense_ones(kind, tmp_path):
    x = data("float32", (9000, 300))  # three blocks
    x = np.where(x > 4, x, 0)
    np.save(tmp_path / "x.npy", x)
    for other in (csr_array(x), np.load(tmp_path / "x.npy", mmap_mode="r")):
        for one, same in zip(fit_scaling(x, kind), fit_scaling(other, kind)):
            np.testing.assert_array_equal(one, same)


def test_power_is_the_paper_s_rule():
    z = fit_scaling(data("uint8"), "power").apply(data("uint8")).astype(np.float64)
    assert np.isclose((z.reshape(len(z), -1) ** 2).sum(1).mean() / z[0].size, 1, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_same_in_jax(kind):
    x = data("uint8", (50, 4, 3))
    scaling = fit_scaling(x, kind)
    inside = jax.jit(lambda scaling, x: scaling.apply(x))(scaling, jnp.asarray(x))  # a pytree, so it can be traced
    assert inside.dtype == jnp.float32 and isinstance(scaling.apply(jnp.asarray(x)), jax.Array)
    np.testing.assert_allclose(inside, scaling.apply(x), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(scaling.invert(inside), x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [0.0, 0.1, 1e-30, 1e-42, 1e20, -1e20, 3e38])
def test_constant_data(kind, value):
    x = np.full((7, 3), value, np.float32)
    scaling = fit_scaling(x, kind)
    scaled = scaling.apply(x)
    assert np.isfinite(scaled).all() and np.isfinite(scaling.scale).all() and (scaling.scale > 0).all()
    assert np.isfinite(jnp.asarray(scaling.apply(jnp.asarray(x)))).all()
    if kind in ("range", "symmetric", "standard"):
        np.testing.assert_array_equal(scaled, 0)
        np.testing.assert_array_equal(scaling.scale, 1)


@pytest.mark.parametrize("kind", ["power", "range", "symmetric", "standard"])
@pytest.mark.parametrize("magnitude", [1e-30, 1e-20, 1e20, 1e37])
def test_extreme_magnitudes(kind, magnitude):
    x = (np.random.default_rng(0).normal(size=(500, 4)) * magnitude).astype(np.float32)
    np.testing.assert_allclose(fit_scaling(x, kind).apply(x), oracle(x, kind), rtol=1e-4, atol=1e-4)


def test_one_constant_column_leaves_the_others_alone():
    x = data("float64", (1000, 5))
    x[:, 2] = 0.1  # in float64 its mean over 1000 rows is not exactly 0.1, nor its variance exactly 0
    scaling = fit_scaling(x, "standard")
    scaled = scaling.apply(x)
    assert scaling.scale[2] == 1 and (scaled[:, 2] == 0).all()
    np.testing.assert_allclose(np.delete(scaled, 2, 1).std(0), 1, rtol=1e-4)


def test_unknown_kind():
    with pytest.raises(ValueError, match="scaling='ranges' is none of power, range, symmetric, standard, none"):
        fit_scaling(np.ones((2, 2)), "ranges")


def milliseconds(seed=0, n=100):
    """Three groups, 20 s apart, in milliseconds since 1970, beside a column of ordinary numbers."""
    rng = np.random.default_rng(seed)
    y = np.repeat([0, 1, 2], n)
    return np.stack([1.7e12 + 2e4 * y + rng.normal(0, 1e3, 3 * n), rng.normal(5, 2, 3 * n)], axis=1), y


def test_an_offset_is_taken_only_where_float32_would_lose_the_differences():
    x, _ = milliseconds()
    offset = float64_offset(x)
    assert offset.tolist() == [pytest.approx(x[:, 0].mean(), abs=1), 0]
    assert float64_offset(x.astype(np.float32)) is None
    assert float64_offset(np.random.default_rng(0).normal(2000, 5, (50, 3))) is None
    assert float64_offset(np.full((50, 2), 0.1)) is None
    noise = np.full((50, 1), 0.3) + np.spacing(0.3) * (np.arange(50) % 2)[:, None]  # rounding of float64 itself
    assert float64_offset(noise) is None
    assert needs_float64(np.full((1, 2), 1.7e12 + 1)) and not needs_float64(np.full((1, 2), 0.1))


@pytest.mark.parametrize("kind", ["power", "range", "symmetric", "standard", "none"])
def test_differences_survive_a_large_offset(kind):
    x, _ = milliseconds()
    scaling = fit_scaling(x, kind)
    back = scaling.invert(scaling.apply(x))
    assert back.dtype == np.float64
    np.testing.assert_allclose(back, x, rtol=0, atol=0.01)
    rows, device = scaling.for_device(x)
    np.testing.assert_array_equal(device.apply(rows[:]), scaling.apply(x))
    assert device.offset is None and rows[3:5].dtype == np.float32


def test_models_find_groups_behind_a_large_offset(tmp_path, monkeypatch):
    x, y = milliseconds()
    model = dec.KMEANS(3, scaling="standard", random_state=0).fit(x[:, :1])
    assert adjusted_rand_score(y, model.labels_) == 1
    new, truth = milliseconds(1)
    model.save(tmp_path / "model")
    loaded = dec.load(tmp_path / "model")
    for fitted in (model, loaded):
        assert adjusted_rand_score(truth, fitted.predict(new[:, :1])) == 1
        assert fitted.predict(new[:1, :1]) == fitted.predict(new[:, :1])[:1]
        back = fitted.inverse_transform(fitted.transform(new[:, :1]))
        np.testing.assert_allclose(back, new[:, :1], atol=0.01, rtol=0)
    streamed = dec.KMEANS(3, scaling="standard", random_state=0, stream_above=0).fit(x[:, :1])
    np.testing.assert_array_equal(streamed.labels_, model.labels_)


def test_the_command_line_finds_groups_behind_a_large_offset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x, y = milliseconds()
    np.save("x.npy", x[:, :1])
    np.save("one.npy", x[:1, :1])
    status, _, err = dec_command("train", "kmeans", "--data", "x.npy", "--n-clusters", 3, "--scaling", "standard",
                                 "--quiet", "--out", "run")
    assert (status, err) == (0, "")
    labels = np.loadtxt("run/labels.csv", delimiter=",", skiprows=1, usecols=1)
    assert adjusted_rand_score(y, labels) == 1
    assert dec_command("predict", "run", "one.npy", "--out", "one.csv")[0] == 0
    assert np.loadtxt("one.csv", delimiter=",", skiprows=1, usecols=1) == labels[0]
