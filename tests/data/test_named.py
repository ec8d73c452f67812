"""Named data sets: splits, missing files, misspelt names; and the real files where they are."""

import gzip

import numpy as np
import pytest

from dec.data import available, load
from dec.data.named import NAMED


@pytest.fixture
def fashion(tmp_path):
    """A fashion_mnist of 6 + 4 rows: train as gzip, test as plain files; returns its images and labels."""
    folder = tmp_path / "data" / "fashion_mnist"
    folder.mkdir(parents=True)
    x = np.random.default_rng(0).integers(0, 256, (10, 28, 28)).astype(np.uint8)
    y = np.array([9, 0, 0, 3, 3, 9, 0, 3, 9, 9], np.uint8)
    for part, rows in (("train", slice(6)), ("t10k", slice(6, 10))):
        for kind, array in (("images-idx3", x), ("labels-idx1", y)):
            part_of_it = array[rows]
            shape = np.array(part_of_it.shape, ">u4").tobytes()
            content = bytes([0, 0, 8, array.ndim]) + shape + part_of_it.tobytes()
            if part == "train":
                (folder / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(content))
            else:
                (folder / f"{part}-{kind}-ubyte").write_bytes(content)
    return x, y


def test_digits():
    data = load("digits")
    assert data.name == "digits" and data.x.shape == (1797, 8, 8) and data.x.dtype == np.uint8 and data.x.max() == 16
    assert data.y.dtype == np.int32 and data.n_classes == 10 and data.classes == tuple("0123456789")
    assert data.source == "digits, 1797 rows"
    assert len(load("digits", limit=100).x) == 100


@pytest.mark.parametrize("spec, rows, source", [
    ("fashion_mnist", slice(0, 10), "fashion_mnist, train + test pooled, 10 rows"),
    ("fashion_mnist:train", slice(0, 6), "fashion_mnist, train, 6 rows"),
    ("fashion_mnist:test", slice(6, 10), "fashion_mnist, test, 4 rows"),
])
def test_splits(fashion, spec, rows, source):
    x, y = fashion
    data = load(spec)
    np.testing.assert_array_equal(data.x, x[rows])
    assert data.x.dtype == np.uint8 and data.source == source
    assert data.classes == ("T-shirt/top", "Dress", "Ankle boot")  # of the labels that occur: 0, 3, 9
    np.testing.assert_array_equal(np.array([0, 3, 9])[data.y], y[rows])


def test_images_and_labels_must_match(fashion, tmp_path):
    folder = tmp_path / "data" / "fashion_mnist"
    (folder / "t10k-labels-idx1-ubyte").unlink()
    (folder / "train-labels-idx1-ubyte.gz").rename(folder / "t10k-labels-idx1-ubyte.gz")
    with pytest.raises(ValueError, match=r"fashion_mnist has labels of shape \(6,\) for 4 rows"):
        load("fashion_mnist:test")


def test_available_says_what_is_here(fashion, tmp_path):
    here = {name for name, (about, present) in available().items() if present and about}
    assert here == {"digits", "fashion_mnist"} and set(available()) == set(NAMED)
    (tmp_path / "data" / "fashion_mnist" / "t10k-labels-idx1-ubyte").unlink()
    assert not available()["fashion_mnist"][1]
    assert len(load("fashion_mnist:train").x) == 6  # needs only its own files


@pytest.mark.parametrize("spec, error, message", [
    ("digits:train", ValueError, "digits has no splits; use 'digits'"),
    ("mnist:trian", ValueError, "Unknown split of mnist 'trian'. Did you mean 'train'"),
    ("minst", ValueError, "Unknown data set 'minst'. Did you mean 'mnist'.*tfds:NAME"),
    ("minst:train", ValueError, "Did you mean 'mnist'"),
    ("", ValueError, "Unknown data set ''"),
    ("no/such/file.npz", FileNotFoundError, "no file no/such/file.npz"),
    ("nosuchfile.npy", FileNotFoundError, "no file nosuchfile.npy"),
    ("mnist", FileNotFoundError, "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images.*tfds:mnist.*DEC_DATA"),
    ("mnist:test", FileNotFoundError, "missing t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte in .*mnist.*tfds:mnist"),
    ("usps", FileNotFoundError, "missing usps.h5 in .*Kaggle.*DEC_DATA"),
    ("pendigits:test", FileNotFoundError, "missing pendigits.tes in .*UCI.*DEC_DATA"),
])
def test_what_cannot_be_loaded(spec, error, message):
    with pytest.raises(error, match=message):
        load(spec)


def test_without_a_data_folder(monkeypatch):
    monkeypatch.delenv("DEC_DATA")
    with pytest.raises(FileNotFoundError, match=r"missing usps.h5 because DEC_DATA is not set"):
        load("usps")


@pytest.mark.data
@pytest.mark.parametrize("name, shape, dtype, counts", [
    ("mnist", (70000, 28, 28), np.uint8, [6903, 7877, 6990, 7141, 6824, 6313, 6876, 7293, 6825, 6958]),
    ("fashion_mnist", (70000, 28, 28), np.uint8, [7000] * 10),
    ("usps", (9298, 16, 16), np.float32, [1553, 1269, 929, 824, 852, 716, 834, 792, 708, 821]),
    ("pendigits", (10992, 16), np.uint8, [1143, 1143, 1144, 1055, 1144, 1055, 1056, 1142, 1055, 1055]),
])
def test_real_data(real, name, shape, dtype, counts):
    real(name)
    data = load(name)
    assert data.x.shape == shape and data.x.dtype == dtype and np.bincount(data.y).tolist() == counts
    assert data.n_classes == 10


@pytest.mark.data
@pytest.mark.parametrize("name, train", [("usps", 7291), ("pendigits", 7494)])
def test_real_splits(real, name, train):
    real(name)
    pooled, first, last = load(name), load(f"{name}:train"), load(f"{name}:test")
    assert len(first.x) == train
    np.testing.assert_array_equal(pooled.x, np.concatenate([first.x, last.x]))
    np.testing.assert_array_equal(pooled.y, np.concatenate([first.y, last.y]))
