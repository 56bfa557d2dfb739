"""Selection of instances by ``select.where``. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Scalar = str | int | float


def selected(where: Mapping[str, Scalar | Sequence[Scalar]], values: Mapping[str, Any]) -> bool:
    """Return whether `values` has, for each keyword, one of the wanted values.

    Text is compared without surrounding spaces, numbers as numbers (``3``, ``3.0`` and, against a number, the text ``"3"`` are
    equal). One matching value of a multi-valued element is enough. An absent or empty element matches nothing.

    Parameters
    ----------
    where : mapping
        Keyword → wanted value or values.
    values : mapping
        Keyword → value, list of values, or None.
    """
    return all(_any_equal(_listed(values.get(keyword)), _listed(wanted)) for keyword, wanted in where.items())


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _any_equal(values: list[Any], wanted: list[Any]) -> bool:
    return any(_equal(value, want) for value in values if value is not None for want in wanted)


def _equal(value: Any, wanted: Scalar) -> bool:
    if isinstance(value, str) and isinstance(wanted, str):
        return value.strip() == wanted.strip()
    try:
        return float(value) == float(wanted)
    except (TypeError, ValueError):
        return str(value).strip() == str(wanted).strip()
