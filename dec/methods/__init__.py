"""One file per method, each a factory of a `Method` (see base.py); nothing about loops, seeds or devices.

To add a method, write its file and its line in `METHODS` (a shallow algorithm's is in baselines.py): by that alone the
estimators, the command line and the contract tests have it.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
import traceback
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dec.config import unknown
from dec.errors import UserError
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
    """Return the factory of a registered method, or the one in a passed file: `name` is then its path, ending in .py.

    Raises:
      FileNotFoundError: the file of the method is gone.
      ValueError: an unknown name, a file that the user did not pass, or one without a factory.
    """
    if name.endswith(".py"):
        path = passed_file(name)
        return _from_file(path, file_digest(name))
    if name not in METHODS:
        raise UserError(f"{unknown('method', name, list(METHODS))} One of your own is named by its .py file.")
    return METHODS[name]


# Files of methods. A run folder or a saved model may name any file, so that only those which the user passes are run.

_PASSED: set[Path] = set()


def pass_file(path: str | Path) -> str:
    """Allow the method in a Python file to be run in this process; return its absolute path, which is its name."""
    path = as_path(path).resolve()
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; a method of your own needs its file, now and whenever its runs "
                                "are used")
    _PASSED.add(path)
    return str(path)


def passed_file(name: str) -> Path:
    """Return the file that the user passed for a method's path: the file itself, or the one of its name if it moved.

    Raises:
      ValueError: the user passed no such file.
    """
    path = as_path(name).resolve()
    moved = [file for file in _PASSED if file.name == path.name]
    if path not in _PASSED and len(moved) != 1:
        raise UserError(f"the method file {name} is named by a file and not by you, so it is not run; if you trust "
                        f"it, pass it: --method-file {name}, or in Python dec.load(..., method={name!r})")
    return path if path in _PASSED else moved[0]


def file_digest(name: str) -> str | None:
    """Return the SHA-256 digest of a method's file, None for a registered method."""
    return hashlib.sha256(passed_file(name).read_bytes()).hexdigest() if name.endswith(".py") else None


def check_digest(name: str, recorded: str | None, where: Path) -> None:
    """Check that a method's file is the one that a run or model was made with.

    Raises:
      ValueError: the file has changed.
    """
    found = file_digest(name)
    if found and recorded is None:
        warnings.warn(f"{where} has no digest of its method file, so {name} may be another one than it was made with",
                      stacklevel=3)
    elif found != recorded:
        raise UserError(f"the method file {passed_file(name)} has changed since {where} was made: its SHA-256 digest "
                        f"is {found[:12]}, not {recorded[:12]}; restore the file, or train again")


@functools.cache
def _from_file(path: Path, digest: str) -> Callable[..., Method]:
    """Run a Python file and return its one function that says it returns a `Method`; once for each content."""
    name = f"dec_method_{path.stem}"
    module = sys.modules[name] = types.ModuleType(name)  # where dataclasses look for theirs
    module.__file__ = str(path)
    try:
        exec(compile(path.read_bytes(), str(path), "exec"), vars(module))
    except Exception as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        at = f", line {lines[-1]}" if lines else ""
        raise UserError(f"{path}{at}: {type(error).__name__}: {error}") from error
    made = [f for f in vars(module).values() if inspect.isfunction(f) and f.__module__ == name and _makes_one(f)]
    if len(made) != 1:
        raise UserError(f"{path} must have one function that returns a method, like `def compact(weight: float = 0.1) "
                        f"-> Method:`, not {len(made)}")
    return made[0]


def _makes_one(function: Callable[..., Any]) -> bool:
    """Whether a function says that it returns a `Method`, by the class or, as of a future annotation, its name."""
    said = function.__annotations__.get("return")
    return said is Method or (isinstance(said, str) and said.rpartition(".")[2] == "Method")


@functools.cache
def _cached(factory: Callable[..., Method], options: tuple[tuple[str, Any], ...]) -> Method:
    return factory(**dict(options))


def make(name: str, options: dict[str, Any] | None = None) -> Method:
    """The method with its options; equal options give the same object, so that compiled programs are reused.

    Raises:
      ValueError: for a method or an option that does not exist, or a value that the method refuses.
    """
    known = list(inspect.signature(factory(name)).parameters)
    for option in options or {}:
        if option not in known:
            raise UserError(unknown(f"option of {name}", option, known))
    return _cached(factory(name), tuple(sorted((options or {}).items())))
