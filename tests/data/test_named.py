"""Named data sets: splits, missing files, misspelt names; and the real files where they are."""

import gzip

import numpy as np
import pytest

from dec.config import Features
from dec.data.readers import available, load
from dec.data.readers.named import NAMED


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
    ("imdb:train", FileNotFoundError, "missing IMDB Dataset.csv in .*imdb. Get it .*Kaggle; .* folder 'imdb'"),
    ("ecg5000", FileNotFoundError, "missing ECG5000.npz in .*ucr. Get it .*UCR archive.* folder 'ucr'"),
    ("phones:test", ValueError, "phones has no splits"),
    ("pendigits:test", FileNotFoundError, "missing pendigits.tes in .*UCI.*DEC_DATA"),
])
def test_what_cannot_be_loaded(spec, error, message):
    with pytest.raises(error, match=message):
        load(spec)


def test_without_a_data_folder(monkeypatch):
    monkeypatch.delenv("DEC_DATA")
    with pytest.raises(FileNotFoundError, match=r"missing usps.h5 because DEC_DATA is not set"):
        load("usps")


def test_phones(tmp_path):
    """The column asin names the rows unless another is asked for; no column is a label by itself."""
    (tmp_path / "data" / "phones").mkdir(parents=True)
    (tmp_path / "data" / "phones" / "items.csv").write_text("asin,brand,price\nB1,Nokia,3.5\n0B,,7\nB3,Sony,2\n")
    data = load("phones")
    assert data.kind == "table" and list(data.x) == ["brand", "price"] and data.y is None
    assert data.ids.name == "asin" and data.ids.tolist() == ["B1", "0B", "B3"] and data.source == "phones, 3 rows"
    by_price = load("phones", features=Features(id="price"))
    assert list(by_price.x) == ["asin", "brand"] and by_price.ids.tolist() == [3.5, 7, 2]
    dropped = load("phones", features=Features(missing="drop", kinds=("brand=category",)))
    assert dropped.ids.tolist() == ["B1", "B3"]
    assert dropped.source == "phones, 2 rows; dropped 1 of 3 rows: missing brand (1)"


def test_imdb_halves(tmp_path):
    """Train and test are the two parts of a permutation with seed 13, each in the order of the file."""
    (tmp_path / "data" / "imdb").mkdir(parents=True)
    reviews = [f"review number {i}" for i in range(9)]
    lines = [f'"{review}",{"positive" if i % 3 else "negative"}' for i, review in enumerate(reviews)]
    packed = gzip.compress("\n".join(["review,sentiment", *lines]).encode())
    (tmp_path / "data" / "imdb" / "IMDB Dataset.csv.gz").write_bytes(packed)
    train, test, both = load("imdb:train"), load("imdb:test"), load("imdb")
    first = sorted(np.random.default_rng(13).permutation(9)[:4])
    assert train.x.tolist() == [reviews[i] for i in first] and len(test.x) == 5
    assert both.x.tolist() == train.x.tolist() + test.x.tolist() and sorted(both.x) == reviews
    assert train.y.tolist() == [int(i % 3 > 0) for i in first] and train.classes == ("negative", "positive")
    assert train.source == "imdb, train (halves drawn with seed 13), 4 rows" and train.kind == "text"


def test_reuters_has_three_lines_of_header(tmp_path):
    (tmp_path / "data" / "reuters_r8").mkdir(parents=True)
    for split, rows in (("train", "earn\tnet up\nacq\tdeal\n"), ("test", "ship\toil\n\n")):
        content = f"Category\tText\nd\tstring\nclass\t\n\n{rows}".encode()
        (tmp_path / "data" / "reuters_r8" / f"reuters-r8-{split}.tab.gz").write_bytes(gzip.compress(content))
    data = load("reuters_r8")
    assert data.x.tolist() == ["net up", "deal", "oil"] and data.kind == "text"
    assert data.classes == ("acq", "earn", "ship") and data.y.tolist() == [1, 0, 2]


def test_sequences_are_rows_of_steps_of_channels(tmp_path):
    for folder in ("hapt", "ucr"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    x = np.arange(2 * 6 * 128).reshape(2, 6, 128).astype(np.float16)
    np.savez(tmp_path / "data" / "hapt" / "hapt.npz", X=x, y=np.array([6, 1]))
    data = load("hapt")
    assert data.kind == "sequence" and data.x.dtype == np.float32 and data.x.shape == (2, 128, 6)
    assert data.x[1, 100, 4] == x[1, 4, 100] and [data.classes[c] for c in data.y] == ["lying", "walking"]
    np.savez(tmp_path / "data" / "ucr" / "ECG5000.npz", X=np.ones((3, 140), np.float32), y=np.array([1, 5, 1]))
    beats = load("ecg5000")
    assert beats.x.shape == (3, 140, 1) and beats.classes == ("normal", "unclassified")
    np.savez(tmp_path / "data" / "ucr" / "ECG5000.npz", X=np.ones((3, 14)))
    with pytest.raises(ValueError, match=r"ECG5000.npz should have labels and rows of shape \(140, 1\), but has .*no"):
        load("ecg5000")


@pytest.mark.data
@pytest.mark.parametrize("name, kind, shape, counts", [
    ("phones", "table", (720, 9), None),
    ("imdb", "text", (50000,), [25000, 25000]),
    ("reuters_r8", "text", (7674,), [2292, 374, 3923, 51, 271, 293, 144, 326]),
    ("hapt", "sequence", (10017, 128, 6), [1660, 1468, 1317, 1736, 1926, 1910]),
    ("ecg5000", "sequence", (5000, 140, 1), [2919, 1767, 96, 194, 24]),
])
def test_real_data_of_other_kinds(real, name, kind, shape, counts):
    real(name)
    data = load(name)
    assert data.kind == kind and data.x.shape == shape
    assert data.y is None if counts is None else np.bincount(data.y).tolist() == counts
    if kind == "text":
        assert all(isinstance(text, str) and text for text in data.x)


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
