"""Images, as arrays or files, as rows of pixels."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from dec.data.dataset import as_items, check_parameters, item_name
from dec.errors import UserError
from dec.paths import as_path

GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N", "F")  # Pillow's modes
CAMERAS = ("JPEG", "MPO", "WEBP")  # what to turn: Pillow does it itself for TIFF, and must decode a PNG to look


class ImageFeatures(TransformerMixin, BaseEstimator):
    """Images to uint8 rows [n, h*w] (grey) or [n, h*w*3] (colour), row-major with the channels last.

    Images are a uint8 array [n, h, w] or [n, h, w, 3], a list of uint8 arrays, or a list of paths of image files. Of
    files, transparency becomes white, 16 bits become 8, photos are turned upright by their EXIF tag, and of several
    frames the first counts.

    Args:
      size: (h, w) to resize to, smoothing where that makes an image smaller; None: as they are, all of one size.
      colour: grey or rgb: convert to it; keep: rgb if any image in `fit` is in colour, else grey.

    Attributes:
      shape_: (h, w) or (h, w, 3).
      blocks_: ("gaussian:D",).
    """

    def __init__(self, size: tuple[int, int] | None = None, colour: str = "keep") -> None:
        self.size = size
        self.colour = colour

    def fit(self, X: np.ndarray | Sequence, y: Any = None) -> ImageFeatures:
        """Learn the size and colour of the images `X`.

        Raises:
          FileNotFoundError: a missing file.
          ValueError: an unknown `colour`, a `size` that is no (h, w), no images, several sizes without `size`, a file
            that is no image, arrays of another dtype or shape.
        """
        check_parameters(self)
        if self.size is not None and len(self.size) != 2:
            raise UserError(f"size={self.size!r} must be (height, width), two whole numbers of at least 1")
        X = _checked(X)
        first, colourful = None, False
        for row in range(1 if isinstance(X, np.ndarray) and X.ndim > 1 else len(X)):  # an array's are all alike
            size, colour = _read(X, row, _look)
            first, colourful = first or size, colourful or colour
            if self.size is None and size != first:
                raise UserError(f"{_name(X, row)} is {size[0]} x {size[1]} (height x width), but {_name(X, 0)} is "
                                f"{first[0]} x {first[1]}; resize all to one, for example by --size "
                                f"{first[0]},{first[1]} (in Python size={first})")
        size = tuple(map(int, self.size or first))
        self.shape_ = (*size, 3) if self.colour == "rgb" or (self.colour == "keep" and colourful) else size
        self.blocks_ = (f"gaussian:{np.prod(self.shape_)}",)
        return self

    def transform(self, X: np.ndarray | Sequence) -> np.ndarray:
        """Return the rows uint8 [n, d] of the images `X`, grey or in colour as those of `fit`.

        Raises:
          FileNotFoundError, ValueError: as `fit`; without `size`, an image of another size than those of `fit`.
        """
        check_is_fitted(self)
        X = _checked(X)
        if isinstance(X, np.ndarray) and X.shape[1:] == self.shape_ and X.dtype == np.uint8:
            return X.reshape(len(X), -1)
        rows = np.empty((len(X), *self.shape_), np.uint8)
        height, width = self.shape_[:2]
        for row in range(len(X)):
            image = _read(X, row, _flat).convert("RGB" if len(self.shape_) == 3 else "L")
            if image.size != (width, height) and self.size is None:
                raise UserError(f"{_name(X, row)} is {image.height} x {image.width} (height x width), but the images "
                                f"of the fit are {height} x {width}; fit with size=({height}, {width}) to resize")
            rows[row] = image.resize((width, height), Image.Resampling.BILINEAR)  # a copy where it has that size
        return rows.reshape(len(X), -1)

    def inverse_transform(self, X: np.ndarray) -> np.ndarray:
        """Return rows [n, d] of any real dtype as images uint8 [n, *shape_], rounded and clipped to 0..255."""
        check_is_fitted(self)
        X, width = np.asarray(X), int(np.prod(self.shape_))
        if X.ndim != 2 or X.shape[1] != width:
            raise UserError(f"the rows have shape {X.shape}, but images of {self.shape_} need (n, {width})")
        return np.clip(np.rint(X), 0, 255).astype(np.uint8).reshape(len(X), *self.shape_)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return names like 'pixel 0,3' (row, column), of images in color 'pixel 0,3,red'."""
        check_is_fitted(self)
        channels = (",red", ",green", ",blue") if len(self.shape_) == 3 else ("",)
        return np.array([f"pixel {r},{c}{channel}" for r in range(self.shape_[0]) for c in range(self.shape_[1])
                         for channel in channels], dtype=object)


def _checked(X: Any) -> np.ndarray | list:
    """Return an array [n, ...], or a list whose items nobody has looked at yet."""
    X = as_items(X, "images")
    return np.asarray(X) if getattr(X, "ndim", 1) > 1 else list(X)


def _name(X: np.ndarray | Sequence, row: int) -> str:
    return item_name("the image in row", row, X[row])


def _read(X: np.ndarray | Sequence, row: int, what: Callable[[Image.Image], Any]) -> Any:
    """Return what a function makes of one image, opened but with its pixels not yet decoded."""
    value = X[row]
    if not isinstance(value, str | os.PathLike):
        value = np.asarray(value)
        if value.dtype != np.uint8 or 0 in value.shape or not (value.ndim == 2 or value.shape[2:] == (3,)):
            raise UserError(f"{_name(X, row)} has shape {value.shape} and dtype {value.dtype}, but must be a path or "
                            "uint8 of [h, w] or [h, w, 3]; bring values in 0..1 there by (255 * x).astype(np.uint8)")
        return what(Image.fromarray(value))
    try:
        with Image.open(as_path(value)) as image:
            return what(image)
    except FileNotFoundError:
        raise FileNotFoundError(f"{_name(X, row)} does not exist; check the path and the working directory") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # all that Pillow raises
        raise UserError(f"{_name(X, row)} is no image that can be read ({error}); remove it, or save it again as an "
                        "8-bit PNG") from error


def _look(image: Image.Image) -> tuple[tuple[int, int], bool]:
    """Return (height, width), and whether an image has color; decode it only if its palette may be all grey."""
    size = (image.height, image.width)
    if image.format in CAMERAS and image.getexif().get(ExifTags.Base.Orientation, 1) >= 5:  # on its side
        size = size[::-1]
    if image.mode not in ("P", "PA"):
        return size, image.mode not in GREY
    rgb = np.asarray(_flat(image))
    return size, bool((rgb != rgb[..., :1]).any())


def _flat(image: Image.Image) -> Image.Image:
    """Return the image upright, of 8 bits in mode L or RGB, over white."""
    if image.format in CAMERAS:
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise UserError("its values need more than 16 bits")
        return Image.fromarray(np.rint(values / 257).astype(np.uint8))  # 65535 = 257 * 255
    if image.mode == "F":
        raise UserError("its pixels are floating-point numbers of unknown range")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if image.mode in GREY else "RGB")
