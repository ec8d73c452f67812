"""Arrays in files: NumPy's, HDF5 and IDX."""

from __future__ import annotations

import contextlib
import gzip
import math
import re
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from dec.data.dataset import read_bytes
from dec.errors import UserError

# IDX: two zeros, a byte for the type, one for the number of dimensions, their sizes and the values, all big-endian.
IDX_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
IDX = re.compile(rb"\0\0[\x08\x09\x0b-\x0e][^\0]")
MAPPED = 256 * 2**20  # bytes of an .npy file above which its rows stay on the disk
IDX_SUFFIXES = {".idx", ".idx.gz"}
ROWS, LABELS = ("X", "x", "data"), ("y", "labels", "target")  # what .npz and HDF5 files call them

Rows = tuple[Any, np.ndarray | None]  # values [n, ...] as they are stored, and labels [n]


def read_numpy(path: Path) -> Rows:
    """Return the rows in an .npy file, or the rows and labels in an .npz file.

    Raises:
      ValueError: a damaged file, pickled objects or no rows.
    """
    arrays, found, key = {}, [], ""
    try:
        loaded = np.load(path, "r" if path.stat().st_size > MAPPED else None, allow_pickle=False)  # .npz: never mapped
        if isinstance(loaded, np.ndarray):
            return loaded, None
        with loaded:
            found = loaded.files
            if {"format", "shape", "data"} <= set(found):
                x = scipy.sparse.load_npz(path)
                if hasattr(x, "check_format"):  # indices of a damaged file lead outside its memory
                    x.check_format(full_check=True)
                return x, None
            for key in {*ROWS, *LABELS}.intersection(found):
                arrays[key] = loaded[key]
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        if "pickle" in str(error) or "Python objects" in str(error):  # NumPy's only signs of object arrays and pickles
            raise UserError(f"{path} holds pickled objects{key and f' in {key!r}'}, which are not read because they "
                            "can run code; save a plain numeric array, for example np.asarray(x, dtype=np.float32), "
                            "and labels as y.astype(str)") from error
        raise UserError(f"{path} is damaged or incomplete ({error}); copy or write it again") from error
    return _rows_and_labels(arrays, str(path), map(repr, found))


def read_hdf5(path: Path, group: str = "/") -> Rows:
    """Return the rows and labels in a group of an HDF5 file, by default those at its top.

    Raises:
      ValueError: a damaged file, or no rows there.
    """
    import h5py

    arrays, found = {}, []
    try:
        with h5py.File(path) as file:
            place = file.get(group, {})
            for key in (*ROWS, *LABELS):
                if isinstance(item := place.get(key), h5py.Dataset):
                    arrays[key] = item.asstr()[()].astype(str) if h5py.check_string_dtype(item.dtype) else item[()]
            file.visititems(lambda key, item: found.append(f"{key} {item.shape}") if hasattr(item, "shape") else None)
    except (OSError, RuntimeError) as error:
        raise UserError(f"{path} is not an HDF5 file, or a damaged one ({error}); copy or write it again") from error
    return _rows_and_labels(arrays, f"{path}, group {group},", found)


def _rows_and_labels(arrays: dict[str, np.ndarray], where: str, found: Iterable[str]) -> Rows:
    x, y = (next((arrays[key] for key in keys if key in arrays), None) for keys in (ROWS, LABELS))
    if x is None:
        raise UserError(f"{where} has no array {' or '.join(map(repr, ROWS))}, only {', '.join(found) or 'nothing'}; "
                        "rename that of the rows to 'X' (and that of labels to 'y')")
    return x, y


def starts_like_idx(path: Path) -> bool:
    """Return whether the content, plain or gzip, begins like an IDX file's."""
    with path.open("rb") as stream:
        head = stream.read(4)
    with contextlib.suppress(EOFError, OSError, zlib.error), gzip.open(path) as stream:
        head = stream.read(4)
    return IDX.match(head) is not None


def read_idx(path: Path) -> np.ndarray:
    """Return the array in an IDX file, plain or gzip: uint8 for images and labels, big-endian for wider types.

    Raises:
      ValueError: damaged gzip, no IDX file, or a header that does not match the length of the file.
    """
    content = read_bytes(path)
    if not IDX.match(content):
        raise UserError(f"{path} is not an IDX file: it starts with {content[:4].hex(' ') or 'nothing'}, not with "
                        "00 00, a type and a number of dimensions; download it again")
    dtype, start = np.dtype(IDX_DTYPES[content[2]]), 4 + 4 * content[3]
    shape = tuple(int.from_bytes(content[i:i + 4], "big") for i in range(4, min(start, len(content)), 4))
    promised = start + math.prod(shape) * dtype.itemsize
    if promised != len(content):
        raise UserError(f"{path} should have {promised} bytes by its header (shape {shape}) but has {len(content)}; "
                        "it is incomplete or damaged: download it again")
    return np.frombuffer(content, dtype, offset=start).reshape(shape)


ARRAYS = {".npy": read_numpy, ".npz": read_numpy, ".h5": read_hdf5, ".hdf5": read_hdf5}
