"""Python files of users, with a method or a network: only those that the user passes are ever run.

A run folder or a saved model may name any file. Whatever is loaded is data; code comes from the caller alone.
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

from dec.errors import UserError
from dec.paths import as_path

_PASSED: set[Path] = set()


def pass_file(path: str | Path) -> str:
    """Allow a Python file to be run in this process; return its absolute path, which is its name.

    Raises:
      FileNotFoundError: there is no such file.
    """
    path = as_path(path).resolve()
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; a method or network of your own needs its file, now and "
                                "whenever its runs are used")
    _PASSED.add(path)
    return str(path)


def passed_file(name: str) -> Path:
    """Return the file that the user passed for a path: the file itself, or the one of its name if it moved.

    Raises:
      UserError: the user passed no such file.
    """
    path = as_path(name).resolve()
    moved = [file for file in _PASSED if file.name == path.name]
    if path not in _PASSED and len(moved) != 1:
        raise UserError(f"the file {name} is named by a file and not by you, so it is not run; if you trust it, pass "
                        f"it: --method-file {name} (or --network-file), in Python dec.load(..., method={name!r})")
    return path if path in _PASSED else moved[0]


def file_digest(name: str) -> str | None:
    """Return the SHA-256 digest of a user's file; None for the name of something that this package has."""
    return hashlib.sha256(passed_file(name).read_bytes()).hexdigest() if name.endswith(".py") else None


def check_digest(name: str, recorded: str | None, where: Path) -> None:
    """Check that a user's file is the one that a run or model was made with.

    Raises:
      UserError: the file has changed.
    """
    found = file_digest(name)
    if found and recorded is None:
        warnings.warn(f"{where} has no digest of {name}, so it may be another file than it was made with", stacklevel=3)
    elif found and recorded and found != recorded:
        raise UserError(f"the file {passed_file(name)} has changed since {where} was made: its SHA-256 digest is "
                        f"{found[:12]}, not {recorded[:12]}; restore the file, or train again")


def function_of(name: str, returns: type, example: str) -> Callable[..., Any]:
    """Return the one function in a passed file that is annotated to return `returns`.

    Raises:
      UserError: a file that was not passed or fails, or one without such a function, of which `example` is one.
    """
    path = passed_file(name)
    made = [function for function in _functions(path, file_digest(name)) if _returns(function, returns)]
    if len(made) != 1:
        raise UserError(f"{path} must have one function that returns a {returns.__name__}, like `{example}`, not "
                        f"{len(made)}")
    return made[0]


@functools.cache
def _functions(path: Path, digest: str) -> list[Callable[..., Any]]:
    """Run a Python file, once for each content, and return the functions that it defines."""
    name = f"dec_user_{path.stem}"
    module = sys.modules[name] = types.ModuleType(name)  # where dataclasses look for theirs
    module.__file__ = str(path)
    try:
        exec(compile(path.read_bytes(), str(path), "exec"), vars(module))
    except Exception as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        at = f", line {lines[-1]}" if lines else ""
        raise UserError(f"{path}{at}: {type(error).__name__}: {error}") from error
    return [f for f in vars(module).values() if inspect.isfunction(f) and f.__module__ == name]


def _returns(function: Callable[..., Any], returns: type) -> bool:
    """Return whether a function is annotated with a class, or, after a future annotation, with its name."""
    said = function.__annotations__.get("return")
    return said is returns or (isinstance(said, str) and said.rpartition(".")[2] == returns.__name__)
