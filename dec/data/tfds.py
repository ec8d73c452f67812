"""Data sets of tensorflow-datasets, read without TensorFlow from array_record files and decoded once.

`tfds.load` needs TensorFlow; random access to array_record files does not. A set of tfds is prepared only by its user,
since that downloads it and may need TensorFlow (see `PREPARE`); those of `BUILDERS` need neither (see `prepare`).
"""

from __future__ import annotations

import difflib
import importlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from dec.config import digest, unknown
from dec.data import base
from dec.data.base import Dataset, as_raw, cache_dir, encode_labels

# The builders of this package: the module that registers each with tfds, and the files it needs.
BUILDERS = {"usps": ("dec.data.usps", ("usps.h5",))}

PREPARE = """tfds:{name} is not prepared as array_record under {root}. Prepare it once, with a network, by
  import tensorflow_datasets as tfds
  tfds.builder({name!r}, data_dir={root!r}, file_format='array_record').download_and_prepare()
That step needs TensorFlow installed wherever images are given to tfds as arrays (mnist, cifar10, ...); reading needs
no TensorFlow. Other formats than array_record are not read (tfrecord needs TensorFlow, parquet loses rows)."""
PREPARE_OURS = """tfds:{name} is not prepared as array_record under {root}. Prepare it once by
  dec data prepare {name} --from DIR
where DIR is the folder with {files}; that needs neither a network nor TensorFlow."""


def prepare(name: str, source: Path, data_dir: Path | None = None) -> str:
    """Write a set of `BUILDERS` as array_record; `tfds:NAME` then reads it. No network and no TensorFlow are needed.

    Args:
      source: the folder with the files that its authors published.
      data_dir: goes into the folder tfds of this one; default $DEC_DATA.

    Returns:
      One line that says where it is. A set that is prepared already is left as it is.

    Raises:
      FileNotFoundError: `source` lacks a file.
      ValueError: an unknown name, no folder to write to, or a damaged file.
    """
    if name not in BUILDERS:
        raise ValueError(unknown("data set to prepare", name, list(BUILDERS)))
    data_dir = data_dir or base.data_dir()
    if data_dir is None:
        raise ValueError(f"no folder to prepare {name} in: set DEC_DATA to the folder for data sets; it goes into the "
                         "folder tfds in that one")
    import tensorflow_datasets as tfds

    module, files = BUILDERS[name]
    importlib.import_module(module)
    builder = tfds.builder(name, data_dir=data_dir / "tfds", file_format="array_record")
    if builder.data_path.exists():
        return f"tfds:{name} is already prepared in {builder.data_path}; remove that folder to prepare it again"
    missing = [file for file in files if not (source / file).is_file()]
    if missing:
        raise FileNotFoundError(f"no {', '.join(missing)} in {source}. To prepare {name}, give the folder with "
                                f"{builder.MANUAL_DOWNLOAD_INSTRUCTIONS}")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=source))
    rows = sum(split.num_examples for split in builder.info.splits.values())
    return f"prepared tfds:{name}, {rows} rows, in {builder.data_path}"


def read_tfds(spec: str) -> Dataset:
    """The data set NAME or NAME:SPLIT of tensorflow-datasets, from $DEC_DATA/tfds or else tfds's own folder.

    SPLIT is anything tfds understands ('train', 'train+test', 'train[:1000]'). The default pools those of train,
    validation and test that exist, or else all. Rows come in the order of the prepared files, which is shuffled. An
    image with one channel loses that axis: MNIST is [n, 28, 28], as it is from its IDX files. Texts are [n] str objects
    of kind 'text'; all else is of kind 'array'.

    Raises:
      FileNotFoundError: not prepared as array_record.
      ValueError: an unknown name or split, no text and no image or numeric feature of one fixed shape, or no rows.
    """
    import tensorflow_datasets as tfds

    name, _, split = spec.partition(":")
    data_dir = base.data_dir()
    root = data_dir / "tfds" if data_dir else None
    where = str(root or tfds.core.constants.DATA_DIR)
    if name in BUILDERS:
        unprepared = PREPARE_OURS.format(name=name, root=where, files=", ".join(BUILDERS[name][1]))
    else:
        unprepared = PREPARE.format(name=name, root=where)
    try:
        builder = tfds.builder(name, data_dir=root)
    except tfds.core.DatasetNotFoundError:
        if name in BUILDERS:
            raise FileNotFoundError(unprepared) from None
        near = difflib.get_close_matches(name, tfds.list_builders(with_community_datasets=False), n=3)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise ValueError(f"Unknown data set 'tfds:{name}'.{hint} tensorflow_datasets.list_builders() lists all, and "
                         f"a set of your own must be prepared under {root or 'the default folder of tfds'}.") from None
    splits = list(builder.info.splits)
    if not splits:
        raise FileNotFoundError(unprepared)
    chosen = split or "+".join([s for s in ("train", "validation", "test") if s in splits] or splits)
    try:
        rows = builder.as_data_source(chosen, file_format="array_record")
    except NotImplementedError:
        raise FileNotFoundError(unprepared) from None
    except (ValueError, KeyError) as error:
        if "format" in str(error):
            raise FileNotFoundError(unprepared) from None
        raise ValueError(f"tfds:{name} has no split {chosen!r}, or no rows in it ({error}); it has "
                         f"{', '.join(splits)}") from None

    inputs, label = _features(name, builder.info, tfds)
    written = (builder.data_path / "dataset_info.json").stat().mtime  # a set that is prepared anew is decoded anew
    cache = cache_dir() / "tfds" / f"{name.replace('/', '-')}-{digest(str(builder.data_dir), chosen, written)}.npz"
    if not cache.exists():
        _write(cache, **_decode(f"tfds:{name}", rows, inputs, label))
    with np.load(cache, allow_pickle=False) as arrays:
        text = "utf8" in arrays
        x = _texts(arrays["utf8"], arrays["ends"]) if text else as_raw(arrays["x"], f"tfds:{name}")
        y = arrays.get("y")
    classes: tuple[str, ...] = ()
    if y is not None:
        y, classes = encode_labels(y, len(x), f"tfds:{name}")
        names = getattr(builder.info.features[label], "names", None)
        classes = tuple(names[int(value)] for value in classes) if names else classes
    which = chosen.replace("+", " + ") + (" pooled" if "+" in chosen else "")
    return Dataset(name, x, y, classes, f"tfds {builder.info.full_name}, {which}, {len(x)} rows",
                   "text" if text else "array")


