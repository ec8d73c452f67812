"""tensorflow-datasets without TensorFlow: tiny builders, prepared as array_record in the test's own data folder."""

import io
import json
import os
import subprocess
import sys
from importlib.util import find_spec

import h5py
import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from dec.data.dataset import data_dir
from dec.data.readers import load
from dec.data.readers.tfds import _features
from dec.data.readers.tfds import prepare as prepare_ours

SPLITS = {"train": 12, "test": 5, "unsupervised": 3}


def png(*value):
    """A 4 x 4 picture of one colour as a PNG file: from an array, tfds itself would need TensorFlow to write one."""
    file = io.BytesIO()
    Image.fromarray(np.full((4, 4, len(value)), value, np.uint8).squeeze()).save(file, "PNG")
    file.seek(0)
    return file


class Tiny(tfds.core.GeneratorBasedBuilder):
    """Row i of each split has the value and label that `ROW` says."""

    VERSION = tfds.core.Version("1.0.0")
    FEATURES: dict
    ROW: staticmethod
    SUPERVISED = None

    def _info(self):
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(self.FEATURES),
                                     supervised_keys=self.SUPERVISED)

    def _split_generators(self, dl_manager):
        return {split: ((i, self.ROW(i)) for i in range(n)) for split, n in SPLITS.items()}

    def _generate_examples(self):
        raise NotImplementedError


class TinyPictures(Tiny):
    FEATURES = {"image": tfds.features.Image(shape=(4, 4, 1)), "label": tfds.features.ClassLabel(names=["cat", "owl"])}
    SUPERVISED = ("image", "label")
    ROW = staticmethod(lambda i: {"image": png(i), "label": i % 2})


class TinyNumbers(Tiny):
    FEATURES = {"about": tfds.features.Text(), "values": tfds.features.Tensor(shape=(3,), dtype=np.float64),
                "kind": tfds.features.ClassLabel(num_classes=2)}
    ROW = staticmethod(lambda i: {"about": "text", "values": np.arange(3) + i / 2, "kind": i % 2 - 1})


class TinyColours(Tiny):
    FEATURES = {"image": tfds.features.Image(shape=(4, 4, 3))}
    ROW = staticmethod(lambda i: {"image": png(i, 10 + i, 200 + i)})


TEXTS = ("", "two\nlines", "größer 語", "zero\0", "a" * 100_000, *"bcdefgh")


class TinyTexts(Tiny):
    FEATURES = {"text": tfds.features.Text(), "label": tfds.features.ClassLabel(names=["neg", "pos"])}
    SUPERVISED = ("text", "label")
    ROW = staticmethod(lambda i: {"text": TEXTS[i], "label": i % 2})


class TinyBytes(Tiny):
    FEATURES = {"text": tfds.features.Text()}
    ROW = staticmethod(lambda i: {"text": b"caf\xe9"})


class TinyWords(Tiny):
    FEATURES = {"words": tfds.features.Sequence(tfds.features.Text())}
    ROW = staticmethod(lambda i: {"words": ["a"] * i})


class TinySizes(Tiny):
    FEATURES = {"values": tfds.features.Tensor(shape=(None,), dtype=np.int64)}
    ROW = staticmethod(lambda i: {"values": np.arange(i + 1)})


@pytest.fixture
def prepare(tmp_path, monkeypatch):
    """Prepares a builder and returns the folder with its files."""
    def run(builder):
        monkeypatch.setattr(builder, "pkg_dir_path", tmp_path, raising=False)
        builder = builder(data_dir=tmp_path / "data" / "tfds", file_format="array_record")
        builder.download_and_prepare()
        return builder.data_path

    return run


