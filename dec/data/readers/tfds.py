"""Data sets of tensorflow-datasets, read without TensorFlow from array_record files and decoded once.

`tfds.load` needs TensorFlow; random access to array_record files does not. A set of tfds is prepared only by its user,
since that downloads it and may need TensorFlow (see `PREPARE`); `usps` needs neither (see `prepare`).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from dec.config import digest, nearest, unknown
from dec.data.dataset import Dataset, data_dir, encode_labels
from dec.data.precision import as_raw
from dec.errors import UserError
from dec.io import cache_dir

PREPARE = """tfds:{name} is not prepared as array_record under {root}. Prepare it once, with a network, by
  import tensorflow_datasets as tfds
  tfds.builder({name!r}, data_dir={root!r}, file_format='array_record').download_and_prepare()
That step needs TensorFlow installed wherever images are given to tfds as arrays (mnist, cifar10, ...); reading needs
no TensorFlow. Other formats than array_record are not read (tfrecord needs TensorFlow, parquet loses rows)."""
PREPARE_USPS = """tfds:usps is not prepared as array_record under {root}. Prepare it once by
  dec data prepare usps --from DIR
where DIR is the folder with usps.h5; that needs neither a network nor TensorFlow."""


def prepare(name: str, source: Path) -> str:
    """Write `usps`, from the folder `source`, as array_record under $DEC_DATA/tfds, without network and TensorFlow.

    `tfds:usps` then reads it. A set that is prepared already is left as it is. Returns a line that says where it is.

    Raises:
      FileNotFoundError: `source` lacks the file that its authors published.
      ValueError: an unknown name, no folder to write to, or a damaged file.
    """
    if name != "usps":
        raise UserError(unknown("data set to prepare", name, ["usps"]))
    if data_dir() is None:
        raise UserError("no folder to prepare usps in: set DEC_DATA to the folder for data sets; it goes into the "
                        "folder tfds in that one")
    from dec.data.readers.usps import Usps  # registers it, which reading does not need

    builder = Usps(data_dir=data_dir() / "tfds", file_format="array_record")
    if builder.data_path.exists():
        return f"tfds:usps is already prepared in {builder.data_path}; remove that folder to prepare it again"
    if not (source / "usps.h5").is_file():
        raise FileNotFoundError(f"no usps.h5 in {source}. To prepare usps, give the folder with "
                                f"{builder.MANUAL_DOWNLOAD_INSTRUCTIONS}")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=source))
    rows = sum(split.num_examples for split in builder.info.splits.values())
    return f"prepared tfds:usps, {rows} rows, in {builder.data_path}"


def read_tfds(spec: str) -> Dataset:
    """Return the data set NAME or NAME:SPLIT of tensorflow-datasets, from $DEC_DATA/tfds or else tfds's own folder.

    SPLIT is anything tfds understands ('train', 'train+test', 'train[:1000]'). The default pools those of train,
    validation and test that exist, or else all. Rows come in the order of the prepared files, which is shuffled. An
    image with one channel loses that axis: MNIST is [n, 28, 28], as it is from its IDX files. Texts are [n] str objects
    of kind 'text'; all else is of kind 'array'.

    Raises:
      FileNotFoundError: not prepared as array_record.
      ValueError: an unknown name or split, no text and no image or numeric feature of one fixed shape, or no rows.
    """
    name, _, split = spec.partition(":")
    root = data_dir() / "tfds" if data_dir() else None
    unprepared = (PREPARE_USPS if name == "usps" else PREPARE).format(
        name=name, root=str(root or tfds.core.constants.DATA_DIR))
    try:
        builder = tfds.builder(name, data_dir=root)
    except tfds.core.DatasetNotFoundError:
        if name == "usps":
            raise FileNotFoundError(unprepared) from None
        near = nearest(name, tfds.list_builders(with_community_datasets=False))
        hint = f" Did you mean {near!r}?" if near else ""
        raise UserError(f"Unknown data set 'tfds:{name}'.{hint} tensorflow_datasets.list_builders() lists all, and "
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
        raise UserError(f"tfds:{name} has no split {chosen!r}, or no rows in it ({error}); it has "
                        f"{', '.join(splits)}") from None

    inputs, label = _features(name, builder.info)
    written = (builder.data_path / "dataset_info.json").stat().mtime  # a set that is prepared anew is decoded anew
    key = digest(str(builder.data_dir), chosen, written, "json")
    cache = cache_dir() / "tfds" / f"{builder.name}-{key}.npz"
    if not cache.exists():
        cache.parent.mkdir(parents=True, exist_ok=True)
        temporary = cache.with_name(f"{os.getpid()}-{cache.name}")  # so that another process never reads half a cache
        np.savez(temporary, **_decode(f"tfds:{name}", rows, inputs, label))
        temporary.replace(cache)
    with np.load(cache, allow_pickle=False) as arrays:
        text, y = "texts" in arrays, arrays.get("y")
        x = np.array(json.loads(arrays["texts"].tobytes()), object) if text else as_raw(arrays["x"], f"tfds:{name}")
    classes: tuple[str, ...] = ()
    if y is not None:
        y, classes = encode_labels(y, len(x), f"tfds:{name}")
        names = getattr(builder.info.features[label], "names", None)
        classes = tuple(names[int(value)] for value in classes) if names else classes
    which = chosen.replace("+", " + ") + (" pooled" if "+" in chosen else "")
    return Dataset(name, x, y, classes, f"tfds {builder.info.full_name}, {which}, {len(x)} rows",
                   "text" if text else "array")


def _features(name: str, info: tfds.core.DatasetInfo) -> tuple[str, str | None]:
    """Return the keys of the feature to cluster and of its label (None without).

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
        raise UserError(f"tfds:{name} has no text, image or numeric tensor to cluster; its features are "
                        f"{', '.join(f'{key} ({type(f).__name__})' for key, f in info.features.items())}. Turn it "
                        "into numbers and save them as .npz")
    label = next((key for key in pair[1:] if kinds.get(key, "") in "iu"), None)  # a float is a quantity, not a class
    return pair[0], label


def _decode(name: str, rows: Any, inputs: str, label: str | None) -> dict[str, np.ndarray]:
    """Return every row decoded: x [n, ...], or `texts` as JSON in bytes, and y [n] where there is a label for each."""
    first, y = np.asarray(rows[0][inputs]), []
    text = first.dtype.kind in "SUO"
    x = np.empty((len(rows), *first.shape), object if text else first.dtype)
    for i, row in enumerate(rows):
        value = row[inputs]
        if isinstance(value, bytes):
            try:
                value = value.decode()
            except UnicodeDecodeError as error:
                raise UserError(f"{inputs!r} of {name} is not UTF-8 in row {i} ({error}); turn it into numbers and "
                                "save them as .npz") from error
        if not text and np.shape(value) != first.shape:
            raise UserError(f"{inputs!r} of {name} has shape {first.shape} in row 0 but {np.shape(value)} in row {i}; "
                            "bring all rows to one shape and save them as .npz")
        x[i] = value
        if label:
            y.append(row[label])
    if x.ndim == 4 and x.shape[-1] == 1:
        x = x[..., 0]
    # A str array would be as wide as its longest text.
    arrays = {"texts": np.frombuffer(json.dumps(x.tolist()).encode(), np.uint8)} if text else {
        "x": x if x.ndim > 1 else x[:, None]}
    labelled = y and np.min(y) >= 0  # tfds writes -1 for 'not labelled'
    return arrays | ({"y": np.asarray(y)} if labelled else {})
