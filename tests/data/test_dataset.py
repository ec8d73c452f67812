"""Dataset, its sample and digest, and the checks of rows and labels."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dec.config import Features
from dec.data.dataset import Dataset, check_rows, data_dir, encode_labels, sample_rows
from dec.data.kinds import check_options
from dec.data.precision import as_raw
from dec.io import cache_dir


def numbered(n=50):
    return Dataset("numbered", np.arange(2 * n, dtype=np.float32).reshape(n, 2), np.arange(n, dtype=np.int32) % 3,
                   ("a", "b", "c"), f"numbered, {n} rows")


def test_import_is_light():
    code = ("import sys, dec.data; heavy = {'jax', 'sklearn', 'tensorflow_datasets', 'h5py'} & set(sys.modules); "
            "assert not heavy, heavy")
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_sample_keeps_order_and_labels():
    data = numbered()
    part = data.sample(20)
    rows = part.x[:, 0].astype(int) // 2
    assert len(rows) == len(set(rows)) == 20 and (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(part.y, data.y[rows])
    assert part.classes == data.classes and part.n_classes == 3
    assert part.source == "numbered, 50 rows; a uniform sample of 20 of them (seed 0)"


def test_sample_is_fixed_by_its_seed():
    data = numbered()
    np.testing.assert_array_equal(data.sample(20).x, data.x[sample_rows(50, 20, seed=0)])
    assert (sample_rows(50, 20) != sample_rows(50, 20, seed=1)).any()
    assert data.sample(None) is data and data.sample(50) is data and data.sample(99) is data
    with pytest.raises(ValueError, match=r"limit=0 .*at least 1"):
        data.sample(0)


def test_sample_is_uniform():
    counts = sum(np.bincount(sample_rows(10, 3, seed), minlength=10) for seed in range(2000))
    np.testing.assert_allclose(counts, 600, atol=5 * np.sqrt(2000 * 0.3 * 0.7))


def test_digest_sees_dtype_shape_and_values():
    x = np.zeros((4, 6), np.uint8)
    changed = x.copy()
    changed[3, 5] = 1
    digests = {Dataset("d", a).digest for a in (x, x.reshape(6, 4), x.view(np.int8), changed)}
    assert len(digests) == 4 and Dataset("other", x.copy()).digest in digests
    assert Dataset("d", x.T).digest == Dataset("d", x.T.copy()).digest  # bytes in C order, however stored


def test_without_labels_there_are_no_classes():
    assert Dataset("d", np.zeros((2, 2), np.uint8)).n_classes is None


@pytest.mark.parametrize("x, message", [
    (np.array([[1, None]], dtype=object), r"mine holds values of dtype object.*astype\(np.float32\)"),
    (np.array([["a", "b"]]), r"mine holds values of dtype <U1"),
    (np.ones((2, 2), complex), r"mine holds values of dtype complex128"),
    (np.ones(3), r"mine has shape \(3,\).*reshape\(-1, 1\)"),
    (np.ones(()), r"mine has shape \(\)"),
    (np.ones((0, 3)), r"mine is empty: its shape is \(0, 3\)"),
    (np.ones((3, 0)), r"mine is empty"),
    (np.array([[0, 1], [2, np.nan], [np.inf, 0]]), r"mine has the value nan in row 1, column 1; remove"),
    (np.array([[0, 1], [-np.inf, 3]], np.float16), r"value -inf in row 1, column 0"),
    (np.array([[0, 1], [3, 1e300]]), r"value 1e\+300 in row 1, column 1.*rescale"),
])
def test_bad_rows(x, message):
    with pytest.raises(ValueError, match=message):
        check_rows(x, "mine")


def test_bad_row_in_a_later_block_and_of_an_image():
    x = np.zeros((2000, 30, 30), np.float32)
    x[1777, 2, 4] = np.nan
    with pytest.raises(ValueError, match="row 1777, column 64"):
        check_rows(x, "mine")


@pytest.mark.parametrize("x, dtype", [
    (np.array([[True, False]]), np.uint8),
    (np.array([[0, 255]], np.uint8), np.uint8),
    (np.array([[0, 255]], np.int64), np.uint8),
    (np.array([[0, 256]], np.int64), np.float32),
    (np.array([[-1, 1]], np.int8), np.float32),
    (np.array([[0, 1]], np.float64), np.float32),
    (np.array([[0.5, 1]], np.float16), np.float32),
    (np.array([[0.5, 1]], ">f4"), np.float32),
])
def test_raw_dtypes(x, dtype):
    raw = as_raw(x, "mine")
    assert raw.dtype == dtype and raw.dtype.isnative
    np.testing.assert_array_equal(raw, x)


@pytest.mark.parametrize("y, codes, classes", [
    (np.array([7, 3, 7]), [1, 0, 1], ("3", "7")),
    (np.array([2.0, 1.0, 2.0]), [1, 0, 1], ("1", "2")),
    (np.array(["owl", "cat", "owl"]), [1, 0, 1], ("cat", "owl")),
    (np.array([b"owl", b"cat", b"owl"]), [1, 0, 1], ("cat", "owl")),
    (np.array([True, False, True]), [1, 0, 1], ("False", "True")),
])
def test_labels_become_codes(y, codes, classes):
    got = encode_labels(y, 3, "mine")
    assert got[0].dtype == np.int32 and got[1] == classes
    np.testing.assert_array_equal(got[0], codes)


@pytest.mark.parametrize("y, message", [
    (np.zeros(4), r"mine has labels of shape \(4,\) for 3 rows"),
    (np.zeros((3, 2)), r"mine has labels of shape \(3, 2\)"),
    (np.array([0, np.nan, 1]), r"mine has labels .* not all numbers or strings, the first being nan in row 1"),
    (np.array([0, None, 1], dtype=object), r"mine has labels \(dtype object\)"),
])
def test_bad_labels(y, message):
    with pytest.raises(ValueError, match=message):
        encode_labels(y, 3, "mine")


@pytest.mark.parametrize("options, kinds", [
    ({"drop": ["a"]}, "table"), ({"id": "a"}, "table"), ({"missing": "drop"}, "table"), ({"kinds": ["a=b"]}, "table"),
    ({"text": "tfidf"}, "table text"), ({"stop_words": False}, "table text"), ({"truncate": 5}, "text"),
    ({"size": [8, 8]}, "image"), ({"window": 4}, "sequence"), ({}, "table text image sequence array"),
])
def test_options_for_other_kinds_of_data_are_refused(options, kinds):
    options = Features(**options)
    for kind in ("table", "text", "image", "sequence", "array"):
        data = Dataset("mine", np.zeros((2, 2)), kind=kind)
        if kind in kinds.split():
            check_options(options, "mine", data)
        else:
            with pytest.raises(ValueError, match=rf"features\.\w+=.* has no meaning for mine, .* kind {kind}: it is"):
                check_options(options, "mine", data)
    if "table" in kinds:  # also of texts that are a table's only column, of either data set
        check_options(options, "mine", numbered(), Dataset("reviews", np.zeros(2), kind="text", column="review"))


def test_every_option_is_for_a_kind_of_data():
    for field in dataclasses.fields(Features):
        given = {"id": "a", "label": "a", "text": "tfidf", "numeric": "none", "missing": "drop", "colour": "rgb",
                 "stop_words": False, "columns": ["a"], "drop": ["a"], "keep": ["a"], "kinds": ["a=b"], "size": [5, 5]}
        options = Features(**{field.name: given.get(field.name, 7)})
        check_options(options, "mine", *(Dataset("mine", np.zeros((2, 2)), kind=kind)
                                         for kind in ("table", "text", "image", "sequence")))


def test_folders_come_from_the_environment(monkeypatch, tmp_path):
    assert data_dir() == tmp_path / "data" and cache_dir() == tmp_path / "cache"
    monkeypatch.setenv("DEC_DATA", "")
    monkeypatch.delenv("DEC_CACHE")
    assert data_dir() is None and cache_dir() == Path.home() / ".cache" / "dec"
