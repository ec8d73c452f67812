"""Files that survive a crash: written beside their place and renamed, read without pickle. Tables as Markdown."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from dec.errors import UserError
from dec.paths import as_path


def cache_dir() -> Path:
    """Return $DEC_CACHE, the folder for what can be computed again; by default ~/.cache/dec. It may not exist yet."""
    return as_path(os.environ.get("DEC_CACHE") or "~/.cache/dec")


def write(path: Path, content: bytes) -> None:
    """Write a file that is either the old one or the whole new one, whatever happens meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)  # of a full disk


def pack(arrays: dict[str, np.ndarray], note: dict[str, Any]) -> bytes:
    """Return named arrays and a JSON-able note as the bytes of an .npz file."""
    buffer = io.BytesIO()
    np.savez(buffer, note=np.array(json.dumps(note)), **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def unpack(file: Path | io.BytesIO) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays and the note of `pack`."""
    with np.load(file, allow_pickle=False) as found:
        return {name: found[name] for name in found.files if name != "note"}, json.loads(str(found["note"]))


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the named arrays and the note of a file of `write_arrays`; a ValueError when it is damaged."""
    try:
        return unpack(path)
    except Exception as error:  # of a damaged zip file: anything from BadZipFile to NotImplementedError
        raise UserError(f"{path} is damaged or was not written by dec ({error})") from error


def write_arrays(path: Path, arrays: dict[str, np.ndarray], about: dict[str, Any]) -> None:
    """Write named arrays and a JSON-able note as one .npz file, safely."""
    write(path, pack(arrays, about))


def read_json(path: Path) -> Any:
    """Return the content of a run folder's JSON file.

    Raises:
      FileNotFoundError, ValueError: when it is not there, or damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path.parent} is not a run folder: it has no {path.name}")
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error})") from error


def write_json(path: Path, value: Any) -> None:
    """JSON, written safely; NaN becomes null."""
    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(key): plain(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple | np.ndarray):
            return [plain(inner) for inner in value]
        if isinstance(value, np.generic):
            value = value.item()
        return None if isinstance(value, float) and not np.isfinite(value) else value

    write(path, (json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n").encode())


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table whose columns line up as plain text too."""
    widths = [max(2, *(len(line[i]) for line in [header, *rows])) for i in range(len(header))]

    def line(cells: list[str]) -> str:
        padded = [c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths))]
        return "| " + " | ".join(padded) + " |"

    rule = [":" + "-" * (w - 1) if i == 0 else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    return "\n".join([line(header), line(rule), *map(line, rows)])
