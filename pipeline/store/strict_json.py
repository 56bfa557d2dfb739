"""Turn attributes into strict JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.errors import OutputError

_NOT_FINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}


def strict(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `attributes` with only values that JSON (RFC 8259) allows, for any reader.

    NumPy's numbers and arrays become JSON's; numbers that JSON lacks become the texts ``"NaN"``, ``"Infinity"`` and
    ``"-Infinity"``, as in Zarr's own fill values.

    Raises
    ------
    OutputError
        If a value has another type; names the attribute.
    """
    return {str(name): _value(value, str(name)) for name, value in attributes.items()}


def _value(value: Any, name: str) -> Any:
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, np.ndarray | np.generic):
        return _value(value.tolist(), name)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else _NOT_FINITE.get(value, "NaN")
    if isinstance(value, Mapping):
        return {str(key): _value(item, f"{name}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_value(item, name) for item in value]
    raise OutputError(f"Attribute {name!r} holds a {type(value).__name__}, which JSON can't hold")