def _features(name: str, info: Any, tfds: Any) -> tuple[str, str | None]:
    """The keys of the feature to cluster and of its label (None without).

    The supervised pair, where tfds names one. Else the first array, text or number in this order, since a number beside
    them is an index, and the first label.
    """
    kinds = {key: np.dtype(feature.np_dtype).kind for key, feature in info.features.items()
             if isinstance(feature, (tfds.features.Tensor, tfds.features.Image))}
    labels = [key for key in kinds if isinstance(info.features[key], tfds.features.ClassLabel)]
    scalar = {key for key in kinds if info.features[key].shape == ()}
    numeric = [key for key, kind in kinds.items() if kind in "biuf" and key not in labels]
    texts = [key for key, kind in kinds.items() if kind == "O" and key in scalar]
    inputs = [key for key in numeric if key not in scalar] + texts + [key for key in numeric if key in scalar]
    pair = info.supervised_keys if info.supervised_keys and len(info.supervised_keys) == 2 else inputs[:1] + labels[:1]
    if not inputs or pair[0] not in inputs:
        raise ValueError(f"tfds:{name} has no text, image or numeric tensor to cluster; its features are "
                         f"{', '.join(f'{key} ({type(f).__name__})' for key, f in info.features.items())}. Turn it "
                         "into numbers and save them as .npz")
    label = next((key for key in pair[1:] if kinds.get(key, "") in "iu"), None)  # a float is a quantity, not a class
    return pair[0], label


def _decode(name: str, rows: Any, inputs: str, label: str | None) -> dict[str, np.ndarray]:
    """Every row decoded: x [n, ...], or `utf8` and `ends` of texts, and y [n] where there is a label for each."""
    y: list[Any] = []

    def values() -> Iterable[Any]:
        for row in rows:
            y.append(row[label] if label else None)
            yield row[inputs]

    if isinstance(rows[0][inputs], (bytes, str)):
        arrays = _pack(name, inputs, values())
    else:
        arrays = {"x": _stack(name, inputs, len(rows), values())}
    # tfds writes -1 for 'not labelled'.
    labelled = label and not (np.asarray(y).dtype.kind == "i" and np.min(y) < 0)
    return arrays | ({"y": np.asarray(y)} if labelled else {})


def _stack(name: str, inputs: str, n: int, values: Iterable[Any]) -> np.ndarray:
    """n arrays of one shape as [n, ...]; it exists only once, however large."""
    x = np.empty(0)
    for i, value in enumerate(map(np.asarray, values)):
        if i == 0:
            x = np.empty((n, *value.shape), value.dtype)
        if value.shape != x.shape[1:]:
            raise ValueError(f"{inputs!r} of {name} has shape {x.shape[1:]} in row 0 but {value.shape} in row {i}; "
                             "bring all rows to one shape and save them as .npz")
        x[i] = value
    if x.ndim == 4 and x.shape[-1] == 1:
        x = x[..., 0]
    return as_raw(x if x.ndim > 1 else x[:, None], name)


def _pack(name: str, inputs: str, values: Iterable[bytes | str]) -> dict[str, np.ndarray]:
    """Texts as one array of bytes and the place [n] where each ends: a str array is as wide as its longest text."""
    texts = [value.encode() if isinstance(value, str) else value for value in values]
    for i, text in enumerate(texts):
        try:
            text.decode()
        except UnicodeDecodeError as error:
            raise ValueError(f"{inputs!r} of {name} is not UTF-8 in row {i} ({error}); turn it into numbers and save "
                             "them as .npz") from error
    return {"utf8": np.frombuffer(b"".join(texts), np.uint8), "ends": np.cumsum([len(text) for text in texts])}


def _texts(utf8: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The inverse of `_pack`: [n] str objects."""
    joined, starts = utf8.tobytes(), [0, *ends.tolist()]
    x = np.empty(len(ends), object)
    x[:] = [joined[start:end].decode() for start, end in zip(starts, ends.tolist())]
    return x


def _write(path: Path, **arrays: np.ndarray) -> None:
    """Save to a temporary file and rename it, so that a second process never reads half a cache."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".npz")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **arrays)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
