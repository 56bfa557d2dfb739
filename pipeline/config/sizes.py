"""Byte sizes as people write them."""

from __future__ import annotations

import re
from typing import Any

_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15} | {
    f"{prefix}i": 2 ** (10 * power) for power, prefix in enumerate("KMGTP", start=1)
}
_SIZE = re.compile(r"\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[kKMGTP]?i?)B?\s*")


def parse_bytes(value: Any) -> Any:
    """Return the number of bytes that a text such as ``64 MiB`` stands for; other types pass through.

    Raises
    ------
    ValueError
        For a text that is not a number with an optional unit.
    """
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value)
    unit = match["unit"] if match else None
    unit = {"K": "k", "ki": "Ki"}.get(unit or "", unit)
    if match is None or unit not in _UNITS:
        raise ValueError(f"{value!r} is not a size: write bytes as a number, or with a unit as in '64 MiB' or '2 GiB'")
    return round(float(match["number"]) * _UNITS[unit])