def test_pictures(prepare, tmp_path):
    prepare(TinyPictures)
    data = load("tfds:tiny_pictures")
    assert data.x.shape == (17, 4, 4) and data.x.dtype == np.uint8  # train + test, not the unlabelled rows
    assert sorted(data.x[:12, 0, 0]) == list(range(12)) and sorted(data.x[12:, 0, 0]) == list(range(5))
    assert data.y.dtype == np.int32 and data.classes == ("cat", "owl")
    np.testing.assert_array_equal(data.y, data.x[:, 0, 0] % 2)
    assert data.source == "tfds tiny_pictures/1.0.0, train + test pooled, 17 rows"
    if find_spec("tensorflow") is None:
        assert "tensorflow" not in sys.modules

    np.testing.assert_array_equal(load("tfds:tiny_pictures:test").x, data.x[12:])
    np.testing.assert_array_equal(load("tfds:tiny_pictures:train[:4]").x, data.x[:4])
    assert len(load("tfds:tiny_pictures", limit=6).x) == 6
    for split in ("trian", "train[:0]"):
        message = f"no split {split!r}, or no rows in it .*; it has train, test, unsupervised"
        with pytest.raises(ValueError, match=message.replace("[", r"\[")):
            load(f"tfds:tiny_pictures:{split}")


def test_colours_keep_their_axis(prepare):
    prepare(TinyColours)
    data = load("tfds:tiny_colours:test")
    assert data.kind == "array" and data.x.shape == (5, 4, 4, 3) and data.x.dtype == np.uint8
    assert sorted(map(tuple, data.x[:, 3, 3].tolist())) == [(i, 10 + i, 200 + i) for i in range(5)]


def test_texts(prepare):
    prepare(TinyTexts)
    data = load("tfds:tiny_texts")
    assert data.kind == "text" and data.x.shape == (17,) and data.x.dtype == object
    assert sorted(data.x) == sorted(TEXTS + TEXTS[:5]) and set(map(type, data.x)) == {str}
    assert data.classes == ("neg", "pos") and [TEXTS.index(text) % 2 for text in data.x] == data.y.tolist()


@pytest.mark.parametrize("name, expected", [
    ("imdb_reviews", ("text", "label")), ("ag_news_subset", ("description", "label")),
    ("glue/sst2", ("sentence", "label")),  # without a supervised pair, and with the rows' numbers as a feature
    ("mnist", ("image", "label")), ("cifar10", ("image", "label")), ("iris", ("features", "label")),
])
def test_features_of_public_sets(name, expected, tmp_path):
    with tfds.testing.mock_data():
        assert _features(name, tfds.builder(name, data_dir=tmp_path).info) == expected


@pytest.mark.parametrize("builder", [TinyPictures, TinyTexts])
def test_decoded_only_once(prepare, builder, tmp_path, monkeypatch):
    info = prepare(builder) / "dataset_info.json"
    spec = f"tfds:{builder.name}"
    first = load(spec)
    (cache,) = (tmp_path / "cache" / "tfds").iterdir()  # and no temporary file is left
    assert cache.stat().st_size < 300_000  # the longest text has 100,000 letters, in two of 17 rows

    def decode(*_):
        raise AssertionError("decoded a second time")

    monkeypatch.setattr("dec.data.readers.tfds._decode", decode)
    again = load(spec)
    assert (again.digest, again.classes, again.kind) == (first.digest, first.classes, first.kind)
    np.testing.assert_array_equal(again.x, first.x)
    np.testing.assert_array_equal(again.y, first.y)

    os.utime(info, (0, 0))  # as if it had been prepared anew
    with pytest.raises(AssertionError, match="decoded a second time"):
        load(spec)


def test_numbers_without_all_labels(prepare):
    prepare(TinyNumbers)
    data = load("tfds:tiny_numbers:train")
    assert data.x.shape == (12, 3) and data.x.dtype == np.float32
    assert data.y is None and data.n_classes is None  # tfds writes -1 for 'no label'


@pytest.mark.parametrize("builder, message", [
    (TinyWords, r"no text, image or numeric tensor to cluster; its features are words \(Sequence\)"),
    (TinyBytes, r"'text' of tfds:tiny_bytes is not UTF-8 in row 0 .*0xe9 in position 3"),
    (TinySizes, r"'values' of tfds:tiny_sizes has shape \(\d+,\) in row 0 but \(\d+,\) in row 1"),
])
def test_what_cannot_be_clustered(prepare, builder, message):
    prepare(builder)
    with pytest.raises(ValueError, match=message):
        load(f"tfds:{builder.name}")


