"""A fitted model as a folder: a versioned config.json and arrays.npz, read back without pickle."""

from __future__ import annotations

import importlib.metadata
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.validation import check_is_fitted

from dec import config, methods
from dec.data.kinds import FILE, TRANSFORMERS, load_features, pack_features
from dec.data.scaling import Scaling
from dec.errors import UserError
from dec.estimators.anomaly import Usual
from dec.io import read_arrays, write, write_arrays
from dec.methods.base import Method, View
from dec.networks.autoencoder import Net, build
from dec.paths import as_path
from dec.training.fit import Fit
from dec.training.pretrained import ARRAYS, flat, model_folder, saved_params, unflat

if TYPE_CHECKING:
    from dec.estimators.deep_clustering import DeepClustering

FORMAT = 2


def save(model: DeepClustering | Pipeline, path: str | Path) -> None:
    """Write a fitted model to the folder `path`, replacing a model that is there.

    Args:
      model: an estimator, or a `Pipeline` of a transformer of this package (`TableFeatures`, ...) and an estimator.
      path: a folder, made where it does not exist.
    """
    path = as_path(path)
    check_is_fitted(model)
    features, estimator = (model[0], model[-1]) if isinstance(model, Pipeline) else (None, model)
    if estimator is not model and (len(model) != 2 or not isinstance(features, tuple(TRANSFORMERS.values()))):
        names = ", ".join(cls.__name__ for cls in TRANSFORMERS.values())
        raise UserError(f"a pipeline of {', '.join(type(s).__name__ for _, s in model.steps)} cannot be saved; it "
                        f"must be one of {names} and an estimator, whose own scaling takes the place of a scaler")
    fit = estimator.fit_
    arrays = {"labels": estimator.labels_, "codes": estimator.codes_, "all_labels": estimator.all_labels_}
    arrays |= {f"scaling/{name}": value for name, value in fit.scaling._asdict().items() if value is not None}
    arrays |= {f"usual/{name}": np.asarray(value) for name, value in estimator.usual_._asdict().items()}
    if fit.nets is not None:
        arrays |= {f"net/{name}": array[0] for name, array in flat(fit.nets.params).items()}
    arrays |= {f"head/{i}": leaf[0] for i, leaf in enumerate(jax.tree.leaves(fit.heads))}
    method = getattr(estimator, "registered", None) or estimator.method
    about = {
        "format": FORMAT,
        "version": importlib.metadata.version("dec"),
        "class": type(estimator).__name__,
        "method": None if isinstance(method, Method) else method,
        "method_digest": None if isinstance(method, Method) else methods.file_digest(method),
        "method_options": estimator._options(),
        "params": {"n_clusters": fit.k, "n_init": estimator.n_init, "verbose": estimator.verbose},
        "random_state": int(fit.runs[0]["seed"]),
        "model": config.to_dict(fit.model),
        "n_features_in": estimator.n_features_in_,
        "feature_names_in": list(getattr(estimator, "feature_names_in_", [])) or None,
        "n_iter": estimator.n_iter_,
        "stop_reason": estimator.stop_reason_,
        "runs": fit.runs,
        "choice": estimator.choice_,
        "seconds": estimator.seconds_,
    }
    history = estimator.history_.to_json(orient="records", lines=True)
    write_arrays(path / ARRAYS, arrays, {})
    write(path / "history.jsonl", history.encode())
    plain = json.dumps(about, indent=2, default=lambda number: number.item())  # NumPy's, as a grid search gives them
    write(path / "config.json", (plain + "\n").encode())
    if features is None:
        (path / FILE).unlink(missing_ok=True)
    else:
        write(path / FILE, pack_features(features))


