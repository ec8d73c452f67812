"""One file per method, each a factory of a `Method` (see base.py); nothing about loops, seeds or devices.

To add a method, write its file and its line in `METHODS` (a shallow algorithm's is in baselines.py): by that alone the
estimators, the command line and the contract tests have it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from dec.config import unknown
from dec.methods.base import Method
from dec.methods.baselines import BASELINES, on
from dec.methods.dcn import dcn
from dec.methods.dec import dec
from dec.methods.desom import desom
from dec.methods.gmvae import gmvae
from dec.methods.idec import idec
from dec.methods.n2d import n2d
from dec.methods.som import som
from dec.methods.vade import vade

METHODS: dict[str, Callable[..., Method]] = {
    **{name: on("input", factory) for name, factory in BASELINES.items()},
    **{f"ae+{name}": on("codes", factory) for name, factory in BASELINES.items()},
    "som": on("input", som),
    "ae+som": on("codes", som),
    "n2d": n2d,
    "dec": dec,
    "idec": idec,
    "dcn": dcn,
    "desom": desom,
    "vade": vade,
    "gmvae": gmvae,
}


def factory(name: str) -> Callable[..., Method]:
    """The factory of a registered method.

    Raises:
      ValueError: for an unknown name, with the nearest one.
    """
    if name not in METHODS:
        raise ValueError(unknown("method", name, list(METHODS)))
    return METHODS[name]


@functools.cache
def _cached(name: str, options: tuple[tuple[str, Any], ...]) -> Method:
    return factory(name)(**dict(options))


def make(name: str, options: dict[str, Any] | None = None) -> Method:
    """The method with its options; equal options give the same object, so that compiled programs are reused."""
    return _cached(name, tuple(sorted((options or {}).items())))
