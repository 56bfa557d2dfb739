"""Conversion of element values to plain Python values that JSON can hold."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from pipeline.frames.elements import Elements, Memo

_DEEPEST = 32
"""Deepest nesting of sequences that is followed; standard objects are far flatter."""


_NUMERIC_TEXT = {"DS", "IS"}


def plain_value(dataset: Dataset, tag: int, depth: int = 0) -> Any:
    """Return an element's value as int, float, str, None, or a list of these; a sequence as a list of dicts.

    Bytes become base64 text of little endian data. Numbers that JSON can't hold (NaN, infinity) become None.

    Raises
    ------
    Exception
        A damaged value may raise anything, because pydicom converts it here.
    """
    element = dataset[tag]
    if element.VR == "SQ":
        return [_plain_item(item, depth + 1) for item in element.value] if depth < _DEEPEST else None
    if isinstance(element.value, bytes | bytearray):
        return base64.b64encode(_little_endian(element, dataset)).decode()
    return _plain_leaf(element)


def _plain_leaf(element: DataElement) -> Any:
    value = plain(element.value)
    if element.VR in _NUMERIC_TEXT and any(isinstance(p, str) for p in (value if isinstance(value, list) else [value])):
        raise ValueError(f"{element.VR} isn't a number")  # pydicom returns some such values as text
    return value


def plain_element(elements: Elements, tag: int) -> Any:
    """Return the same value as :func:`plain_value`, from the cache if possible."""
    known = _PLAIN.get(elements, tag)
    if known is None:
        return plain_value(elements.dataset, tag)
    (value,) = known
    return list(value) if isinstance(value, tuple) else value


def plain(value: Any) -> Any:
    """Convert a value from pydicom's types to plain ones."""
    if isinstance(value, MultiValue | list | tuple):
        return [plain(part) for part in value]
    if value is None or value == "":
        return None
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, int):
        return int(value)
    return str(value)


def text_of(dataset: Dataset, tag: int) -> str:
    """Return an unconvertible element's bytes as text, one character per byte."""
    value = raw_element(dataset, tag).value
    if isinstance(value, bytes):
        return value.decode("latin-1").strip("\0 ")
    return f"{len(value)} item(s)" if isinstance(value, Sequence) else str(value or "")


def raw_element(dataset: Dataset, tag: int) -> RawDataElement | DataElement:
    """Return an element without converting it."""
    return dataset.get_item(tag, keep_deferred=True)


def find_value(elements: Elements, tag: int) -> Any:
    """Return an element's plain value; None if the element is missing, empty or not convertible."""
    if tag not in elements.by_tag:
        return None
    try:
        value = plain_element(elements, tag)
    except Exception:  # noqa: BLE001  see plain_value; the scan reports unconvertible values elsewhere
        return None
    return None if value == [] else value


def first_item(dataset: Dataset, tag: int) -> Dataset | None:
    """Return the first item of a sequence; None if the sequence is missing, empty or unreadable."""
    if tag not in dataset:
        return None
    try:
        items = dataset[tag].value
        return items[0] if items else None
    except Exception:  # noqa: BLE001  see plain_value
        return None


def find_items(dataset: Dataset, tag: int) -> list[Elements]:
    """Return the items of a sequence; none if the sequence is missing, empty or unreadable."""
    if tag not in dataset:
        return []
    try:
        return [Elements(item) for item in dataset[tag].value or ()]
    except Exception:  # noqa: BLE001  see plain_value
        return []


def has_value(elements: Elements, tag: int) -> bool:
    """Return whether an element is present and not empty, convertible or not."""
    if tag not in elements.by_tag:
        return False
    value = raw_element(elements.dataset, tag).value
    return bool(value.strip(b" \0") if isinstance(value, bytes) else value)


def _plain_item(item: Dataset, depth: int) -> Mapping[str, Any]:
    values = {}
    for tag in item.keys():  # noqa: SIM118  iterating a Dataset converts every element
        try:
            values[keyword_for_tag(tag) or f"{tag:08X}"] = plain_value(item, tag, depth)
        except Exception:  # noqa: BLE001  see plain_value
            values[keyword_for_tag(tag) or f"{tag:08X}"] = text_of(item, tag)
    return values


def _little_endian(element: DataElement, dataset: Dataset) -> bytes:
    value = bytes(element.value)
    big = dataset.original_encoding[1] is False
    return np.frombuffer(value, ">u2").astype("<u2").tobytes() if big and element.VR == "OW" else value


def _immutable_value(element: DataElement) -> tuple[Any] | None:
    """Return the plain value in immutable form; None for a sequence, and for bytes, which depend on byte order."""
    if element.VR == "SQ" or isinstance(element.value, bytes | bytearray):
        return None
    value = _plain_leaf(element)
    return (tuple(value) if isinstance(value, list) else value,)


_PLAIN = Memo(_immutable_value)
