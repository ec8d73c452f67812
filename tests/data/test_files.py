"""The readers of files, good and bad."""

import gzip
import pickle

import h5py
import numpy as np
import pytest

from dec.data import load
from dec.data.files import read_file, read_idx, read_table, read_usps

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
    (gzip.compress(idx_bytes(SMALL))[:-9], "damaged or truncated gzip .* download it again"),
    (gzip.compress(idx_bytes(SMALL))[:5], "damaged or truncated gzip"),
    (gzip.compress(idx_bytes(SMALL))[:20] + b"junkjunkjunkjunkjunk", "damaged or truncated gzip"),
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
    data = read_file(tmp_path / "mine.npy")
    assert data.x.dtype == np.uint8 and data.y is None and data.source.endswith("mine.npy, 4 rows")
    np.testing.assert_array_equal(data.x, SMALL)


def write_truncated(path):
    np.save(path, np.ones((100, 10)))
    path.write_bytes(path.read_bytes()[:500])


def write_truncated_npz(path):
    np.savez_compressed(path, X=np.random.default_rng(0).normal(size=(100, 10)))
    path.write_bytes(path.read_bytes()[:500])


def write_damaged_npz(path):
    np.savez_compressed(path, X=np.random.default_rng(0).normal(size=(100, 10)))
    content = bytearray(path.read_bytes())
    content[1000:1100] = bytes(100)
    path.write_bytes(content)


BAD_FILES = {  # name of the file: (what writes it, what the message says)
    "objects.npy": (lambda p: np.save(p, np.array([[1, "a"]], dtype=object)), "pickled objects.*np.asarray"),
    "pickle.npy": (lambda p: p.write_bytes(pickle.dumps([[1, 2]])), "pickled objects"),
    "objects.npz": (lambda p: np.savez(p, X=np.array([[None]])), "pickled objects"),
    "empty.npy": (lambda p: p.write_bytes(b""), "damaged or incomplete"),
    "short.npy": (write_truncated, "damaged or incomplete"),
    "short.npz": (write_truncated_npz, "damaged or incomplete"),
    "holes.npz": (write_damaged_npz, "damaged or incomplete"),
    "keys.npz": (lambda p: np.savez(p, data=SMALL, target=SMALL), "no array 'X' or 'x', only 'data', 'target'"),
    "none.npz": (lambda p: np.savez(p), "no array 'X' or 'x', only nothing"),
    "nan.npy": (lambda p: np.save(p, np.array([[0, 1], [np.nan, 2]])), "nan in row 1, column 0"),
    "norows.npy": (lambda p: np.save(p, np.ones((0, 4))), "is empty"),
    "flat.npy": (lambda p: np.save(p, np.ones(4)), r"reshape\(-1, 1\)"),
    "text.npy": (lambda p: np.save(p, np.array([["a"]])), "encode text"),
    "labels.npz": (lambda p: np.savez(p, X=SMALL, y=np.zeros(3)), r"labels of shape \(3,\) for 4 rows"),
    "table.csv": (lambda p: p.write_text("1,2"), r"neither an .npy nor an .npz file; .*np.savez"),
}


@pytest.mark.parametrize("file", BAD_FILES)
def test_bad_files(tmp_path, file):
    write, message = BAD_FILES[file]
    write(tmp_path / file)
    with pytest.raises(ValueError, match=f"{file}.*{message}"):
        load(str(tmp_path / file))


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ValueError, match="neither"):
        load(str(tmp_path))


def test_usps(tmp_path):
    x = np.random.default_rng(0).random((3, 256), np.float32)
    with h5py.File(tmp_path / "usps.h5", "w") as file:
        file["test/data"], file["test/target"] = x, np.array([4, 1, 4])
    images, labels = read_usps(tmp_path / "usps.h5", "test")
    assert images.shape == (3, 16, 16) and images.dtype == np.float32 and labels.tolist() == [4, 1, 4]
    np.testing.assert_array_equal(images[1].reshape(-1), x[1])
    with pytest.raises(ValueError, match=r"usps.h5.*train/data"):
        read_usps(tmp_path / "usps.h5", "train")
    (tmp_path / "usps.h5").write_bytes(b"no HDF5")
    with pytest.raises(ValueError, match=r"usps.h5.*download it again"):
        read_usps(tmp_path / "usps.h5", "test")


def test_table(tmp_path):
    path = tmp_path / "some.tra"
    path.write_text(" 47,100, 8\n 88,  0, 1\n")
    x, y = read_table(path)
    assert x.tolist() == [[47, 100], [88, 0]] and y.tolist() == [8, 1]
    for bad in ("1,2,3\n1,2\n", "1,2,x\n"):
        path.write_text(bad)
        with pytest.raises(ValueError, match=r"some.tra is not a table"):
            read_table(path)
