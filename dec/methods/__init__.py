"""One file per method, each a factory of a `Method` (see base.py); nothing about loops, seeds or devices.

To add a method, write its file and its line in `METHODS` (a shallow algorithm's is in baselines.py): by that alone the
estimators, the command line and the contract tests have it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from dec.config import unknown
from dec.errors import UserError
from dec.methods.base import Method
from dec.methods.baselines import BASELINES, in_space
from dec.methods.dcn import dcn
from dec.methods.dec import dec
from dec.methods.desom import desom
from dec.methods.gmvae import gmvae
from dec.methods.idec import idec
from dec.methods.n2d import n2d
from dec.methods.som import som
from dec.methods.vade import vade
from dec.user_code import function_of

METHODS: dict[str, Callable[..., Method]] = {
    **{name: in_space("input", factory) for name, factory in BASELINES.items()},
    **{f"ae+{name}": in_space("codes", factory) for name, factory in BASELINES.items()},
    "som": in_space("input", som),
    "ae+som": in_space("codes", som),
    "n2d": n2d,
    "dec": dec,
    "idec": idec,
    "dcn": dcn,
    "desom": desom,
    "vade": vade,
    "gmvae": gmvae,
}


def factory(name: str) -> Callable[..., Method]:
    """Return the factory of a registered method, or the one in a passed file: `name` is then its path, ending in .py.

    Raises:
      FileNotFoundError: the file of the method is gone.
      ValueError: an unknown name, a file that the user did not pass, or one without a factory.
    """
    if name.endswith(".py"):
        return function_of(name, Method, "def compact(weight: float = 0.1) -> Method:")
    if name not in METHODS:
        raise UserError(f"{unknown('method', name, list(METHODS))} One of your own is named by its .py file.")
    return METHODS[name]


@functools.cache
def _cached(factory: Callable[..., Method], options: tuple[tuple[str, Any], ...]) -> Method:
    return factory(**dict(options))


def make(name: str, options: dict[str, Any] | None = None) -> Method:
    """Return the method with its options; equal options give the same object, so that compiled programs are reused.

    Raises:
      ValueError: for a method or an option that does not exist, or a value that the method refuses.
    """
    known = list(inspect.signature(factory(name)).parameters)
    for option in options or {}:
        if option not in known:
            raise UserError(unknown(f"option of {name}", option, known))
    return _cached(factory(name), tuple(sorted((options or {}).items())))
