"""USPS for tensorflow-datasets, which lacks it: an example to copy for a set of your own.

Such a builder prepares without TensorFlow if images are `Tensor` features, as here, or `Image` features that are given
PIL images or the paths of image files; to write an `Image` from a NumPy array, tfds needs TensorFlow. Once prepared, a
set is read from its folder alone, without this class.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from dec.data.arrays import read_hdf5


class Usps(tfds.core.GeneratorBasedBuilder):
    """Postal digits: `image` [16, 16] float32 in 0..1, in steps of 1/2000 that uint8 could not hold, and `label`."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = ("usps.h5, the HDF5 file of the 'USPS dataset' on Kaggle: groups train and test, "
                                    "each with data [n, 256] and target [n]")

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Handwritten digits from envelopes of the US Postal Service, 7291 + 2007 images.",
            citation="J. J. Hull. A database for handwritten text recognition research. IEEE TPAMI 16(5), 1994.",
            features=tfds.features.FeaturesDict({"image": tfds.features.Tensor(shape=(16, 16), dtype=np.float32),
                                                 "label": tfds.features.ClassLabel(num_classes=10)}),
            supervised_keys=("image", "label"))

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        path = Path(dl_manager.manual_dir) / "usps.h5"
        return {split: self._generate_examples(path, split) for split in ("train", "test")}

    def _generate_examples(self, path: Path, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """Return a key that is unique in its split, and a row."""
        images, labels = read_hdf5(path, split)
        for i, (image, label) in enumerate(zip(images.reshape(-1, 16, 16), labels, strict=True)):
            yield i, {"image": image, "label": int(label)}
