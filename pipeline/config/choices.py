"""Checks of single values that a type alone can't express."""

from __future__ import annotations

import re
from typing import Any

from pydantic_core import PydanticCustomError

_SLICE = re.compile(r"\s*([+-]?[0-9]+)?\s*:\s*([+-]?[0-9]+)?\s*(?::\s*([+-]?[0-9]+)?\s*)?")


def parse_slice(text: str) -> slice:
    """Return the slice that a text such as ``::2`` or ``10:20`` stands for.

    Raises
    ------
    ValueError
        For a text that isn't a slice, or a step of 0.
    """
    match = _SLICE.fullmatch(text)
    if match is None:
        raise ValueError(f'expected a slice such as "::2" or "10:20", or a list of frame indices, got {text!r}')
    start, stop, step = (int(part) if part else None for part in match.groups())
    if step == 0:
        raise ValueError(f"a slice's step can't be 0, got {text!r}")
    return slice(start, stop, step)


def check_frames(frames: str | tuple[int, ...] | None) -> str | tuple[int, ...] | None:
    """Refuse a text that isn't a slice."""
    if isinstance(frames, str):
        parse_slice(frames)
    return frames


def check_path(path: Any) -> str:
    """Refuse what can't be the path of a file."""
    if not isinstance(path, str) or not path or "\0" in path:
        raise PydanticCustomError("path", "expected a path")
    return path


def check_codec_name(codec: dict[str, Any]) -> dict[str, Any]:
    """Refuse a codec without a name; which names and settings there are, the store knows."""
    name = codec.get("name")
    if not isinstance(name, str) or not name:
        raise ValueError(f"expected a mapping with the codec's name, such as {{name: zstd, level: 3}}, got {codec!r}")
    return codec
