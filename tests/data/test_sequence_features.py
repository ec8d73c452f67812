"""Recordings as rows: whole, masked, in windows; the way back, saving, errors; and real recordings."""

import os
from pathlib import Path

import jax
import numpy as np
import pytest
import skops.io
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler

from dec import config
from dec.data.transformers.sequence import SequenceWindows
from dec.networks.autoencoder import Net, build
from dec.networks.likelihood import parse

HAPT = Path(os.environ.get("DEC_DATA", "")) / "hapt" / "hapt.npz"
EQUAL = np.arange(12, dtype=np.float64).reshape(2, 3, 2)
RAGGED = [np.array([[1., 2.], [3., 4.], [5., 6.]]), np.array([[7., 8.]])]
NAN = np.nan


def test_equal_lengths():
    features = SequenceWindows()
    rows = features.fit_transform(EQUAL)
    assert rows.dtype == np.float32 and features.shape_ == (3, 2) and features.masked_ is False
    np.testing.assert_array_equal(rows, [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]])
    assert features.blocks_ == ("gaussian:6",)
    assert list(features.get_feature_names_out()[:3]) == ["t0 channel 0", "t0 channel 1", "t1 channel 0"]
    np.testing.assert_array_equal(features.inverse_transform(rows), EQUAL)
    np.testing.assert_array_equal(features.windows(EQUAL), [[0, 0], [1, 0]])
    for same in (list(EQUAL), EQUAL.tolist(), EQUAL.astype(np.float16), EQUAL.astype(int)):
        np.testing.assert_array_equal(SequenceWindows().fit_transform(same), rows)
    one_channel = SequenceWindows().fit(EQUAL[..., 0])
    assert one_channel.shape_ == (3, 1)
    np.testing.assert_array_equal(one_channel.transform(EQUAL[..., 0]), EQUAL[..., 0])


def test_different_lengths_are_masked():
    features = SequenceWindows()
    rows = features.fit_transform(RAGGED)
    np.testing.assert_array_equal(rows, [[1, 2, 3, 4, 5, 6, 1, 1, 1], [7, 8, 0, 0, 0, 0, 1, 0, 0]])
    assert features.shape_ == (3, 2) and features.masked_ is True and features.blocks_ == ("sequence:3x2",)
    assert parse(features.blocks_, rows.shape[1]) == [("sequence", 0, 9, 2)]
    names = features.get_feature_names_out()
    assert len(names) == 9 and list(names[5:7]) == ["t2 channel 1", "t0 is there"]
    back = features.inverse_transform(rows)
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, [RAGGED[0], [[7, 8], [NAN, NAN], [NAN, NAN]]])
    np.testing.assert_array_equal(features.transform(np.ones((1, 2, 2))), [[1, 1, 1, 1, 0, 0, 1, 1, 0]])


@pytest.mark.parametrize("stride, starts", [(None, [0, 3]), (1, [0, 1, 2, 3, 4]), (2, [0, 2, 4]), (5, [0])])
def test_windows(stride, starts):
    x = np.arange(7.0)[None, :]  # with a window of 3 steps: step 6 is left over for strides 3 and 5
    features = SequenceWindows(3, stride)
    np.testing.assert_array_equal(features.fit_transform(x), [[s, s + 1, s + 2] for s in starts])
    np.testing.assert_array_equal(features.windows(x), [[0, s] for s in starts])
    assert not features.masked_ and features.shape_ == (3, 1) and features.blocks_ == ("gaussian:3",)


def test_windows_of_different_lengths():
    x = [np.arange(1.0, 6), np.array([8.0]), np.array([10.0, 11])]
    features = SequenceWindows(2)
    rows = features.fit_transform(x)
    np.testing.assert_array_equal(rows, [[1, 2, 1, 1], [3, 4, 1, 1], [8, 0, 1, 0], [10, 11, 1, 1]])  # 5 is left over
    where = features.windows(x)
    np.testing.assert_array_equal(where, [[0, 0], [0, 2], [1, 0], [2, 0]])
    assert where.dtype.kind == "i" and features.blocks_ == ("sequence:2x1",)
    np.testing.assert_array_equal(features.inverse_transform(rows)[..., 0], [[1, 2], [3, 4], [8, NAN], [10, 11]])
    np.testing.assert_array_equal(features.transform(np.ones((1, 4))), np.ones((2, 4)))  # longer than any of the fit


def test_a_network_that_is_told_of_the_mask_judges_only_the_steps_that_are_there():
    windows = SequenceWindows()
    rows = windows.fit_transform(RAGGED)
    network = config.Network(hidden=(4,), code_size=2, blocks=windows.blocks_)  # as the README says
    net = Net.fresh(jax.random.key(0), build(network, rows.shape[1]))
    codes = net.encode(rows)
    out = np.asarray(net.decode(codes), np.float64)[:, :6].reshape(2, 3, 2)
    wanted = [((recording - out[i, :len(recording)]) ** 2).mean() for i, recording in enumerate(RAGGED)]
    np.testing.assert_allclose(net.reconstruction(rows, codes), wanted, rtol=1e-5)


def test_files_are_the_recordings_in_them(tmp_path):
    paths = [tmp_path / f"{i}.npy" for i in range(len(RAGGED))]
    for path, recording in zip(paths, RAGGED):
        np.save(path, recording)
    rows = SequenceWindows().fit_transform(RAGGED)
    for same in (paths, list(map(str, paths)), np.array(paths)):
        features = SequenceWindows().fit(same)
        np.testing.assert_array_equal(features.transform(same), rows)
        np.testing.assert_array_equal(features.windows(same), [[0, 0], [1, 0]])


