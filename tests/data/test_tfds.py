"""tensorflow-datasets without TensorFlow: tiny builders, prepared as array_record in the test's own data folder."""

import io
import json
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from dec.data import load

SPLITS = {"train": 12, "test": 5, "unsupervised": 3}


def png(value):
    """A 4 x 4 picture as a PNG file: from an array, tfds itself would need TensorFlow to write one."""
    file = io.BytesIO()
    Image.fromarray(np.full((4, 4), value, np.uint8)).save(file, "PNG")
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


class TinyTexts(Tiny):
    FEATURES = {"text": tfds.features.Text()}
    ROW = staticmethod(lambda i: {"text": str(i)})


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
    with pytest.raises(ValueError, match=r"no split 'trian'.*it has train, test, unsupervised"):
        load("tfds:tiny_pictures:trian")


def test_decoded_only_once(prepare, tmp_path, monkeypatch):
    prepare(TinyPictures)
    first = load("tfds:tiny_pictures")
    assert len(list((tmp_path / "cache" / "tfds").iterdir())) == 1  # and no temporary file is left

    def decode(*_):
        raise AssertionError("decoded a second time")

    monkeypatch.setattr("dec.data.tfds._decode", decode)
    again = load("tfds:tiny_pictures")
    assert again.digest == first.digest and again.classes == first.classes
    np.testing.assert_array_equal(again.y, first.y)


def test_numbers_without_all_labels(prepare):
    prepare(TinyNumbers)
    data = load("tfds:tiny_numbers:train")
    assert data.x.shape == (12, 3) and data.x.dtype == np.float32
    assert data.y is None and data.n_classes is None  # tfds writes -1 for 'no label'


@pytest.mark.parametrize("builder, message", [
    (TinyTexts, r"no image or numeric tensor to cluster; its features are text \(Text\)"),
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
