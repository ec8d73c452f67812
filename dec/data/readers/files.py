"""Any file or folder to a `Dataset`: the reader is told by the suffix or, for IDX, by the content."""

from __future__ import annotations

from pathlib import Path

from dec.config import Features
from dec.data.arrays import ARRAYS, IDX_SUFFIXES, read_idx, starts_like_idx
from dec.data.dataset import Dataset, encode_labels
from dec.data.kinds import KINDS
from dec.data.precision import as_raw
from dec.data.readers import tabular
from dec.data.readers.folder import read_folder
from dec.errors import UserError
from dec.paths import as_path

SUFFIXES = {*ARRAYS, *IDX_SUFFIXES, *tabular.SUFFIXES}  # what makes a name one of a file, even of one that is missing


def read_file(path: str | Path, features: Features, labels: bool = True) -> Dataset:
    """Return the rows, and labels if any, in a file or folder, told by its suffix or, for IDX, by its content.

        .npy                           the rows; above 256 MB they stay on the disk, mapped into memory
        .npz .h5 .hdf5                 rows 'X', 'x' or 'data', labels 'y', 'labels' or 'target'
        .npz                           also what scipy.sparse.save_npz wrote
        -ubyte, .idx (also .gz)        the rows of an IDX file
        .csv .tsv .tab .jsonl (also .gz), .parquet    see `table_dataset`
        a folder                       see `read_folder`

    Raises:
      FileNotFoundError: no such file.
      ValueError: another kind of file, a damaged one, pickled objects, missing keys, or values that `check_rows`
        or `encode_labels` refuses.
    """
    file = as_path(path)
    if not file.exists():
        raise FileNotFoundError(f"no file {path} (looked for {file.absolute()}); check the path and working directory")
    if file.is_dir():
        return read_folder(file, features, labels)
    suffix, name = suffix_of(file), Path(file.name.removesuffix(".gz")).stem
    for kind in KINDS.values():
        if suffix in kind.suffixes:
            return kind.read(file, features, labels)
    if suffix in tabular.SUFFIXES:
        frame = tabular.read_frame(file, [name for name in (features.id, *features.keep) if name])
        return tabular.table_dataset(frame, name, str(path), features, labels)
    if suffix in ARRAYS:
        x, y = ARRAYS[suffix](file)
    elif suffix in IDX_SUFFIXES or name.endswith("-ubyte") or starts_like_idx(file):
        x, y = read_idx(file), None
    else:
        raise UserError(f"{path} is no file of a known kind: those are {' '.join(sorted(SUFFIXES))} and IDX, and "
                        "folders of images, .txt, .npy or .parquet. Write arrays with np.savez('data.npz', X=x, "
                        "y=labels), tables with DataFrame.to_csv('data.csv', index=False)")
    x = as_raw(x, str(path))
    y, classes = (None, ()) if y is None else encode_labels(y, x.shape[0], str(path))
    return Dataset(name, x, y, classes, f"{path}, {x.shape[0]} rows")


def suffix_of(path: Path) -> str:
    """Return the suffix in lower case, with the one before it for .gz: '.csv.gz'."""
    return "".join(path.suffixes[-2:] if path.suffix.lower() == ".gz" else path.suffixes[-1:]).lower()
