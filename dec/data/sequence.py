"""Recordings over time as rows of equal length: whole, or cut into windows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from dec.data.files import read_numpy


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
        self._check_options()
        recordings = _recordings(X)
        lengths = [len(recording) for recording in recordings]
        steps = max(lengths) if self.window is None else int(self.window)
        channels = recordings[0].shape[1]
        self.shape_ = (steps, channels)
        self.masked_ = min(lengths) < steps
        self.blocks_ = (f"sequence:{steps}x{channels}" if self.masked_ else f"gaussian:{steps * channels}",)
        return self

    def transform(self, X: np.ndarray | Sequence) -> np.ndarray:
        """The rows float32 [rows, t*c], or [rows, t*c + t] if masked, of the recordings `X`; see `windows`.

        Raises:
          ValueError: a recording that is longer than any of `fit` (without `window`), shorter than the rows though
            none of `fit` was, of other channels, or as in `fit`.
        """
        check_is_fitted(self)
        recordings = _recordings(X)
        steps, channels = self.shape_
        for i, recording in enumerate(recordings):
            if recording.shape[1] != channels:
                raise ValueError(f"{_name(X, i)} has {recording.shape[1]} channels, but those of the fit have "
                                 f"{channels}; give the same channels")
            if self.window is None and len(recording) > steps:
                raise ValueError(f"{_name(X, i)} has {len(recording)} steps, but the longest of the fit has {steps}; "
                                 f"fit with window={steps} to cut longer ones, or shorten it")
            if len(recording) < steps and not self.masked_:
                raise ValueError(f"{_name(X, i)} has {len(recording)} steps, but none of the fit has less than "
                                 f"{steps}, so rows have no mask; leave it out, or fit with window={len(recording)}")
        places = self._places(recordings)
        rows = np.zeros((len(places), steps, channels), np.float32)
        mask = np.zeros((len(places), steps), np.float32)
        for row, (i, start) in enumerate(places):
            piece = recordings[i][start:start + steps]
            rows[row, :len(piece)] = piece
            mask[row, :len(piece)] = 1
        rows = rows.reshape(len(rows), -1)
        return np.concatenate([rows, mask], axis=1) if self.masked_ else rows

    def windows(self, X: np.ndarray | Sequence) -> np.ndarray:
        """Where each row of `transform(X)` comes from: int [rows, 2], the recording and its first step there.

        `y[windows(X)[:, 0]]` are the labels of the rows.
        """
        self._check_options()
        return self._places(_recordings(X))

    def inverse_transform(self, X: np.ndarray) -> np.ndarray:
        """Rows as windows float32 [rows, t, c], NaN where the mask is 0 (below ½).

        A network's reconstruction has nothing meaningful in the columns of the mask: put those of its input there.
        """
        check_is_fitted(self)
        X, (steps, channels) = np.asarray(X, np.float32), self.shape_
        width = steps * (channels + self.masked_)
        if X.ndim != 2 or X.shape[1] != width:
            raise ValueError(f"the rows have shape {X.shape}, but {steps} steps of {channels} channels need "
                             f"(n, {width})" + (" with the mask" if self.masked_ else ""))
        values = X[:, :steps * channels].reshape(-1, steps, channels)
        return np.where(X[:, steps * channels:, None] < 0.5, np.float32(np.nan), values) if self.masked_ else values

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """'t0 channel 0' for values, 't0 is there' for the mask."""
        check_is_fitted(self)
        steps, channels = self.shape_
        names = [f"t{t} channel {c}" for t in range(steps) for c in range(channels)]
        return np.array(names + [f"t{t} is there" for t in range(steps) if self.masked_], dtype=object)

    def _check_options(self) -> None:
        for name, value in (("window", self.window), ("stride", self.stride)):
            if value is not None and (not isinstance(value, Integral) or value < 1):
                raise ValueError(f"{name}={value!r} must be a whole number of at least 1, or None")
        if self.window is None and self.stride is not None:
            raise ValueError(f"stride={self.stride} has no meaning without window; give both or neither")

    def _places(self, recordings: list[np.ndarray]) -> np.ndarray:
        """(recording, first step) of every row."""
        if self.window is None:
            return np.array([(i, 0) for i in range(len(recordings))])
        stride = self.stride or self.window
        return np.array([(i, start) for i, recording in enumerate(recordings)
                         for start in range(0, max(1, len(recording) - self.window + 1), stride)])


def _name(X: np.ndarray | Sequence, i: int) -> str:
    value = list(X)[i]
    return f"recording {i}" + (f" ({value})" if isinstance(value, str | os.PathLike) else "")


def _recordings(X: np.ndarray | Sequence) -> list[np.ndarray]:
    """Each recording as float32 [t_i, c], all checked."""
    if isinstance(X, str | os.PathLike):
        raise ValueError(f"the recordings are one path, {str(X)!r}; give a list of paths")
    if len(X) == 0:
        raise ValueError("there are no recordings; give at least one")
    recordings = []
    for i, value in enumerate(X):
        try:
            given = read_numpy(Path(value))[0] if isinstance(value, str | os.PathLike) else np.asarray(value)
        except ValueError as error:  # nested lists of different lengths, or a damaged file
            raise ValueError(f"recording {i} is no array of [steps, channels] ({error})") from error
        recording = given[:, None] if given.ndim == 1 else given
        if recording.ndim != 2 or 0 in recording.shape:
            raise ValueError(f"{_name(X, i)} has shape {given.shape}, but must be [steps, channels] or [steps], "
                             "with at least one of each; leave out those without steps")
        if recording.dtype.kind not in "biuf":
            raise ValueError(f"{_name(X, i)} holds values of dtype {recording.dtype}, not real numbers; convert it, "
                             "for example with x.astype(np.float32)")
        if recordings and recording.shape[1] != recordings[0].shape[1]:
            raise ValueError(f"{_name(X, i)} has {recording.shape[1]} channels, but {_name(X, 0)} has "
                             f"{recordings[0].shape[1]}; give all the same channels")
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes inf, which is what is looked for
            recordings.append(recording.astype(np.float32, copy=False))
        wrong = np.argwhere(~np.isfinite(recordings[-1]))
        if len(wrong):
            step, channel = wrong[0]
            raise ValueError(f"{_name(X, i)} has the value {recording[step, channel]} in step {step}, channel "
                             f"{channel}; fill such values in, or leave the recording out")
    return recordings
