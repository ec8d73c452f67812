"""The scikit-learn face of every method: `DeepClustering`."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import signal
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import pandas as pd
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import ClassifierTags, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from dec import config, methods, user_code
from dec.data.precision import needs_float64
from dec.data.stream import ParquetRows
from dec.errors import UserError
from dec.estimators import saving as saved
from dec.estimators.anomaly import assign_and_score, fit_reference
from dec.estimators.parameters import OWN, PARTS, Nested
from dec.methods.base import Method, labels_of
from dec.metrics import MOST_VALUES, internal
from dec.networks.autoencoder import build, layer_table, parameter_table
from dec.paths import as_path
from dec.training.checkpoint import Checkpoint
from dec.training.fit import fit
from dec.training.fitted_state import FittedState
from dec.training.progress import Progress
from dec.training.session import Session


class DeepClustering(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, Nested, BaseEstimator):
    """Deep clustering by any method: a network is pretrained to reconstruct, then refined together with the clusters.

    Args:
      n_clusters: k. (1 is no clustering, but scikit-learn's conventions allow it; the command line does not.) "auto":
        what `choose_k` recommends for the codes of the pretrained networks, or for the scaled input; at least 2.
      method: a name of `dec.methods.METHODS`, or a `Method` of your own.
      method_options: the named method's options, for example {"gamma": 0.1}.
      n_init: networks trained, from seeds random_state, random_state + 1, ... Kept is the one whose partition has the
        highest mean ARI with those of the others; no label and no loss takes part in that choice.
      random_state: first seed, or a `numpy.random.RandomState` to draw it from.
      network: a `dec.config.Network`; None for its defaults. Its fields are also parameters: `network__hidden`.
      augmentation: a `dec.config.Augmentation`; likewise.
      pretraining: a `dec.config.Pretraining`; likewise.
      refinement: a `dec.config.Refinement`; likewise, down to `refinement__optimizer__learning_rate`.
      scaling: of the input, see `dec.config.Model`.
      batch_size: rows a step.
      stream_above: GiB of raw rows above which they are read in windows while training, not held on the device.
      dtype: "float32" or "bfloat16" activations.
      device: "cpu", "gpu" or "tpu"; None for JAX's default.
      cache: folder of pretrained networks to reuse and add to, or None.
      callback: called as callback(session) between chunks of steps; it may read `session.phase`, `.step`, `.running`
        (the seeds in training), `.terms` (each an array over them), and call `session.codes()`: [seeds, n, c].
      verbose: 0 for silence, 1 for progress.

    Attributes:
      labels_: [n] int32, clusters of the training rows.
      n_clusters_: k.
      choice_: with "auto", why: a dictionary with the reason in words and the table of all criteria; else None.
      cluster_centers_: [k, c] float32, among the codes.
      codes_: [n, c] float32, of the training rows; [0, d] for a method on the input itself with more than 2^26 values.
      history_: DataFrame, a row per seed and period (an epoch of pretraining, a refresh of clustering).
      runs_: DataFrame, a row per seed: what became of it.
      n_iter_: refinement steps of the kept seed.
      stop_reason_: why it ended.
      n_features_in_, feature_names_in_: as in scikit-learn.

    References:
      Xie, Girshick, Farhadi: Unsupervised Deep Embedding for Clustering Analysis. ICML 2016.
    """

    def __init__(
        self,
        n_clusters: int | Literal["auto"] = 8,
        *,
        method: str | Method = "dec",
        method_options: dict[str, Any] | None = None,
        n_init: int = 1,
        random_state: int | np.random.RandomState | None = None,
        network: config.Network | None = None,
        augmentation: config.Augmentation | None = None,
        pretraining: config.Pretraining | None = None,
        refinement: config.Refinement | None = None,
        scaling: str = "power",
        batch_size: int = 256,
        stream_above: float = 2.0,
        dtype: str = "float32",
        device: str | None = None,
        cache: str | None = None,
        callback: Callable[[Session], None] | None = None,
        verbose: int = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.method = method
        self.method_options = method_options
        self.n_init = n_init
        self.random_state = random_state
        self.network = network
        self.augmentation = augmentation
        self.pretraining = pretraining
        self.refinement = refinement
        self.scaling = scaling
        self.batch_size = batch_size
        self.stream_above = stream_above
        self.dtype = dtype
        self.device = device
        self.cache = cache
        self.callback = callback
        self.verbose = verbose

    def _model(self) -> config.Model:
        own = {name: getattr(self, name) for name in OWN}
        return config.replace(config.Model(), {name: self._part(name) for name in PARTS} | own)

    def _method(self) -> Method:
        if isinstance(self.method, Method):
            return self.method
        return methods.make(self.method, self._options())

    def _pass_files(self) -> None:
        """Allow the files of a method and of a network to be run, as whoever set the parameters asks for."""
        for name in (getattr(self, "method", ""), getattr(self.network, "layers", "")):
            if str(name).endswith(".py"):
                user_code.pass_file(name)

    def _options(self) -> dict[str, Any]:
        return dict(self.method_options or {})

    def _device(self) -> contextlib.AbstractContextManager:
        if self.device is None:
            return contextlib.nullcontext()
        try:
            return jax.default_device(jax.devices(self.device)[0])
        except RuntimeError as error:
            here = sorted({device.platform for device in jax.devices()})
            raise UserError(f"device={self.device!r} is not on this machine; JAX sees {', '.join(here)}") from error

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        tags.input_tags.sparse = True
        tags.classifier_tags = ClassifierTags()  # scikit-learn's check of sparse rows asks whoever has predict_proba
        return tags

    # Fitting.

    def fit(self, X: Any, y: None = None) -> DeepClustering:
        """Learn codes and clusters of X.

        Args:
          X: [n, d] numbers, an array, a memory map or CSR, at least n_clusters rows; uint8 stays uint8 on the device,
            all else becomes float32.
          y: ignored; labels play no part.

        Raises:
          ValueError: for input or parameters that cannot be worked with, naming them.
          FloatingPointError: when every seed's loss became NaN.
          KeyboardInterrupt: after Ctrl-C, which ends training at the next chunk; the model is fitted as far as it came.
        """
        self._pass_files()
        X = self._validate(X, reset=True)
        session = Session(self._seeds(), callback=self.callback)
        with Progress() if self.verbose else contextlib.nullcontext() as session.progress:
            self.fit_session(X, session)
        if session.signal:
            signal.raise_signal(session.signal)
        return self

    def fit_session(
        self, X: np.ndarray, session: Session, pretrain_on: np.ndarray | None = None, resume: Checkpoint | None = None
    ) -> DeepClustering:
        """Fit to validated rows under a session that decides on seeds, progress and checkpoints."""
        k = self.n_clusters
        if k != "auto" and (isinstance(k, bool) or not isinstance(k, int | np.integer)):
            raise UserError(f"n_clusters={k!r} must be an integer or 'auto'")
        cache = as_path(self.cache) if self.cache else None
        with self._device():
            fitted = fit(X, k if k == "auto" else int(k), self._method(), self._model(), session,
                         pretrain_on=pretrain_on, cache=cache, resume=resume)
            self.runs_, self.history_ = pd.DataFrame(fitted.runs), pd.DataFrame(fitted.history)
            outcome = fitted.outcome
            if outcome["status"] != "ok":
                if "NaN" in outcome["reason"]:
                    raise FloatingPointError(f"All {len(fitted.runs)} seeds failed: {outcome['reason']}")
                warnings.warn(f"No seed gave a clustering: {outcome['reason']}", ConvergenceWarning, stacklevel=2)
            state = fitted.kept()
            # Input that is clustered as it is has no codes of its own: no dense copy is made of many or sparse rows.
            stored = state.nets is not None or math.prod(X.shape) <= MOST_VALUES
            codes = state.encode(X) if stored else np.empty((0, X.shape[1]), np.float32)
            reference = fit_reference(state, X, state.labels[state.chosen])
            self.set_state(dataclasses.replace(state, codes=codes, reference=reference))
        return self

    def set_state(self, state: FittedState) -> None:
        """Become fitted: set every attribute that `fit` promises."""
        self.fit_, outcome = state, state.outcome
        self.all_labels_, self.labels_ = state.labels, state.labels[state.chosen]
        self.codes_ = np.asarray(state.codes)
        if (centers := state.centers()) is not None:
            self.cluster_centers_ = centers
        self.runs_, self.history_ = pd.DataFrame(state.runs), pd.DataFrame(state.history)
        self.fit_seed_, self.n_iter_ = int(outcome["seed"]), int(outcome["steps"])
        self.stop_reason_ = str(outcome["reason"])
        self.n_clusters_, self.choice_, self.seconds_ = state.k, state.choice, state.seconds
        self.n_features_in_ = state.n_features

    def _seeds(self) -> list[int]:
        if isinstance(self.n_init, bool) or not isinstance(self.n_init, int | np.integer) or self.n_init < 1:
            raise UserError(f"n_init={self.n_init!r} must be an integer of at least 1")
        if isinstance(self.random_state, int | np.integer):
            first = int(self.random_state)
            if not 0 <= first <= 2**32 - 1 - self.n_init:
                raise UserError(f"random_state={first} must be from 0 to 2**32 - 1 - n_init")
        else:
            first = int(check_random_state(self.random_state).randint(2**31 - int(self.n_init)))
        return list(range(first, first + int(self.n_init)))

    def _validate(self, X: Any, reset: bool) -> Any:
        if isinstance(X, ParquetRows):  # checked by the reader of the file
            if not reset and X.shape[1] != self.n_features_in_:
                raise UserError(f"X has {X.shape[1]} features, but {type(self).__name__} is expecting "
                                f"{self.n_features_in_}")
            return X
        rows = validate_data(self, X, dtype=[np.float32, np.uint8], accept_sparse="csr", reset=reset)
        if issparse(rows) or rows.dtype == np.uint8:
            return rows
        raw = np.asarray(X)
        lost = needs_float64(raw) if reset else self.fit_.scaling.offset is not None
        return raw.astype(np.float64) if lost else rows

    # Use of a fitted model.

    @contextlib.contextmanager
    def _fitted(self) -> Iterator[FittedState]:
        check_is_fitted(self)
        with self._device():
            yield self.fit_

    def transform(self, X: Any) -> np.ndarray:
        """Return codes [n, c], float32."""
        with self._fitted() as fitted:
            return fitted.encode(self._validate(X, reset=False))

    def inverse_transform(self, codes: Any) -> np.ndarray:
        """Return reconstructions [n, d] from codes [n, c], on the scale of the data."""
        with self._fitted() as fitted:
            codes = np.asarray(codes, np.float32)
            if codes.ndim != 2 or codes.shape[1] != self._n_features_out:
                raise UserError(f"codes of shape {codes.shape} must be [n, {self._n_features_out}]")
            return fitted.decode(codes)

    def sample(self, n: int, cluster: int, random_state: int = 0) -> np.ndarray:
        """Return n rows [n, d] that the fitted model generates for one cluster, on the scale of the data.

        Raises:
          ValueError: for a method that is no generative model, or a cluster that is not there.
        """
        with self._fitted() as fitted:
            if fitted.method.sample is None:
                raise UserError(f"{type(self).__name__} cannot make up rows: its method is no generative model; vade "
                                "and gmvae are")
            if not 0 <= cluster < fitted.k:
                raise UserError(f"cluster={cluster} must be from 0 to {fitted.k - 1}")
            return fitted.sample(n, cluster, random_state)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Soft assignments [n, k]; rows sum to 1, those of noise to 0."""
        with self._fitted() as fitted:
            return np.exp(fitted.log_assign(self._validate(X, reset=False)))

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable cluster of every row, [n] int32; -1 for noise, of the methods that know it."""
        with self._fitted() as fitted:
            return np.asarray(labels_of(jax.numpy.asarray(fitted.log_assign(self._validate(X, reset=False)))))

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the negative anomaly score of each row, [n]: as in scikit-learn, the lower, the more abnormal.

        It is about -1 for a usual row. `dec.estimators.anomaly.assign_and_score` has the formula.
        """
        with self._fitted() as fitted:
            return -assign_and_score(fitted, self._validate(X, reset=False))[1]

    def score(self, X: Any, y: None = None) -> float:
        """Return the mean silhouette of the predicted clusters in the scaled input, one space for all models.

        y is ignored. Above 10,000 rows a fixed sample is taken. -1 where there is only one cluster.
        """
        X = self._validate(X, reset=False)
        labels = self.predict(X)
        silhouette = internal(X, labels, self.fit_.scaling.apply)["silhouette"]
        return -1.0 if silhouette is None else float(silhouette)

    @property
    def _n_features_out(self) -> int:
        return self.codes_.shape[1]

    def summary(self) -> str:
        """Return the layer table of the network."""
        with self._fitted():
            network = self._part("network")
            return layer_table(parameter_table(
                build(network, self.n_features_in_, self.dtype, self._method().posterior)))

    # Files.

    def save(self, path: str | Path) -> None:
        """Write the fitted model as a folder: config.json and arrays.npz, no pickle."""
        saved.save(self, path)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._pass_files()
        if "fit_" in state:  # functions of a method are not pickled, only their name
            self.fit_ = dataclasses.replace(self.fit_, method=self._method())
