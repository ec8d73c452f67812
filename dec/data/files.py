"""Readers of files: NumPy's .npy and .npz, and the formats of the named sets (IDX, USPS's HDF5, comma-separated)."""

from __future__ import annotations

import gzip
import math
import zipfile
import zlib
from pathlib import Path

import numpy as np

from dec.data.base import Dataset, as_raw, encode_labels

GZIP_MAGIC = b"\x1f\x8b"
# The third byte of an IDX file; its numbers are big-endian.
IDX_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_file(path: str | Path) -> Dataset:
    """The rows in an .npy file, or the rows `X` (or `x`) and labels `y` (or `labels`), if any, of an .npz file.

    Raises:
      FileNotFoundError: no such file.
      ValueError: another kind of file, a damaged one, pickled objects, missing keys, or values that `check_rows`
        or `encode_labels` refuses.
    """
    file = Path(path).expanduser()
    if not file.exists():
        raise FileNotFoundError(f"no file {path} (looked for {file.absolute()}); check the path and working directory")
    if file.is_dir() or file.suffix not in {".npy", ".npz"}:
        raise ValueError(f"{path} is neither an .npy nor an .npz file; write the rows with np.savez('data.npz', X=x, "
                         "y=labels) or np.save('data.npy', x)")
    try:
        loaded = np.load(file, allow_pickle=False)
        arrays = dict(loaded) if isinstance(loaded, np.lib.npyio.NpzFile) else {"X": loaded}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        if "pickle" in str(error):  # NumPy's only sign of object arrays and of pickles in disguise
            raise ValueError(f"{path} holds pickled objects, which are not read because they can run code; save a "
                             "plain numeric array, for example np.asarray(x, dtype=np.float32)") from error
        raise ValueError(f"{path} is damaged or incomplete ({error}); copy or write it again") from error
    x = next((arrays[key] for key in ("X", "x") if key in arrays), None)
    y = next((arrays[key] for key in ("y", "labels") if key in arrays), None)
    if x is None:
        raise ValueError(f"{path} has no array 'X' or 'x', only {', '.join(map(repr, arrays)) or 'nothing'}; rename "
                         "the array of rows to 'X' (and that of labels to 'y')")
    x = as_raw(x, str(path))
    y, classes = (None, ()) if y is None else encode_labels(y, len(x), str(path))
    return Dataset(file.stem, x, y, classes, f"{path}, {len(x)} rows")


def read_idx(path: Path) -> np.ndarray:
    """The array in an IDX file, plain or gzip: uint8 for images and labels, big-endian for wider types.

    Raises:
      ValueError: damaged gzip, no IDX file, or a header that does not match the length of the file.
    """
    content = path.read_bytes()
    if content.startswith(GZIP_MAGIC):
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path} is a damaged or truncated gzip file ({error}); download it again") from error
    dtype, dims = (IDX_DTYPES.get(content[2]), content[3]) if len(content) >= 4 else (None, 0)
    if content[:2] != b"\0\0" or dtype is None or dims == 0:
        raise ValueError(f"{path} is not an IDX file: it starts with {content[:4].hex(' ') or 'nothing'}, not with "
                         "00 00, a type and a number of dimensions; download it again")
    start = 4 + 4 * dims
    shape = tuple(int.from_bytes(content[i:i + 4], "big") for i in range(4, min(start, len(content)), 4))
    promised = start + math.prod(shape) * np.dtype(dtype).itemsize
    if promised != len(content):
        raise ValueError(f"{path} should have {promised} bytes by its header (shape {shape}) but has {len(content)}; "
                         "it is incomplete or damaged: download it again")
    return np.frombuffer(content, dtype, offset=start).reshape(shape)


def read_usps(path: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images [n, 16, 16] float32 in 0..1 and labels [n] of the group `split` of usps.h5.

    Raises:
      ValueError: no HDF5 file, or without the datasets `data` [n, 256] and `target` in that group.
    """
    import h5py

    try:
        with h5py.File(path) as file:
            return file[split]["data"][:].reshape(-1, 16, 16), file[split]["target"][:]
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(f"{path} is not the usps.h5 with {split}/data [n, 256] and {split}/target ({error}); "
                         "download it again") from error


def read_table(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Rows [n, d] and labels [n] of comma-separated integers with the label in the last column.

    Raises:
      ValueError: a line that is not such a row.
    """
    try:
        table = np.loadtxt(path, dtype=np.int64, delimiter=",", ndmin=2)
    except ValueError as error:
        raise ValueError(f"{path} is not a table of comma-separated integers ({error}); download it again") from error
    return table[:, :-1], table[:, -1]