def load(path: str | Path, method: Method | str | Path | None = None) -> DeepClustering | Pipeline:
    """The fitted model that `save` wrote, or that a run folder holds: an estimator, or a `Pipeline` that ends in one.

    Args:
      path: a saved model or a run folder.
      method: needed only for a model of one's own method: the `Method`, or the .py file that it is in. A file that
        the model names is never run unless it is passed here.

    Raises:
      FileNotFoundError: when there is no model.
      ValueError: when it is damaged, of a newer format, or needs `method`.
    """
    from dec.estimators import deep_clustering as faces
    from dec.estimators.named import NAMED

    folder = model_folder(path)
    if folder is None:
        raise FileNotFoundError(f"{path} holds no model: it needs config.json and {ARRAYS}")
    try:
        about = json.loads((folder / "config.json").read_text())
        history = (folder / "history.jsonl").read_text()
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / 'config.json'} is damaged or missing ({error})") from error
    if about.get("format") != FORMAT:
        raise UserError(f"{folder} has format {about.get('format')}, but this version of dec reads {FORMAT}: upgrade "
                        "dec where that is less, else fit it again")
    if about["method"] is None and method is None:
        raise UserError(f"{folder} was fitted with a method of your own; pass it: dec.load(path, method=...)")
    if isinstance(method, str | Path):
        if about["method"] and not about["method"].endswith(".py"):
            raise UserError(f"{folder} was fitted with {about['method']}, which is no method of your own; leave "
                            f"method={str(method)!r} out")
        method = methods.pass_file(method)
    if str(about["method"]).endswith(".py") and not isinstance(method, Method):
        method = method or str(methods.passed_file(about["method"]))
        methods.check_digest(method, about.get("method_digest"), folder)
    arrays, _ = read_arrays(folder / ARRAYS)

    model = config.from_dict(config.Model, about["model"])
    parts = {part: getattr(model, part) for part in faces.PARTS}
    own = about["method_options"]
    own_scale = {name: getattr(model, name) for name in faces.OWN}
    params = about["params"] | {"random_state": about["random_state"]} | parts | own_scale
    if about["class"] in NAMED and method is None:
        loaded = NAMED[about["class"]](**params, **own)
    else:
        loaded = faces.DeepClustering(method=method or about["method"], method_options=own or None, **params)

    labels = arrays["labels"]
    scaling = Scaling(arrays["scaling/shift"], arrays["scaling/scale"], arrays.get("scaling/offset"))
    used, params = loaded._method(), unflat({name: leaf[None] for name, leaf in saved_params(arrays).items()})
    nets = Net(params, build(model.network, about["n_features_in"], model.dtype, used.posterior)) if params else None
    loaded.fit_ = Fit(
        method=used, k=loaded.n_clusters, model=model, scaling=scaling, nets=nets,
        heads=_head(arrays, used, nets, loaded.n_clusters, arrays["codes"].shape[1]),
        labels=labels[None], runs=about["runs"], chosen=0,
    )
    loaded.labels_, loaded.codes_, loaded.all_labels_ = labels, arrays["codes"], arrays["all_labels"]
    if (centers := loaded.fit_.centers()) is not None:
        loaded.cluster_centers_ = centers
    loaded.runs_ = pd.DataFrame(about["runs"])
    loaded.history_ = pd.read_json(io.StringIO(history), orient="records", lines=True)
    loaded.fit_seed_ = about["random_state"]
    loaded.n_iter_, loaded.stop_reason_ = about["n_iter"], about["stop_reason"]
    loaded.n_clusters_, loaded.choice_ = loaded.n_clusters, about.get("choice")
    loaded.seconds_, loaded.n_features_in_ = about["seconds"], about["n_features_in"]
    loaded.usual_ = Usual(arrays["usual/centers"], *(float(arrays[f"usual/{name}"]) for name in Usual._fields[1:]))
    if about["feature_names_in"]:
        loaded.feature_names_in_ = np.array(about["feature_names_in"], dtype=object)
    features = load_features(folder)
    return loaded if features is None else make_pipeline(features, loaded)


def _head(arrays: dict[str, np.ndarray], method: Method, nets: Net | None, k: int, width: int) -> Any:
    """The saved leaves in the structure of the method's own head."""
    def start(key: jax.Array) -> Any:
        net = jax.tree.map(lambda array: jnp.asarray(array[0]), nets)
        return method.init(key, net, View(lambda net: jnp.zeros((2 * k, width)), jnp.ones(2 * k)), k)

    like = jax.eval_shape(start, jax.random.key(0))
    count = len(jax.tree.leaves(like))
    return jax.tree.unflatten(jax.tree.structure(like), [arrays[f"head/{i}"][None] for i in range(count)])
