"""A saved model read back, without pickle and without running any file that it names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline, make_pipeline

from dec import config, user_code
from dec.data.kinds import load_features
from dec.errors import UserError
from dec.estimators.deep_clustering import DeepClustering
from dec.estimators.named import NAMED
from dec.estimators.parameters import OWN, PARTS
from dec.estimators.saving import FORMAT
from dec.io import read_arrays
from dec.methods.base import Method
from dec.training.fitted_state import FittedState
from dec.training.pretrained import ARRAYS, model_folder


def load(
    path: str | Path, method: Method | str | Path | None = None, network: str | Path | None = None
) -> DeepClustering | Pipeline:
    """Return the fitted model that `save` wrote, or that a run folder holds: an estimator, or a `Pipeline` with one.

    Args:
      path: a saved model or a run folder.
      method: needed only for a model of one's own method: the `Method`, or the .py file that it is in. A file that
        the model names is never run unless it is passed here.
      network: the .py file of a network of one's own, likewise.

    Raises:
      FileNotFoundError: when there is no model.
      ValueError: when it is damaged, of a newer format, or needs `method`.
    """
    folder = model_folder(path)
    if folder is None:
        raise FileNotFoundError(f"{path} holds no model: it needs config.json and {ARRAYS}")
    about, history = _read(folder)
    if network is not None:
        user_code.pass_file(network)
    method = _method_of(about, method, folder)
    arrays, _ = read_arrays(folder / ARRAYS)
    model = config.from_dict(config.Model, about["model"])
    user_code.check_digest(model.network.layers, about.get("network_digest"), folder)
    parts = {part: getattr(model, part) for part in PARTS}
    own = about["method_options"]
    own_scale = {name: getattr(model, name) for name in OWN}
    params = about["params"] | {"random_state": about["random_state"]} | parts | own_scale
    if about["class"] in NAMED and method is None:
        loaded = NAMED[about["class"]](**params, **own)
    else:
        loaded = DeepClustering(method=method or about["method"], method_options=own or None, **params)
    loaded.set_state(FittedState.from_arrays(
        arrays, loaded._method(), about["params"]["n_clusters"], model, runs=about["runs"], history=history,
        n_features=about["n_features_in"], seconds=about["seconds"], choice=about.get("choice")))
    if about["feature_names_in"]:
        loaded.feature_names_in_ = np.array(about["feature_names_in"], dtype=object)
    features = load_features(folder)
    return loaded if features is None else make_pipeline(features, loaded)


def _read(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the config.json of a saved model, checked to be of this format, and the records of its history."""
    try:
        about = json.loads((folder / "config.json").read_text())
        history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines() if line]
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / 'config.json'} is damaged or missing ({error})") from error
    if about.get("format") != FORMAT:
        raise UserError(f"{folder} has format {about.get('format')}, but this version of dec reads {FORMAT}: upgrade "
                        "dec where that is less, else fit it again")
    return about, history


def _method_of(about: dict[str, Any], passed: Method | str | Path | None, folder: Path) -> Method | str | None:
    """Return the method of your own that a saved model needs, None where its method is registered.

    Raises:
      UserError: the model needs one that is not passed, or another one than is passed.
    """
    saved = about["method"]
    if saved is None and passed is None:
        raise UserError(f"{folder} was fitted with a method of your own; pass it: dec.load(path, method=...)")
    if isinstance(passed, str | Path):
        if saved and not saved.endswith(".py"):
            raise UserError(f"{folder} was fitted with {saved}, which is no method of your own; leave "
                            f"method={str(passed)!r} out")
        passed = user_code.pass_file(passed)
    if saved and saved.endswith(".py") and not isinstance(passed, Method):
        passed = passed or str(user_code.passed_file(saved))
        user_code.check_digest(passed, about.get("method_digest"), folder)
    return passed
