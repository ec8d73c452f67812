"""One file per method, each a factory of a `Method` (see base.py); nothing about loops, seeds or devices.

To add a method, write its file and its line in `METHODS` (a shallow algorithm's is in baselines.py): by that alone the
estimators, the command line and the contract tests have it.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
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
from dec.paths import as_path

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
    """The factory of a registered method, or the one in a file: `name` is then its path, which ends in .py.

    Raises:
      FileNotFoundError, ValueError: for a file that is not there or has no such function, or an unknown name.
    """
    if name.endswith(".py"):
        return _from_file(as_path(name))
    if name not in METHODS:
        raise ValueError(f"{unknown('method', name, list(METHODS))} One of your own is named by its .py file.")
    return METHODS[name]


@functools.cache
def _from_file(path: Path) -> Callable[..., Method]:
    """The one function of a Python file that says it returns a `Method`; running the file is what importing it is."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; a method of your own needs its file, now and whenever its runs "
                                "are used")
    spec = importlib.util.spec_from_file_location(f"dec_method_{path.stem}", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # where dataclasses look for theirs
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        at = f", line {lines[-1]}" if lines else ""
        raise ValueError(f"{path}{at}: {type(error).__name__}: {error}") from error
    made = [f for f in vars(module).values() if inspect.isfunction(f) and f.__module__ == spec.name and _makes_one(f)]
    if len(made) != 1:
        raise ValueError(f"{path} must have one function that returns a method, like `def compact(weight: float = 0.1) "
                         f"-> Method:`, not {len(made)}")
    return made[0]


def _makes_one(function: Callable[..., Any]) -> bool:
    """Whether a function says that it returns a `Method`, by the class or, as of a future annotation, its name."""
    said = function.__annotations__.get("return")
    return said is Method or (isinstance(said, str) and said.rpartition(".")[2] == "Method")


@functools.cache
def _cached(name: str, options: tuple[tuple[str, Any], ...]) -> Method:
    return factory(name)(**dict(options))


def make(name: str, options: dict[str, Any] | None = None) -> Method:
    """The method with its options; equal options give the same object, so that compiled programs are reused.

    Raises:
      ValueError: for a method or an option that does not exist, or a value that the method refuses.
    """
    known = list(inspect.signature(factory(name)).parameters)
    for option in options or {}:
        if option not in known:
            raise ValueError(unknown(f"option of {name}", option, known))
    return _cached(name, tuple(sorted((options or {}).items())))
