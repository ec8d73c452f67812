"""Deep clustering in JAX: learn a representation and the clusters in it together.

    >>> import dec
    >>> model = dec.DEC(n_clusters=10, n_init=3, random_state=0).fit(X)
    >>> model.labels_
"""

import importlib
from typing import Any

# Public name -> module. Imported on first use: `dec --help` need not wait for jax.
_PUBLIC = {
    "DeepClustering": "dec.estimators.deep_clustering",
    "load": "dec.estimators.loading",
    "save": "dec.estimators.saving",
    "load_data": "dec.data.readers",
    "choose_k": "dec.selection.choose_k",
    "TableFeatures": "dec.data.transformers.table",
    "TextFeatures": "dec.data.transformers.text",
    "ImageFeatures": "dec.data.transformers.image",
    "SequenceWindows": "dec.data.transformers.sequence",
    "Method": "dec.methods.base",
    "Head": "dec.methods.base",
    "Network": "dec.config",
    "Pretraining": "dec.config",
    "Augmentation": "dec.config",
    "Refinement": "dec.config",
    "Optimizer": "dec.config",
    "UserError": "dec.errors",
}
__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), "load" if name == "load_data" else name)
    if name.isupper():  # one class a method: DEC, IDEC, ...
        named = importlib.import_module("dec.estimators.named").NAMED
        if name in named:
            return named[name]
    raise AttributeError(f"module 'dec' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *importlib.import_module("dec.estimators.named").NAMED})
