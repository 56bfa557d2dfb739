"""The catalog's columns of DICOM keywords, and values made to fit them."""

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
    """Return the keywords that become columns, each with its kind: the default ones, then the configuration's.

    Raises
    ------
    ConfigError
        For a word that is no DICOM keyword.
    """
    return {keyword: keyword_kind(keyword) for keyword in (*DEFAULT_KEYWORDS, *config.metadata.keywords)}


def fit(values: Mapping[str, Any], kinds: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Make values fit their columns.

    Parameters
    ----------
    values : mapping
        Keyword → value, list of values, or None.
    kinds : mapping
        Keyword → kind of column.

    Returns
    -------
    dict, dict
        Keyword → what goes into the column, None for absent and empty ones; and keyword → text of those that don't
        fit: text where a number belongs, several values where there may be one.
    """
    columns: dict[str, Any] = {}
    misfits: dict[str, str] = {}
    for keyword, kind in kinds.items():
        value = values.get(keyword)
        parts = [] if value is None or value == "" else list(value) if isinstance(value, list | tuple) else [value]
        try:
            columns[keyword] = _fitted(parts, kind)
        except (TypeError, ValueError, OverflowError):
            columns[keyword] = None
            misfits[keyword] = joined(parts)
    return columns, misfits


def joined(value: Any) -> str:
    """Return a value as one text: several joined with backslashes as DICOM does, a sequence as JSON, None as empty."""
    if isinstance(value, list | tuple):
        return json.dumps(value) if any(isinstance(part, dict) for part in value) else "\\".join(map(joined, value))
    return "" if value is None else str(value).strip()


def _fitted(parts: list[Any], kind: str) -> Any:
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
