"""Data sets of tensorflow-datasets, read without TensorFlow from array_record files and decoded once.

`tfds.load` needs TensorFlow; random access to array_record files does not. A set is prepared only by its user, since
that downloads it and may need TensorFlow (see `PREPARE`).
"""

from __future__ import annotations

import difflib
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from dec.config import digest
from dec.data.base import Dataset, as_raw, cache_dir, data_dir, encode_labels

PREPARE = """tfds:{name} is not prepared as array_record under {root}. Prepare it once, with a network, by
  import tensorflow_datasets as tfds
  tfds.builder({name!r}, data_dir={root!r}, file_format='array_record').download_and_prepare()
That step needs TensorFlow installed wherever images are given to tfds as arrays (mnist, cifar10, ...); reading needs
no TensorFlow. Other formats than array_record are not read (tfrecord needs TensorFlow, parquet loses rows)."""


def read_tfds(spec: str) -> Dataset:
    """The data set NAME or NAME:SPLIT of tensorflow-datasets, from $DEC_DATA/tfds or else tfds's own folder.

    SPLIT is anything tfds understands ('train', 'train+test', 'train[:1000]'). The default pools those of train,
    validation and test that exist, or else all. Rows come in the order of the prepared files, which is shuffled. An
    image with one channel loses that axis: MNIST is [n, 28, 28], as it is from its IDX files.

    Raises:
      FileNotFoundError: not prepared as array_record.
      ValueError: an unknown name or split, or no image or numeric feature of one fixed shape.
    """
    import tensorflow_datasets as tfds

    name, _, split = spec.partition(":")
    root = data_dir() / "tfds" if data_dir() else None
    try:
        builder = tfds.builder(name, data_dir=root)
    except tfds.core.DatasetNotFoundError:
        near = difflib.get_close_matches(name, tfds.list_builders(with_community_datasets=False), n=3)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise ValueError(f"Unknown data set 'tfds:{name}'.{hint} tensorflow_datasets.list_builders() lists all, and "
                         f"a set of your own must be prepared under {root or 'the default folder of tfds'}.") from None
    splits = list(builder.info.splits)
    unprepared = PREPARE.format(name=name, root=str(root or tfds.core.constants.DATA_DIR))
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
        raise ValueError(f"tfds:{name} has no split {split!r} ({error}); it has {', '.join(splits)}") from None

    key = digest(str(builder.data_dir), chosen, len(rows))
    cache = cache_dir() / "tfds" / f"{name.replace('/', '-')}-{key}.npz"
    inputs, label = _features(name, builder.info, tfds)
    if not cache.exists():
        _write(cache, **_decode(f"tfds:{name}", rows, inputs, label))
    with np.load(cache, allow_pickle=False) as arrays:
        x, y = as_raw(arrays["x"], f"tfds:{name}"), arrays.get("y")
    classes: tuple[str, ...] = ()
    if y is not None:
        y, classes = encode_labels(y, len(x), f"tfds:{name}")
        names = getattr(builder.info.features[label], "names", None)
        classes = tuple(names[int(value)] for value in classes) if names else classes
    which = chosen.replace("+", " + ") + (" pooled" if "+" in chosen else "")
    return Dataset(name, x, y, classes, f"tfds {builder.info.full_name}, {which}, {len(x)} rows")


def _features(name: str, info: Any, tfds: Any) -> tuple[str, str | None]:
    """The keys of the feature to cluster and of its label (None without): the supervised pair, else by their types."""
    kinds = {key: np.dtype(feature.np_dtype).kind for key, feature in info.features.items()
             if isinstance(feature, (tfds.features.Tensor, tfds.features.Image))}
    labels = [key for key in kinds if isinstance(info.features[key], tfds.features.ClassLabel)]
    numeric = [key for key, kind in kinds.items() if kind in "biuf" and key not in labels]
    pair = info.supervised_keys if info.supervised_keys and len(info.supervised_keys) == 2 else numeric[:1] + labels[:1]
    if not numeric or pair[0] not in numeric:
        raise ValueError(f"tfds:{name} has no image or numeric tensor to cluster; its features are "
                         f"{', '.join(f'{key} ({type(f).__name__})' for key, f in info.features.items())}. Turn it "
                         "into numbers and save them as .npz")
    label = next((key for key in pair[1:] if kinds.get(key, "") in "iu"), None)  # a float is a quantity, not a class
    return pair[0], label


def _decode(name: str, rows: Any, inputs: str, label: str | None) -> dict[str, np.ndarray]:
    """Every row decoded: x [n, ...] and, where there is a label for each, y [n]."""
    first = np.asarray(rows[0][inputs])
    x, y = np.empty((len(rows), *first.shape), first.dtype), []
    for i, row in enumerate(rows):
        value = np.asarray(row[inputs])
        if value.shape != first.shape:
            raise ValueError(f"{inputs!r} of {name} has shape {first.shape} in row 0 but {value.shape} in row {i}; "
                             "bring all rows to one shape and save them as .npz")
        x[i] = value
        y.append(row[label] if label else None)
    if x.ndim == 4 and x.shape[-1] == 1:
        x = x[..., 0]
    # tfds writes -1 for 'not labelled'.
    labelled = label and not (np.asarray(y).dtype.kind == "i" and np.min(y) < 0)
    return {"x": as_raw(x if x.ndim > 1 else x[:, None], name)} | ({"y": np.asarray(y)} if labelled else {})


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
