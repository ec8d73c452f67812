"""Parameters of an estimator that are dataclasses, whose fields count as parameters too: `network__hidden`."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Self

from dec import config
from dec.errors import UserError

PARTS = {"network": config.Network, "augmentation": config.Augmentation, "pretraining": config.Pretraining,
         "refinement": config.Refinement}

OWN = ("scaling", "batch_size", "stream_above", "dtype")  # fields of `config.Model` that are parameters by themselves


class Nested:
    """Beside scikit-learn's `BaseEstimator`, before it: names of nested parameters, as those of nested estimators."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name; with `deep` also `network__hidden`, `refinement__optimizer__name` and so on."""
        params = super().get_params(deep=False)  # type: ignore[misc]  # of BaseEstimator
        for part, kind in PARTS.items() if deep else ():
            value = kind() if params[part] is None else params[part]
            if isinstance(value, kind):
                params |= dict(_fields(value, part))
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters by the names of `get_params`."""
        own = {name: value for name, value in params.items() if "__" not in name}
        super().set_params(**own)  # type: ignore[misc]
        for name, value in params.items():
            part, *path = name.split("__")
            if path and part not in PARTS:
                raise UserError(config.unknown("parameter", name, list(self.get_params())))
            if path:
                nested = functools.reduce(lambda inner, field: {field: inner}, reversed(path), value)
                setattr(self, part, config.replace(self._part(part), nested, f"{part}."))
        return self

    def _part(self, name: str) -> Any:
        value = getattr(self, name)
        if value is None:
            return PARTS[name]()
        if not isinstance(value, PARTS[name]):
            raise UserError(f"{name}={value!r} must be a dec.config.{PARTS[name].__name__} or None")
        return value


def _fields(value: Any, prefix: str) -> list[tuple[str, Any]]:
    """Return (nested name, value) of every field of a config, depth first."""
    pairs = []
    for field in dataclasses.fields(value):
        name, inner = f"{prefix}__{field.name}", getattr(value, field.name)
        pairs.append((name, inner))
        if dataclasses.is_dataclass(inner):
            pairs += _fields(inner, name)
    return pairs
