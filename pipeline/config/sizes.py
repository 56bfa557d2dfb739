"""Byte sizes as people write them."""

from __future__ import annotations

import re
from typing import Any

_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15} | {
    f"{prefix}i": 2 ** (10 * power) for power, prefix in enumerate("KMGTP", start=1)
}
_SIZE = re.compile(r"\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[kKMGTP]?i?)B?\s*")
_DIGITS = 40
_SHOWN = 60
SIZE_PATTERN = r"^\s*[0-9]+(\.[0-9]+)?\s*([kKMGTP]i?)?B?\s*$"
"""The same pattern for JSON Schema, which has no named groups."""


def parse_bytes(value: Any) -> Any:
    """Return the bytes of a text such as ``64 MiB`` as a number; return other types unchanged.

    Raises
    ------
    ValueError
        For a text that is not a number with an optional unit.
    """
    if isinstance(value, float) and value.is_integer():  # 1e9
        return int(value)
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value)
    unit = match["unit"] if match else None
    unit = {"K": "k", "ki": "Ki"}.get(unit or "", unit)
    if match is None or unit not in _UNITS:
        raise ValueError(
            f"expected a size: bytes as a number, or with a unit as in '64 MiB' or '2 GiB'; got {value[:_SHOWN]!r}"
        )
    if len(match["number"]) > _DIGITS:
        raise ValueError(f"expected a size in bytes, got a number of {len(match['number'])} digits")
    return round(float(match["number"]) * _UNITS[unit])


def format_bytes(value: int) -> str | int:
    """Return the shortest text that :func:`parse_bytes` reads as the same number: ``64 MiB``."""
    for power, prefix in reversed(list(enumerate("KMGTP", start=1))):
        size = 2 ** (10 * power)
        if value and value % size == 0:
            return f"{value // size} {prefix}iB"
    return value
