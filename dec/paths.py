"""Paths as people write them: a leading `~` is the home folder wherever a path is taken."""

from __future__ import annotations

import os
from pathlib import Path


def expanded(text: str | os.PathLike[str]) -> str:
    """Return `text` with a leading `~` or `~user` as the home folder; a shell leaves it in words like --out=~/x."""
    return os.path.expanduser(text)


def as_path(text: str | os.PathLike[str]) -> Path:
    """Return the path that `text` names, with its home folder expanded.

    A file whose own name starts with `~` comes back as an absolute path, since pandas would expand it once more.
    """
    path = Path(expanded(text))
    return path.absolute() if str(path).startswith("~") else path
