"""One thin class per method: `DEC`, `IDEC`, ..., which is `DeepClustering` with the method fixed."""

from __future__ import annotations

import inspect
from typing import Any

from dec import config, methods
from dec.estimators.deep_clustering import DeepClustering


def named(name: str) -> type[DeepClustering]:
    """Return `DeepClustering` with the method fixed and its options as parameters of the class."""
    options = inspect.signature(methods.METHODS[name]).parameters
    common = {n: p for n, p in inspect.signature(DeepClustering.__init__).parameters.items()
              if n not in ("self", "method", "method_options")}

    def __init__(self, n_clusters: int = 8, **params: Any) -> None:
        for given in params:
            if given not in common and given not in options:
                raise TypeError(config.unknown("parameter", given, [*common, *options]))
        own = {n: params.pop(n, p.default) for n, p in options.items()}
        DeepClustering.__init__(self, n_clusters, **params)
        del self.method, self.method_options
        self.__dict__ |= own

    own = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in options.values()]
    self_ = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    first, *rest = common.values()
    __init__.__signature__ = inspect.Signature([self_, first, *own, *rest])  # type: ignore[attr-defined]
    what = (methods.METHODS[name].__doc__ or "").strip()
    return type(class_name(name), (DeepClustering,), {
        "__init__": __init__,
        "__doc__": f"{what}\n\nOther parameters and attributes: see `DeepClustering`.",
        "__module__": __name__,
        "registered": name,
        "_method": lambda self: methods.make(name, self._options()),
        "_options": lambda self: {option: getattr(self, option) for option in options},
    })


def class_name(name: str) -> str:
    """Return the class of a method's name: dec -> DEC, ae+kmeans -> AEKMEANS."""
    return "".join(c for c in name if c.isalnum()).upper()


NAMED = {class_name(name): named(name) for name in methods.METHODS}
globals().update(NAMED)
