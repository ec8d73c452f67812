"""The readers of arrays; test_bad_files.py has what they refuse."""

import gzip

import h5py
import numpy as np
import pytest
import scipy.sparse

from dec.config import Features
from dec.data import arrays
from dec.data.arrays import read_hdf5, read_idx
from dec.data.kinds import check_options, fit_features, to_numbers
from dec.data.readers import load
from dec.data.readers.named import _pendigits
from dec.data.transformers.sequence import SequenceWindows

SMALL = np.arange(24, dtype=np.uint8).reshape(4, 3, 2)
IDX_CODES = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}


def idx_bytes(array: np.ndarray) -> bytes:
    """`array` in the IDX format."""
    head = bytes([0, 0, IDX_CODES[array.dtype.name], array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize("dtype", IDX_CODES)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx(tmp_path, dtype, pack):
    (tmp_path / "file").write_bytes(pack(idx_bytes(SMALL.astype(dtype))))
    array = read_idx(tmp_path / "file")
    assert array.dtype.newbyteorder("=") == dtype
    np.testing.assert_array_equal(array, SMALL)


@pytest.mark.parametrize("content, message", [
    (b"", "not an IDX file: it starts with nothing"),
    (b"\0\0\x08", "not an IDX file"),
    (b"PK\x03\x04" + bytes(20), "not an IDX file: it starts with 50 4b 03 04"),
    (b"\0\0\x07\x01" + bytes(20), "not an IDX file"),  # no such type
    (b"\0\0\x08\x00" + bytes(20), "not an IDX file"),  # no dimensions
    (idx_bytes(SMALL)[:10], "should have .* but has 10"),  # ends inside the header
    (idx_bytes(SMALL)[:-1], r"should have 40 bytes by its header \(shape \(4, 3, 2\)\) but has 39"),
    (idx_bytes(SMALL) + b"\0", "should have 40 bytes .* but has 41"),
    (b"\0\0\x08\x03" + b"\xff" * 12 + bytes(9), "should have .* but has 25"),
    (gzip.compress(idx_bytes(SMALL), mtime=0)[:-9], "damaged or truncated gzip .* download it again"),
    (gzip.compress(idx_bytes(SMALL), mtime=0)[:5], "damaged or truncated gzip"),
    (gzip.compress(idx_bytes(SMALL), mtime=0)[:20] + b"junkjunkjunkjunkjunk", "damaged or truncated gzip"),
])
def test_bad_idx(tmp_path, content, message):
    (tmp_path / "bad-file").write_bytes(content)
    with pytest.raises(ValueError, match=f"bad-file.*{message}"):
        read_idx(tmp_path / "bad-file")


@pytest.mark.parametrize("keys", [("X", "y"), ("x", "labels"), ("X", None), ("x", None)])
def test_npz(tmp_path, keys):
    x = np.random.default_rng(0).normal(size=(5, 3))
    labels = {keys[1]: np.array(["b", "a", "b", "b", "a"])} if keys[1] else {}
    path = tmp_path / "mine.npz"
    np.savez(path, **{keys[0]: x}, **labels)
    data = load(str(path), limit=4) if keys[1] is None else load(str(path))
    assert data.name == "mine" and data.x.dtype == np.float32 and str(path) in data.source
    if keys[1]:
        np.testing.assert_array_equal(data.x, x.astype(np.float32))
        assert data.y.tolist() == [1, 0, 1, 1, 0] and data.classes == ("a", "b") and data.n_classes == 2
    else:
        assert data.y is None and data.n_classes is None and len(data.x) == 4


def test_npy_keeps_uint8(tmp_path):
    np.save(tmp_path / "mine.npy", SMALL)
    data = load(str(tmp_path / "mine.npy"))
    assert data.x.dtype == np.uint8 and data.y is None and data.source.endswith("mine.npy, 4 rows")
    np.testing.assert_array_equal(data.x, SMALL)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, np.float16, np.int64, np.int16, ">f4"])
def test_a_large_npy_stays_on_the_disk(tmp_path, monkeypatch, dtype):
    monkeypatch.setattr(arrays, "MAPPED", 100)
    np.save(tmp_path / "large.npy", SMALL.repeat(5, axis=0).astype(dtype))
    data = load(str(tmp_path / "large.npy"))
    assert isinstance(data.x, np.memmap) and data.x.dtype == dtype
    np.testing.assert_array_equal(data.x, SMALL.repeat(5, axis=0))
    monkeypatch.setattr(arrays, "MAPPED", 10**6)
    small = load(str(tmp_path / "large.npy"))
    assert not isinstance(small.x, np.memmap)
    assert (small.digest == data.digest) == (small.x.dtype == dtype)


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "bsr"])
def test_sparse_npz(tmp_path, kind):
    dense = np.array([[0, 3, 0], [1, 0, 0], [0, 0, 0], [0, 0.5, 2]])
    scipy.sparse.save_npz(tmp_path / "words.npz", scipy.sparse.csr_array(dense).asformat(kind))
    data = load(str(tmp_path / "words.npz"))
    assert data.x.format == "csr" and data.x.dtype == np.float32 and len(data) == 4 and data.kind == "array"
    np.testing.assert_array_equal(data.x.toarray(), dense)
    part = load(str(tmp_path / "words.npz"), limit=2)
    assert part.x.format == "csr" and len(part) == 2 and part.digest != data.digest


