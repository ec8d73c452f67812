"""The scikit-learn face: scikit-learn's own checks, and what they do not cover."""

import pickle
import signal

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import dec
from dec.methods import METHODS
from dec.methods.idec import idec
from dec.metrics import accuracy
from dec.training import fitted_state


@parametrize_with_checks([
    dec.DeepClustering(
        n_clusters=4,  # scikit-learn's check of sparse rows takes predict_proba for that of a classifier of 4 classes
        network=dec.Network(hidden=(8,), code_size=2),
        pretraining=dec.Pretraining(epochs=0),  # every check brings rows of its own shape, which compile anew
        refinement=dec.Refinement(steps=4, refresh_every=2),
        batch_size=32,
        random_state=0,
    )
])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def fitted(blobs, tiny):
    return dec.IDEC(4, gamma=0.3, n_init=2, **tiny).fit(blobs[0])


def test_what_a_fit_leaves(fitted, blobs):
    _, y = blobs
    assert fitted.labels_.shape == (300,) and fitted.labels_.dtype == np.int32
    assert fitted.cluster_centers_.shape == (4, 3)
    assert fitted.codes_.shape == (300, 3) and fitted.codes_.dtype == np.float32
    assert accuracy(y, fitted.labels_) > 0.95
    assert list(fitted.runs_["seed"]) == [0, 1] and set(fitted.runs_["status"]) == {"ok"}
    history = fitted.history_
    assert isinstance(history, pd.DataFrame) and set(history["phase"]) == {"pretrain", "cluster"}
    pretraining = history[history["phase"] == "pretrain"]
    assert len(pretraining) == 2 * 20  # seeds x epochs
    assert {"reconstruction", "clustering", "change", "occupied", "learning_rate"} <= set(history)
    assert fitted.n_iter_ == fitted.runs_.set_index("seed").loc[fitted.fit_seed_, "steps"]
    assert str(fitted.n_iter_) in fitted.stop_reason_


def test_predictions_agree_with_each_other(fitted, blobs):
    x, _ = blobs
    probabilities = fitted.predict_proba(x)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), fitted.predict(x))
    np.testing.assert_array_equal(fitted.predict(x), fitted.labels_)
    np.testing.assert_array_equal(fitted.transform(x), fitted.codes_)
    np.testing.assert_array_equal(fitted.transform(x[:7]), fitted.codes_[:7])
    names = fitted.get_feature_names_out()
    assert list(names) == ["idec0", "idec1", "idec2"]


def test_a_few_rows_more_are_not_compiled_anew(fitted, blobs):
    whole = fitted.predict_proba(blobs[0])
    compiled = fitted_state._assign._cache_size()
    for n in (1, 2, 299):
        np.testing.assert_array_equal(fitted.predict_proba(blobs[0][:n]), whole[:n])
    assert fitted_state._assign._cache_size() == compiled > 0


def test_reconstructions_are_on_the_scale_of_the_data(blobs, tiny):
    x = blobs[0] * 50 + 1000
    wide = dec.Network(hidden=(64,), code_size=8)
    model = dec.AEKMEANS(4, scaling="standard", **tiny | {"network": wide, "pretraining": dec.Pretraining(epochs=100)})
    back = model.fit(x).inverse_transform(model.transform(x))
    assert back.shape == x.shape
    assert np.mean((back - x) ** 2) < 0.2 * x.var(axis=0).mean()
    with pytest.raises(ValueError, match=r"codes of shape \(2, 3\)"):
        model.inverse_transform(np.zeros((2, 3)))


def test_score_needs_no_labels_and_prefers_the_true_clusters(fitted, blobs, tiny):
    x, y = blobs
    assert fitted.score(x) == fitted.score(x, y) > 0.5
    fewer = dec.IDEC(2, **tiny).fit(x)
    assert fewer.score(x) < fitted.score(x)


def test_nested_parameters():
    model = dec.DEC(network=dec.Network(code_size=4))
    model.set_params(network__hidden=(5,), refinement__optimizer__learning_rate=0.5, alpha=2.0)
    assert model.network == dec.Network(hidden=(5,), code_size=4)
    assert model.refinement.optimizer.learning_rate == 0.5
    params = clone(model).get_params()
    assert params["alpha"] == 2.0 and params["network__hidden"] == (5,)
    assert params["refinement__optimizer__name"] == "method" and params["pretraining__epochs"] == 100
    with pytest.raises(ValueError, match=r"network.hiden.*'network.hidden'"):
        model.set_params(network__hiden=(5,))
    with pytest.raises(ValueError, match="encoder__hidden"):
        model.set_params(encoder__hidden=(5,))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_a_class(name):
    from dec.estimators import named

    cls = named.NAMED[named.class_name(name)]
    model = cls(3)
    assert set(model._options()) <= set(model.get_params())
    assert repr(clone(model)) == repr(model)
    assert pickle.loads(pickle.dumps(model)).get_params() == model.get_params()
    with pytest.raises(TypeError, match="n_clusterz"):
        cls(n_clusterz=3)


