"""A fitted model written as a folder: a versioned config.json, arrays.npz, history and fitted features."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path

from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from dec import config, user_code
from dec.data.kinds import FILE, pack_features, transformers
from dec.errors import UserError
from dec.io import write, write_arrays
from dec.methods.base import Method
from dec.paths import as_path
from dec.training.fitted_state import FittedState
from dec.training.pretrained import ARRAYS

FORMAT = 2


def save(model: BaseEstimator, path: str | Path) -> None:
    """Write a fitted model to the folder `path`, replacing a model that is there.

    Args:
      model: an estimator, or a `Pipeline` of a transformer of this package (`TableFeatures`, ...) and an estimator.
      path: a folder, made where it does not exist.
    """
    path = as_path(path)
    check_is_fitted(model)
    features, estimator = (model[0], model[-1]) if isinstance(model, Pipeline) else (None, model)
    if estimator is not model and (len(model) != 2 or not isinstance(features, tuple(transformers()))):
        names = ", ".join(cls.__name__ for cls in transformers())
        raise UserError(f"a pipeline of {', '.join(type(s).__name__ for _, s in model.steps)} cannot be saved; it "
                        f"must be one of {names} and an estimator, whose own scaling takes the place of a scaler")
    state: FittedState = estimator.fit_
    method = getattr(estimator, "registered", None) or estimator.method
    about = {
        "format": FORMAT,
        "version": importlib.metadata.version("dec"),
        "class": type(estimator).__name__,
        "method": None if isinstance(method, Method) else method,
        "method_digest": None if isinstance(method, Method) else user_code.file_digest(method),
        "network_digest": user_code.file_digest(state.model.network.layers),
        "method_options": estimator._options(),
        "params": {"n_clusters": state.k, "n_init": estimator.n_init, "verbose": estimator.verbose},
        "random_state": int(state.runs[0]["seed"]),
        "model": config.to_dict(state.model),
        "n_features_in": state.n_features,
        "feature_names_in": list(getattr(estimator, "feature_names_in_", [])) or None,
        "n_iter": estimator.n_iter_,
        "stop_reason": estimator.stop_reason_,
        "runs": state.runs,
        "choice": state.choice,
        "seconds": state.seconds,
    }
    history = estimator.history_.to_json(orient="records", lines=True)
    write_arrays(path / ARRAYS, state.to_arrays(), {})
    write(path / "history.jsonl", history.encode())
    plain = json.dumps(about, indent=2, default=lambda number: number.item())  # NumPy's, as a grid search gives them
    write(path / "config.json", (plain + "\n").encode())
    if features is None:
        (path / FILE).unlink(missing_ok=True)
    else:
        write(path / FILE, pack_features(features))
