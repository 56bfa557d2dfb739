"""Passing of a data set through the gate; only released values may be written or shown."""

from __future__ import annotations

from copy import copy
from typing import Any

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from pipeline.deid import REMOVED, Element, Gate, Value
from pipeline.frames.elements import Elements
from pipeline.frames.values import find_value, plain, raw_element, text_of

_UNCONVERTIBLE = "UT"
"""Value representation of changed values that can't be converted: always text."""
Within = tuple[tuple[int, int], ...]


def release(dataset: Dataset, gate: Gate) -> Dataset:
    """Return a data set after the gate, with all its sequences; the data set itself if the gate changes nothing."""
    if not gate.changes:
        return dataset
    elements = Elements(dataset)
    return _release(dataset, gate.for_file(lambda tag: find_value(elements, tag)), ())


def _release(dataset: Dataset, gate: Gate, within: Within) -> Dataset:
    released = copy(dataset)
    released._dict = {}  # noqa: SLF001  the copy keeps only the encoding
    for tag in dataset._dict:  # noqa: SLF001  tags without converting elements
        element = _element(dataset, int(tag), gate, within)
        if element is not None:
            released._dict[tag] = element  # noqa: SLF001  unconverted, as it is
    return released


def _element(dataset: Dataset, tag: int, gate: Gate, within: Within) -> Any:
    """Return an element after the gate: the same one if unchanged, None if removed."""
    creator = _creator(dataset, tag)
    try:
        element = dataset[tag]
        vr, value = str(element.VR), element.value
    except Exception:  # noqa: BLE001  pydicom converts here, and damaged values fail in many ways
        text = text_of(dataset, tag)
        new = gate.value(Element(tag, "UN", within, creator), text)
        return raw_element(dataset, tag) if new == text else _changed(tag, _UNCONVERTIBLE, new)
    if vr == "SQ":
        if not gate.enters(Element(tag, vr, within, creator)):
            return None
        items = [_release(item, gate, (*within, (tag, number))) for number, item in enumerate(value or ())]
        return DataElement(tag, vr, Sequence(items))
    old = bytes(value) if isinstance(value, bytes | bytearray) else plain(value)
    new = gate.value(Element(tag, vr, within, creator), old)
    return element if new is old else _changed(tag, vr, new)


def _changed(tag: int, vr: str, value: Value | Any) -> DataElement | None:
    return None if value is REMOVED else DataElement(tag, vr, value, already_converted=True)


def _creator(dataset: Dataset, tag: int) -> str:
    """Return the private creator of a private element; empty for other elements, or if the creator is missing."""
    if not tag >> 16 & 1 or not tag & 0xFF00:
        return ""
    block = tag & 0xFFFF0000 | (tag & 0xFFFF) >> 8
    return text_of(dataset, block) if block in dataset else ""