def test_pipeline_grid_search_and_cross_validation(blobs, tiny):
    x, y = blobs
    pipeline = make_pipeline(StandardScaler(), dec.DEC(4, **tiny))
    assert accuracy(y, pipeline.fit_predict(x)) > 0.9
    tiny = tiny | {"pretraining": dec.Pretraining(epochs=0)}
    grid = {"gamma": [0.1, 1.0], "network__code_size": np.arange(3, 4)}
    search = GridSearchCV(dec.IDEC(4, **tiny), grid, cv=2).fit(x)
    assert search.best_params_["gamma"] in (0.1, 1.0) and np.isfinite(search.best_score_)
    assert cross_val_score(search.best_estimator_, x, cv=2).shape == (2,)


def test_pandas_and_uint8(blobs, tiny):
    frame = pd.DataFrame(blobs[0], columns=[f"sensor {i}" for i in range(8)])
    model = dec.KMEANS(4, random_state=0).fit(frame)
    assert list(model.feature_names_in_) == list(frame.columns)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame.rename(columns={"sensor 0": "other"}))
    pixels = np.clip(blobs[0] * 10 + 128, 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(dec.KMEANS(4, random_state=0).fit(pixels).labels_,
                                  dec.KMEANS(4, random_state=0).fit(pixels.astype(np.float64)).labels_)


def test_saved_and_pickled_models_are_the_same(fitted, blobs, tmp_path):
    fitted.save(tmp_path / "model")
    assert not list(tmp_path.rglob("*.pkl"))
    for again in (dec.load(tmp_path / "model"), pickle.loads(pickle.dumps(fitted))):
        assert type(again) is type(fitted) and again.gamma == 0.3
        np.testing.assert_array_equal(again.predict_proba(blobs[0]), fitted.predict_proba(blobs[0]))
        np.testing.assert_array_equal(again.labels_, fitted.labels_)
        pd.testing.assert_frame_equal(again.history_, fitted.history_, check_dtype=False)
        assert again.stop_reason_ == fitted.stop_reason_ and again.n_features_in_ == 8
        assert again.fit_seed_ == fitted.fit_seed_ and again.summary() == fitted.summary()
        np.testing.assert_array_equal(clone(again).fit(blobs[0]).labels_, fitted.labels_)


def test_the_layer_table(fitted):
    *_, code, middle, out, total = fitted.summary().splitlines()
    assert [cell.strip() for cell in total.split("|")[1:-1]] == ["total", "", f"{9 * 16 + 17 * 3 + 4 * 16 + 17 * 8:,}"]
    assert "16x3" in code and "3x16" in middle and "16x8" in out


def test_a_number_of_numpy_among_the_options_is_saved(blobs, tmp_path):
    model = dec.KMEANS(4, restarts=np.int64(5), random_state=0).fit(blobs[0])
    model.save(tmp_path)
    assert dec.load(tmp_path).restarts == 5


def test_damaged_saved_models(fitted, tmp_path):
    folder = tmp_path / "model"
    with pytest.raises(FileNotFoundError, match="holds no model"):
        dec.load(folder)
    fitted.save(folder)
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.replace('"format": 2', '"format": 99'))
    with pytest.raises(ValueError, match=r"format 99.*upgrade"):
        dec.load(folder)
    (folder / "config.json").write_text(config.replace('"format": 2', '"format": 1'))
    with pytest.raises(ValueError, match=r"format 1.*fit it again"):
        dec.load(folder)
    (folder / "config.json").write_text(config[:50])
    with pytest.raises(ValueError, match="damaged"):
        dec.load(folder)
    (folder / "config.json").write_text(config)
    arrays = (folder / "arrays.npz").read_bytes()
    (folder / "arrays.npz").write_bytes(arrays[: len(arrays) // 2])
    with pytest.raises(ValueError, match="damaged"):
        dec.load(folder)


def test_a_method_of_ones_own(blobs, tiny, tmp_path):
    mine = idec(gamma=0.5)
    model = dec.DeepClustering(4, method=mine, **tiny).fit(blobs[0])
    np.testing.assert_array_equal(model.labels_, dec.IDEC(4, gamma=0.5, **tiny).fit(blobs[0]).labels_)
    model.save(tmp_path)
    with pytest.raises(ValueError, match="method of your own"):
        dec.load(tmp_path)
    np.testing.assert_array_equal(dec.load(tmp_path, method=mine).predict(blobs[0]), model.labels_)


def test_labels_play_no_part(blobs, tiny):
    x, y = blobs
    plain = dec.DEC(4, **tiny).fit(x)
    for other in (y, np.zeros_like(y), np.random.default_rng(0).permutation(y)):
        np.testing.assert_array_equal(dec.DEC(4, **tiny).fit(x, other).labels_, plain.labels_)


def test_callback_sees_progress_and_codes(blobs, tiny):
    seen = []

    def callback(session):
        seen.append((session.phase, session.step, sorted(session.terms), session.codes().shape))

    dec.DEC(4, n_init=2, callback=callback, **tiny).fit(blobs[0])
    assert [phase for phase, *_ in seen] == sorted([phase for phase, *_ in seen], reverse=True)  # pretrain, cluster
    assert all(shape == (2, 300, 3) for *_, shape in seen)
    last = [s for s in seen if s[0] == "cluster"][-1]
    assert last[1] <= 40 and {"loss", "clustering", "change"} <= set(last[2])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_fit_and_is_passed_on(number, blobs, tiny):
    def stop(session):
        if session.phase == "cluster" and not session.signal:
            signal.raise_signal(number)

    def terminate(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        model = dec.IDEC(4, callback=stop, **tiny)
        with pytest.raises(KeyboardInterrupt):
            model.fit(blobs[0])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert model.stop_reason_ == f"interrupted at step {model.n_iter_}" and 0 < model.n_iter_ < 40
    assert len(model.predict(blobs[0])) == 300


@pytest.mark.parametrize(("params", "message"), [
    ({"n_clusters": 0}, "n_clusters=0"),
    ({"n_clusters": 301}, "n_samples=300 should be >= n_clusters=301"),
    ({"n_clusters": 2.5}, "n_clusters=2.5"),
    ({"n_init": 0}, "n_init=0"),
    ({"method": "deck"}, r"Unknown method 'deck'.*'dec'"),
    ({"method": "idec", "method_options": {"gama": 1}}, r"Unknown option of idec 'gama'. Did you mean 'gamma'"),
    ({"method": "idec", "method_options": {"gamma": "a"}}, "gamma='a' must be a number"),
    ({"network": 3}, "network=3 must be a dec.config.Network"),
    ({"network": dec.Network(activation="rellu")}, r"Unknown activation 'rellu'.*'relu'"),
    ({"network": dec.Network(initializer="orthogonal_")}, "Unknown initializer"),
    ({"refinement": dec.Refinement(optimizer=dec.Optimizer(name="sdg"))}, r"Unknown optimizer 'sdg'.*'sgd'"),
    ({"refinement": dec.Refinement(optimizer=dec.Optimizer(name="adam", momentum=0.9))}, "takes no momentum"),
    ({"scaling": "zscore"}, "scaling='zscore'"),
    ({"batch_size": 0}, "batch_size=0"),
    ({"dtype": "float16"}, "dtype='float16'"),
    ({"device": "tpu"}, r"device='tpu' is not on this machine"),
    ({"pretraining": dec.Pretraining(warm_start="nowhere")}, "warm_start='nowhere'"),
])
def test_bad_parameters(params, message, blobs, tiny):
    with pytest.raises((ValueError, TypeError), match=message):
        dec.DeepClustering(**({"n_clusters": 4} | tiny | params)).fit(blobs[0])


@pytest.mark.parametrize(("make", "message"), [
    (lambda: dec.Pretraining(validation=1.5), "validation=1.5 must be from 0"),
    (lambda: dec.Network(hidden="wide"), "hidden='wide' must be tuple"),
    (lambda: dec.Refinement(steps=2.5), "steps=2.5 must be int"),
    (lambda: dec.Optimizer(schedule="linear"), "schedule='linear' is none of constant"),
])
def test_bad_configs_are_refused_when_made(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_lists_are_taken_for_tuples():
    assert dec.Network(hidden=[8, 4]) == dec.Network(hidden=(8, 4))


@pytest.mark.parametrize(("x", "message"), [
    (np.array([[1.0, np.nan]] * 20), "NaN"),
    (np.array([[1.0, np.inf]] * 20), "infinity"),
    (np.array([["a", "b"]] * 20, dtype=object), "could not convert string"),
    (np.zeros((0, 3)), "0 sample"),
    (np.zeros(5), "1D array"),
])
def test_bad_input(x, message, tiny):
    with pytest.raises(ValueError, match=message):
        dec.DEC(2, **tiny).fit(x)


def test_wrong_width_at_predict(fitted):
    with pytest.raises(ValueError, match=r"7 features.*8 features"):
        fitted.predict(np.zeros((3, 7)))


def test_constant_columns_are_fine(blobs, tiny):
    x = np.concatenate([blobs[0], np.zeros((300, 2)), np.full((300, 1), 7.0)], axis=1)
    for scaling in ("power", "range", "symmetric", "standard", "none"):
        model = (dec.DEC if scaling == "power" else dec.AEKMEANS)(4, scaling=scaling, **tiny).fit(x)
        assert np.isfinite(model.codes_).all() and (model.runs_["status"] == "ok").all()


@pytest.mark.parametrize("method", ["dec", "ae+hdbscan", "vade"])  # the last two start in a library on the host
def test_a_diverged_run_says_so(method, blobs, tiny):
    wild = dec.Pretraining(epochs=3, optimizer=dec.Optimizer(name="sgd", learning_rate=1e20))
    model = dec.DeepClustering(4, method=method, n_init=2, **tiny | {"pretraining": wild})
    with pytest.raises(FloatingPointError, match=r"All 2 seeds failed.*lower the learning rate"):
        model.fit(blobs[0])
    assert set(model.runs_["status"]) == {"failed"}
