"""The catalog's columns of DICOM keywords, and the conversion of values to them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.catalog import DEFAULT_KEYWORDS
from pipeline.config import RunConfig
from pipeline.frames import keyword_kind

_INT64 = range(-(2**63), 2**63)


def column_kinds(config: RunConfig) -> dict[str, str]:
    """Return keyword → kind of column: the default keywords, then the configuration's.

    Raises
    ------
    ConfigError
        For an unknown DICOM keyword.
    """
    return {keyword: keyword_kind(keyword) for keyword in (*DEFAULT_KEYWORDS, *config.metadata.keywords)}


def fit(values: Mapping[str, Any], kinds: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Convert values to the types of their columns.

    Parameters
    ----------
    values : mapping
        Keyword → value, list of values, or None.
    kinds : mapping
        Keyword → kind of column.

    Returns
    -------
    dict, dict
        Keyword → value for the column, None if absent or empty; and keyword → text of values that don't fit: text instead
        of a number, or several values instead of one.
    """
    columns: dict[str, Any] = {}
    misfits: dict[str, str] = {}
    for keyword, kind in kinds.items():
        value = values.get(keyword)
        parts = [] if value is None or value == "" else list(value) if isinstance(value, list | tuple) else [value]
        try:
            columns[keyword] = _convert(parts, kind)
        except (TypeError, ValueError, OverflowError):
            columns[keyword] = None
            misfits[keyword] = joined(parts)
    return columns, misfits


def joined(value: Any) -> str:
    """Return a value as one text: several values joined by backslashes as in DICOM, a sequence as JSON, None as empty."""
    if isinstance(value, list | tuple):
        return json.dumps(value) if any(isinstance(part, dict) for part in value) else "\\".join(map(joined, value))
    return "" if value is None else str(value).strip()


def _convert(parts: list[Any], kind: str) -> Any:
    if not parts:
        return None
    if kind == "text":
        return joined(parts)
    convert = _CONVERTERS[kind.removesuffix("s")]
    if kind.endswith("s"):
        return [None if part is None or part == "" else convert(part) for part in parts]
    (single,) = parts
    return convert(single)


def _integer(value: Any) -> int:
    number = int(value)
    if number not in _INT64 or (isinstance(value, float) and not (math.isfinite(value) and number == value)):
        raise ValueError(value)
    return number


_CONVERTERS: Mapping[str, Callable[[Any], Any]] = {"number": float, "integer": _integer, "text": joined}
