"""Any file or folder to a `Dataset`: arrays here, tables in `tabular` and folders in `folder`."""

from __future__ import annotations

import gzip
import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from dec.config import Features
from dec.data import tabular
from dec.data.base import Dataset, as_raw, check_rows, encode_labels
from dec.data.folder import read_folder

GZIP_MAGIC = b"\x1f\x8b"
# The third byte of an IDX file; its numbers are big-endian.
IDX_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MAPPED = 256 * 2**20  # bytes of an .npy file above which its rows stay on the disk
IDX_SUFFIXES = {".idx", ".idx.gz"}
ROWS, LABELS = ("X", "x", "data"), ("y", "labels", "target")  # what HDF5 files call them; .npz: the first two

Rows = tuple[Any, np.ndarray | None]  # values [n, ...] as they are stored, and labels [n]


def read_file(path: str | Path, features: Features, labels: bool = True) -> Dataset:
    """The rows, and labels if any, in a file or folder, told by its suffix or, for IDX, by its content.

        .npy                           the rows; above 256 MB they stay on the disk, mapped into memory
        .npz                           rows 'X' or 'x', labels 'y' or 'labels'; or what scipy.sparse.save_npz wrote
        .h5 .hdf5                      rows 'X', 'x' or 'data', labels 'y', 'labels' or 'target'
        -ubyte, .idx (also .gz)        the rows of an IDX file
        .csv .tsv .tab .jsonl (also .gz), .parquet    see `table_dataset`
        a folder                       see `read_folder`

    Raises:
      FileNotFoundError: no such file.
      ValueError: another kind of file, a damaged one, pickled objects, missing keys, or values that `check_rows`
        or `encode_labels` refuses.
    """
    file = Path(path).expanduser()
    if not file.exists():
        raise FileNotFoundError(f"no file {path} (looked for {file.absolute()}); check the path and working directory")
    if file.is_dir():
        return read_folder(file, features, labels)
    suffix, name = suffix_of(file), Path(file.name.removesuffix(".gz")).stem
    if suffix in tabular.SUFFIXES:
        frame = tabular.read_frame(file, [name for name in (features.id, *features.keep) if name])
        return tabular.table_dataset(frame, name, str(path), features, labels)
    if suffix in ARRAYS:
        x, y = ARRAYS[suffix](file)
    elif suffix in IDX_SUFFIXES or name.endswith("-ubyte") or _starts_like_idx(file):
        x, y = read_idx(file), None
    else:
        raise ValueError(f"{path} is no file of a known kind: those are {' '.join(sorted(SUFFIXES))} and IDX, and "
                         "folders of images, .txt, .npy or .parquet. Write arrays with np.savez('data.npz', X=x, "
                         "y=labels), tables with DataFrame.to_csv('data.csv', index=False)")
    if isinstance(x, np.memmap):
        check_rows(x, str(path))
    else:
        x = as_raw(x, str(path))
    y, classes = (None, ()) if y is None else encode_labels(y, x.shape[0], str(path))
    return Dataset(name, x, y, classes, f"{path}, {x.shape[0]} rows")


def suffix_of(path: Path) -> str:
    """The suffix in lower case, with the one before it for .gz: '.csv.gz'."""
    return "".join(path.suffixes[-2:] if path.suffix.lower() == ".gz" else path.suffixes[-1:]).lower()


def read_numpy(path: Path) -> Rows:
    """The rows in an .npy file, or the rows and labels in an .npz file.

    Raises:
      ValueError: a damaged file, pickled objects or no rows 'X'.
    """
    arrays, key = {}, ""
    try:
        loaded = np.load(path, "r" if path.stat().st_size > MAPPED else None, allow_pickle=False)  # .npz: never mapped
        if isinstance(loaded, np.lib.npyio.NpzFile):
            with loaded:
                sparse = {"format", "shape", "data"} <= set(loaded)
                for key in () if sparse else loaded:
                    arrays[key] = loaded[key]
                arrays = {"X": _sparse(path)} if sparse else arrays
        else:
            arrays = {"X": loaded}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        if "pickle" in str(error) or "Python objects" in str(error):  # NumPy's only signs of object arrays and pickles
            raise ValueError(f"{path} holds pickled objects{key and f' in {key!r}'}, which are not read because they "
                             "can run code; save a plain numeric array, for example np.asarray(x, dtype=np.float32), "
                             "and labels as y.astype(str)") from error
        raise ValueError(f"{path} is damaged or incomplete ({error}); copy or write it again") from error
    x, y = _pick(arrays, ROWS[:2]), _pick(arrays, LABELS[:2])
    if x is None:
        raise ValueError(f"{path} has no array 'X' or 'x', only {', '.join(map(repr, arrays)) or 'nothing'}; rename "
                         "the array of rows to 'X' (and that of labels to 'y')")
    return x, y


def _sparse(path: Path) -> Any:
    """What scipy.sparse.save_npz wrote, with its indices checked: those of a damaged file lead outside its memory."""
    x = scipy.sparse.load_npz(path)
    if hasattr(x, "check_format"):
        x.check_format(full_check=True)
    return x


def _hdf5(path: Path) -> Rows:
    """The rows and labels at the top of an HDF5 file."""
    import h5py

    try:
        with h5py.File(path) as file:
            arrays = {key: file[key] for key in (*ROWS, *LABELS) if isinstance(file.get(key), h5py.Dataset)}
            x, y = _pick(arrays, ROWS), _pick(arrays, LABELS)
            if x is not None:
                if y is not None:
                    y = y.asstr()[()].astype(str) if h5py.check_string_dtype(y.dtype) else y[()]
                return x[()], y
            found: list[str] = []
            file.visititems(lambda key, item: found.append(f"{key} {item.shape}") if hasattr(item, "shape") else None)
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{path} is not an HDF5 file, or a damaged one ({error}); copy or write it again") from error
    raise ValueError(f"{path} has no dataset {' or '.join(map(repr, ROWS))} at its top, only "
                     f"{', '.join(found) or 'nothing'}; rename that of the rows to 'X' (and that of labels to 'y')")


def _pick(arrays: dict[str, Any], keys: tuple[str, ...]) -> Any:
    """The first of these that is there, or None."""
    return next((arrays[key] for key in keys if key in arrays), None)


def _starts_like_idx(path: Path) -> bool:
    """Whether the content is an IDX file's, by its first bytes."""
    with path.open("rb") as stream:
        head = stream.read(4)
    if head.startswith(GZIP_MAGIC):
        try:
            with gzip.open(path) as stream:
                head = stream.read(4)
        except (EOFError, OSError, zlib.error):
            return False
    return len(head) == 4 and head[:2] == b"\0\0" and head[2] in IDX_DTYPES and head[3] > 0


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


ARRAYS = {".npy": read_numpy, ".npz": read_numpy, ".h5": _hdf5, ".hdf5": _hdf5}
SUFFIXES = {*ARRAYS, *IDX_SUFFIXES, *tabular.SUFFIXES}  # what makes a name one of a file, even of one that is missing