@pytest.mark.parametrize("rows, labels", [("X", "y"), ("x", "labels"), ("data", "target"), ("data", None)])
def test_hdf5(tmp_path, rows, labels):
    with h5py.File(tmp_path / "mine.h5", "w") as file:
        file[rows] = np.array([[0.5, 1], [2, 3], [4, 5]])
        if labels:
            file[labels] = ["owl", "cat", "owl"]
    data = load(str(tmp_path / "mine.h5"))
    assert data.name == "mine" and data.x.dtype == np.float32 and data.x.tolist() == [[0.5, 1], [2, 3], [4, 5]]
    assert data.classes == (("cat", "owl") if labels else ()) and (data.y is None or data.y.tolist() == [1, 0, 1])


@pytest.mark.parametrize("name, pack", [("t10k-images-idx3-ubyte.gz", gzip.compress), ("mine.idx", bytes),
                                        ("no-suffix", bytes), ("packed", gzip.compress)])
def test_idx_by_name_or_content(tmp_path, name, pack):
    (tmp_path / name).write_bytes(pack(idx_bytes(SMALL)))
    data = load(str(tmp_path / name))
    np.testing.assert_array_equal(data.x, SMALL)
    assert data.y is None and data.name == name.split(".")[0]


@pytest.mark.parametrize("shape, dtype, options, kind, result", [
    ((4, 3, 2), np.uint8, {}, "array", (4, 3, 2)),
    ((4, 3, 2), np.uint8, {"size": (6, 6)}, "image", (4, 3, 2)),  # the transformer resizes
    ((4, 3, 2, 3), np.uint8, {"colour": "grey"}, "image", (4, 3, 2, 3)),
    ((4, 6), np.uint8, {"window": 2}, "sequence", (4, 6)),
    ((4, 6, 2), np.float32, {"window": 2}, "sequence", (4, 6, 2)),
    ((4, 6), np.float32, {"missing": "drop", "text": "tfidf"}, "array", (4, 6)),
    ((4, 3, 2), np.float32, {"size": (6, 6)}, "float32, but must be a path or uint8 of .h, w.", None),
    ((4, 3, 2, 4), np.uint8, {"colour": "rgb"}, r"row 0 has shape \(3, 2, 4\)", None),
    ((4, 6), np.uint8, {"size": (6, 6)}, r"row 0 has shape \(6,\)", None),
    ((4, 3, 2, 3), np.uint8, {"window": 2}, r"recording 0 has shape \(3, 2, 3\), but must be", None),
])
def test_arrays_become_what_the_features_ask_for(tmp_path, shape, dtype, options, kind, result):
    x = np.arange(np.prod(shape)).reshape(shape).astype(dtype) + dtype(0.5)
    np.save(tmp_path / "mine.npy", x)
    options = Features(**options)
    data = load(str(tmp_path / "mine.npy"), features=options)
    np.testing.assert_array_equal(data.x, x)
    if result is None:
        with pytest.raises(ValueError, match=f"^mine: .*{kind}"):
            fit_features(data, options, "mine")
    else:
        assert data.kind == kind and data.x.shape == result and data.x.dtype == dtype
        fit_features(data, options, "mine")


def test_sparse_rows_are_no_sequences(tmp_path):
    scipy.sparse.save_npz(tmp_path / "words.npz", scipy.sparse.csr_array(np.eye(3)))
    options = Features(window=2)
    data = load(str(tmp_path / "words.npz"), features=options)
    with pytest.raises(ValueError, match=r"features\.window=2 has no meaning for mine, .* of the kind array"):
        check_options(options, "mine", data)
    with pytest.raises(ValueError, match="mine holds data of the kind array, but the model was fitted on sequence"):
        to_numbers(SequenceWindows().fit(np.eye(3)), data, "mine")


def test_groups_of_hdf5(tmp_path):
    x = np.random.default_rng(0).random((3, 256), np.float32)
    with h5py.File(tmp_path / "usps.h5", "w") as file:
        file["test/data"], file["test/target"] = x, np.array([4, 1, 4])
    images, labels = read_hdf5(tmp_path / "usps.h5", "test")
    assert images.dtype == np.float32 and labels.tolist() == [4, 1, 4]
    np.testing.assert_array_equal(images, x)
    with pytest.raises(ValueError, match=r"usps.h5, group train, has no array .*, only test/data"):
        read_hdf5(tmp_path / "usps.h5", "train")
    (tmp_path / "usps.h5").write_bytes(b"no HDF5")
    with pytest.raises(ValueError, match=r"usps.h5 is not an HDF5 file, or a damaged one"):
        read_hdf5(tmp_path / "usps.h5", "test")


def test_table(tmp_path):
    path = tmp_path / "some.tra"
    path.write_text(" 47,100, 8\n 88,  0, 1\n")
    x, y = _pendigits("train", path)
    assert x.tolist() == [[47, 100], [88, 0]] and y.tolist() == [8, 1]
    for bad in ("1,2,3\n1,2\n", "1,2,x\n"):
        path.write_text(bad)
        with pytest.raises(ValueError, match=r"some.tra is not a table"):
            _pendigits("train", path)