@pytest.mark.parametrize("fmt", ["tfrecord", "parquet"])
def test_other_formats_are_refused(prepare, fmt):
    info = prepare(TinyPictures) / "dataset_info.json"
    info.write_text(json.dumps(json.loads(info.read_text()) | {"fileFormat": fmt}))
    with pytest.raises(FileNotFoundError, match="tfds:tiny_pictures is not prepared as array_record"):
        load("tfds:tiny_pictures")


def test_not_prepared_or_unknown(tmp_path):
    message = r"(?s)not prepared as array_record .*data_dir='.*data/tfds'.*needs TensorFlow"
    with pytest.raises(FileNotFoundError, match=message):
        load("tfds:mnist")
    with pytest.raises(ValueError, match=r"Unknown data set 'tfds:mnits'. Did you mean 'mnist'"):
        load("tfds:mnits")


@pytest.fixture
def small_usps(tmp_path):
    """The folder of a usps.h5 with 7 + 3 rows, of values that uint8 could not hold, where the named set looks too."""
    folder = tmp_path / "data" / "usps"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    with h5py.File(folder / "usps.h5", "w") as file:
        for split, n in (("train", 7), ("test", 3)):
            file[f"{split}/data"] = (rng.integers(0, 2001, (n, 256)) / 2000).astype(np.float32)
            file[f"{split}/target"] = rng.permutation(10)[:n].astype(np.int32)
    return folder


LOAD = """
import sys, numpy as np
from dec.data.readers import load
data = load("tfds:usps")
assert {"tensorflow", "dec.data.readers.usps"}.isdisjoint(sys.modules), "read with TensorFlow or by the builder's class"
np.savez(sys.argv[1], X=data.x, y=np.array(data.classes)[data.y])
"""


@pytest.mark.parametrize("which", ["small", pytest.param("real", marks=pytest.mark.data)])
def test_usps(which, small_usps, tmp_path, real, monkeypatch):
    if which == "real":
        real("usps")
        source = data_dir() / "usps"
    else:
        monkeypatch.setenv("DEC_DATA", str(tmp_path / "data"))
        source = small_usps
    named = load("usps")
    monkeypatch.setenv("DEC_DATA", str(tmp_path / "other"))
    message = prepare_ours("usps", source)
    assert message == f"prepared tfds:usps, {len(named)} rows, in {tmp_path}/other/tfds/usps/1.0.0"
    subprocess.run([sys.executable, "-c", LOAD, tmp_path / "read.npz"], check=True, timeout=600)
    read = load(str(tmp_path / "read.npz"))

    def multiset(data):
        assert data.x.dtype == np.float32 and data.x.shape[1:] == (16, 16)
        return sorted(zip((row.tobytes() for row in data.x), (data.classes[code] for code in data.y)))

    assert multiset(read) == multiset(named)


def test_prepare_ours_says_what_is_wrong(small_usps, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"Unknown data set to prepare 'usp'. Did you mean 'usps'"):
        prepare_ours("usp", small_usps)
    with pytest.raises(FileNotFoundError, match=r"(?s)tfds:usps is not prepared .*dec data prepare usps --from DIR"):
        load("tfds:usps")
    with pytest.raises(FileNotFoundError, match=r"no usps.h5 in .*empty\. .*give the folder with usps.h5, the HDF5"):
        prepare_ours("usps", tmp_path / "empty")
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "usps.h5").write_bytes((small_usps / "usps.h5").read_bytes()[:3000])
    with pytest.raises(ValueError, match=r"damaged/usps.h5 is not an HDF5 file, or a damaged one"):
        prepare_ours("usps", damaged)

    folder = tmp_path / "data" / "tfds" / "usps" / "1.0.0"
    assert not folder.exists()
    assert prepare_ours("usps", small_usps) == f"prepared tfds:usps, 10 rows, in {folder}"
    written = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    assert prepare_ours("usps", tmp_path / "empty").startswith(f"tfds:usps is already prepared in {folder};")
    assert {file: file.stat().st_mtime_ns for file in folder.iterdir()} == written

    monkeypatch.delenv("DEC_DATA")
    with pytest.raises(ValueError, match="no folder to prepare usps in: set DEC_DATA to the folder"):
        prepare_ours("usps", small_usps)