@pytest.mark.parametrize("recording, message", [
    (np.ones((4, 2)), "has 4 steps, but the longest of the fit has 3"),
    (np.ones((2, 1)), r"has 1 channels, but recording 0 has 2"),
    (np.ones((1, 2, 3)), r"has shape \(1, 2, 3\)"),
    (np.array([[1, 2], [3, NAN]]), "has the value nan in row 1, column 1"),
    (np.array([["a", "b"]]), "holds values of dtype <U1"),
    (np.array([[None, 1]]), "pickled objects"),
])
def test_a_bad_file_is_named(tmp_path, recording, message):
    np.save(tmp_path / "first.npy", RAGGED[0])
    np.save(tmp_path / "bad.npy", recording)
    with pytest.raises(ValueError, match=rf"^recording 1 .*bad\.npy.*{message}"):
        SequenceWindows().fit(RAGGED).transform([tmp_path / "first.npy", tmp_path / "bad.npy"])


@pytest.mark.parametrize("x, window", [(EQUAL, None), (RAGGED, None), (EQUAL, 2), (RAGGED, 2)])
def test_clone_pipeline_and_saving(x, window):
    features = clone(SequenceWindows(window)).fit(x)
    content = skops.io.dumps(features)
    trusted = skops.io.get_untrusted_types(data=content)
    assert trusted == ["dec.data.transformers.sequence.SequenceWindows"]
    saved = skops.io.loads(content, trusted=trusted)
    rows = features.transform(x)
    np.testing.assert_array_equal(saved.transform(x), rows)
    assert (saved.shape_, saved.masked_, saved.blocks_) == (features.shape_, features.masked_, features.blocks_)
    np.testing.assert_array_equal(saved.inverse_transform(rows), features.inverse_transform(rows))
    assert len(features.get_feature_names_out()) == rows.shape[1]
    assert make_pipeline(SequenceWindows(window), MaxAbsScaler()).fit_transform(x).max() == 1


@pytest.mark.parametrize("x, message", [
    ([], "no recordings"),
    ("abc.npy", "one string, 'abc.npy'; give a list"),
    ([[[1.0]], np.zeros((0, 1))], r"recording 1, of .steps, channels., is empty: its shape is \(0, 1\)"),
    ([EQUAL[0], EQUAL[0, :, :1]], "recording 1 has 1 channels, but recording 0 has 2"),
    ([RAGGED[0], [[1, 2], [3, NAN]]], "recording 1, of .* has the value nan in row 1, column 1"),
    ([RAGGED[0], [[1, 2], [1e39, 4]]], r"recording 1, of .* has the value 1e\+39 in row 1, column 0"),
    (np.array([[1.0, np.inf]]), "recording 0, of .* has the value inf in row 1, column 0"),
    ([[["a"]]], "recording 0, of .* holds values of dtype <U1"),
    ([[1.0], [[1, 2], [3]]], "recording 1 is no array"),
    (np.zeros((2, 3, 4, 5)), r"recording 0 has shape \(3, 4, 5\)"),
])
def test_bad_recordings(x, message):
    with pytest.raises(ValueError, match=message):
        SequenceWindows().fit(x)


@pytest.mark.parametrize("options, fitted, given, message", [
    ({}, RAGGED, np.ones((1, 4, 2)), "recording 0 has 4 steps, but the longest of the fit has 3; fit with window=3"),
    ({}, EQUAL, RAGGED, "recording 1 has 1 steps, but none of the fit has less than 3.*window=1"),
    ({"window": 2}, EQUAL, RAGGED, "recording 1 has 1 steps, but none of the fit has less than 2"),
    ({}, EQUAL, EQUAL[..., :1], "recording 0 has 1 channels, but those of the fit have 2"),
])
def test_other_recordings_than_those_of_fit(options, fitted, given, message):
    with pytest.raises(ValueError, match=message):
        SequenceWindows(**options).fit(fitted).transform(given)


@pytest.mark.parametrize("options, message", [
    ({"window": 0}, "window=0 must be"), ({"window": 2, "stride": 0}, "stride=0 must be"),
    ({"window": 1.5}, "window=1.5 must be"), ({"stride": 2}, "stride=2 has no meaning without window"),
])
def test_bad_options(options, message):
    for method in (SequenceWindows(**options).fit, SequenceWindows(**options).windows):
        with pytest.raises(ValueError, match=message):
            method(EQUAL)


def test_inverse_of_another_width_and_unfitted():
    with pytest.raises(ValueError, match=r"shape \(2, 6\), but 3 steps of 2 channels need \(n, 9\) with the mask"):
        SequenceWindows().fit(RAGGED).inverse_transform(np.zeros((2, 6)))
    unfitted = SequenceWindows()
    for method in (unfitted.transform, unfitted.inverse_transform, unfitted.get_feature_names_out):
        with pytest.raises(NotFittedError):
            method(EQUAL)


@pytest.mark.data
@pytest.mark.skipif(not HAPT.is_file(), reason="hapt is not under DEC_DATA")
def test_real_recordings():
    with np.load(HAPT) as arrays:
        x = arrays["X"][:500].transpose(0, 2, 1)  # [n, 128, 6]
    features = SequenceWindows(64, 32)
    rows = features.fit_transform(x)
    assert rows.shape == (1500, 64 * 6)
    recording, start = features.windows(x)[1234]
    np.testing.assert_array_equal(features.inverse_transform(rows)[1234], x[recording, start:start + 64])
    rng = np.random.default_rng(0)
    cut = [recording[:rng.integers(20, 129)] for recording in x]
    rows = SequenceWindows().fit_transform(cut)
    assert rows[:, -128:].sum() == sum(map(len, cut))
