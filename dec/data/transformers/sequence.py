"""Recordings over time as rows of equal length: whole, or cut into windows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from dec.data.arrays import read_numpy
from dec.data.dataset import as_items, check_parameters, check_rows, item_name
from dec.errors import UserError
from dec.paths import as_path


class SequenceWindows(TransformerMixin, BaseEstimator):
    """Recordings to float32 rows [rows, t*c], step after step, each with its c channels.

    Recordings are a numeric array [n, t, c] or [n, t] (c = 1), or a sequence of arrays [t_i, c] or [t_i] or of paths
    of .npy files with such arrays. If `fit` sees one that is shorter than the rows, rows are masked: [rows, t*c + t],
    filled up with zeros behind the last step, and the last t columns are 1 where there is a step, else 0.

    Of masked rows, an estimator must be told, or it takes the mask and what is filled up for values. On the command
    line it is; in Python, fit the windows first: DeepClustering(network=Network(blocks=windows.blocks_)).

    Args:
      window: cut every recording into windows of so many steps, a row each. What is left over at the end is dropped;
        only a recording shorter than the window is kept, as one masked row. None: each recording is a row.
      stride: steps from the start of one window to the next; None: the window, so that none overlap.

    Attributes:
      shape_: (t, c); without `window`, t is the longest recording of `fit`.
      masked_: whether rows end with a mask.
      blocks_: ("gaussian:t*c",), or masked ("sequence:TxC",) of T * (C + 1) columns.
    """

    def __init__(self, window: int | None = None, stride: int | None = None) -> None:
        self.window = window
        self.stride = stride

    def fit(self, X: np.ndarray | Sequence, y: Any = None) -> SequenceWindows:
        """Learn the shape of the recordings `X`.

        Raises:
          ValueError: a `window` or `stride` below 1, a `stride` without `window`; recordings of no steps or channels,
            of different channels, or with a value that is no finite number; a file that is no such recording.
        """
        recordings = self._recordings(X)
        lengths = [len(recording) for recording in recordings]
        steps = max(lengths) if self.window is None else int(self.window)
        channels = recordings[0].shape[1]
        self.shape_ = (steps, channels)
        self.masked_ = min(lengths) < steps
        self.blocks_ = (f"sequence:{steps}x{channels}" if self.masked_ else f"gaussian:{steps * channels}",)
        return self

    def transform(self, X: np.ndarray | Sequence) -> np.ndarray:
        """Return the rows float32 [rows, t*c], or [rows, t*c + t] if masked, of the recordings `X`; see `windows`.

        Raises:
          ValueError: as `fit`; a recording of other channels, longer than any of `fit` (without `window`), or shorter
            than the rows though none of `fit` was.
        """
        check_is_fitted(self)
        recordings = self._recordings(X)
        steps, channels = self.shape_
        for i, (value, recording) in enumerate(zip(X, recordings)):
            name = item_name("recording", i, value)
            if recording.shape[1] != channels:
                raise UserError(f"{name} has {recording.shape[1]} channels, but those of the fit have "
                                f"{channels}; give the same channels")
            if self.window is None and len(recording) > steps:
                raise UserError(f"{name} has {len(recording)} steps, but the longest of the fit has "
                                f"{steps}; fit with window={steps} to cut longer ones, or shorten it")
            if len(recording) < steps and not self.masked_:
                raise UserError(f"{name} has {len(recording)} steps, but none of the fit has less than "
                                f"{steps}, so rows have no mask; leave it out, or fit with window={len(recording)}")
        places, width = self._places(recordings), steps * channels
        rows = np.zeros((len(places), width + steps * self.masked_), np.float32)
        for row, (i, start) in zip(rows, places):
            piece = recordings[i][start:start + steps]
            row[:piece.size] = piece.ravel()
            row[width:width + len(piece)] = 1
        return rows

    def windows(self, X: np.ndarray | Sequence) -> np.ndarray:
        """Return the source of each row of `transform(X)`: int [rows, 2], its recording and first step."""
        return self._places(self._recordings(X))

    def inverse_transform(self, X: np.ndarray) -> np.ndarray:
        """Return rows as windows float32 [rows, t, c], NaN where the mask is 0 (below ½).

        A network's reconstruction has nothing meaningful in the columns of the mask: put those of its input there.
        """
        check_is_fitted(self)
        X, (steps, channels) = np.asarray(X, np.float32), self.shape_
        width = steps * (channels + self.masked_)
        if X.ndim != 2 or X.shape[1] != width:
            raise UserError(f"the rows have shape {X.shape}, but {steps} steps of {channels} channels need "
                            f"(n, {width})" + (" with the mask" if self.masked_ else ""))
        values = X[:, :steps * channels].reshape(-1, steps, channels)
        return np.where(X[:, steps * channels:, None] < 0.5, np.float32(np.nan), values) if self.masked_ else values

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return names like 't0 channel 0' for values and 't0 is there' for the mask."""
        check_is_fitted(self)
        steps, channels = self.shape_
        names = [f"t{t} channel {c}" for t in range(steps) for c in range(channels)]
        return np.array(names + [f"t{t} is there" for t in range(steps) if self.masked_], dtype=object)

    def _recordings(self, X: np.ndarray | Sequence) -> list[np.ndarray]:
        """Return each recording as float32 [t_i, c]; they and the parameters are checked."""
        check_parameters(self)
        if self.window is None and self.stride is not None:
            raise UserError(f"stride={self.stride} has no meaning without window; give both or neither")
        recordings = []
        for i, value in enumerate(as_items(X, "recordings")):
            name = item_name("recording", i, value)
            try:
                given = read_numpy(as_path(value))[0] if isinstance(value, str | os.PathLike) else np.asarray(value)
            except ValueError as error:  # nested lists of different lengths, or a damaged file
                raise UserError(f"{name} is no array of [steps, channels] ({error})") from error
            recording = given[:, None] if given.ndim == 1 else given
            if recording.ndim != 2:
                raise UserError(f"{name} has shape {given.shape}, but must be [steps, channels] or [steps]")
            check_rows(recording, f"{name}, of [steps, channels],")
            if recordings and recording.shape[1] != recordings[0].shape[1]:
                raise UserError(f"{name} has {recording.shape[1]} channels, but recording 0 has "
                                f"{recordings[0].shape[1]}; give all the same channels")
            recordings.append(recording.astype(np.float32, copy=False))
        return recordings

    def _places(self, recordings: list[np.ndarray]) -> np.ndarray:
        """Return (recording, first step) of every row."""
        if self.window is None:
            return np.array([(i, 0) for i in range(len(recordings))])
        stride = self.stride or self.window
        return np.array([(i, start) for i, recording in enumerate(recordings)
                         for start in range(0, max(1, len(recording) - self.window + 1), stride)])
