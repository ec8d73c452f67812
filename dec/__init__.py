"""Deep clustering in JAX: learn a representation and the clusters in it together.

    >>> import dec
    >>> model = dec.DEC(n_clusters=10, n_init=3, random_state=0).fit(X)
    >>> model.labels_
"""

import importlib
from typing import Any

# Public name -> module. Imported on first use: `dec --help` need not wait for jax.
_PUBLIC = {
    "DEC": "dec.estimator",
    "IDEC": "dec.estimator",
    "DeepClustering": "dec.estimator",
    "load": "dec.saved",
    "load_data": "dec.data",
    "Method": "dec.methods.base",
    "Head": "dec.methods.base",
    "Network": "dec.config",
    "Pretraining": "dec.config",
    "Refinement": "dec.config",
    "Optimizer": "dec.config",
}
__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'dec' has no attribute {name!r}")
    module = importlib.import_module(_PUBLIC[name])
    return getattr(module, "load" if name == "load_data" else name)


def __dir__() -> list[str]:
    return __all__
