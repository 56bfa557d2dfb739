"""What of a header leaves the gate: the only place where a data set's values go from the file to those who write or show."""

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
"""Value representation of what a gate makes of a value that can't be converted: text, whatever it should have been."""
Within = tuple[tuple[int, int], ...]


def release(dataset: Dataset, gate: Gate) -> Dataset:
    """Return what `gate` lets through of a data set, with all its sequences; the data set itself if that is everything."""
    if not gate.changes:
        return dataset
    elements = Elements(dataset)
    return _release(dataset, gate.for_file(lambda tag: find_value(elements, tag)), ())


def _release(dataset: Dataset, gate: Gate, within: Within) -> Dataset:
    released = copy(dataset)
    released._dict = {}  # noqa: SLF001  the copy keeps the encoding, and nothing else
    for tag in dataset._dict:  # noqa: SLF001  tags without converting elements
        element = _element(dataset, int(tag), gate, within)
        if element is not None:
            released._dict[tag] = element  # noqa: SLF001  unconverted, as it is
    return released


def _element(dataset: Dataset, tag: int, gate: Gate, within: Within) -> Any:
    """Return what leaves of an element: itself if the gate changes nothing, None if it is removed."""
    creator = _creator(dataset, tag)
    try:
        element = dataset[tag]
        vr, value = str(element.VR), element.value
    except Exception:  # noqa: BLE001  pydicom converts here, and damaged values fail in many ways
        text = text_of(dataset, tag)
        told = gate.value(Element(tag, "UN", within, creator), text)
        return raw_element(dataset, tag) if told == text else _changed(tag, _UNCONVERTIBLE, told)
    if vr == "SQ":
        if not gate.enters(Element(tag, vr, within, creator)):
            return None
        items = [_release(item, gate, (*within, (tag, number))) for number, item in enumerate(value or ())]
        return DataElement(tag, vr, Sequence(items))
    plainly = bytes(value) if isinstance(value, bytes | bytearray) else plain(value)
    told = gate.value(Element(tag, vr, within, creator), plainly)
    return element if told is plainly else _changed(tag, vr, told)


def _changed(tag: int, vr: str, value: Value | Any) -> DataElement | None:
    return None if value is REMOVED else DataElement(tag, vr, value, already_converted=True)


def _creator(dataset: Dataset, tag: int) -> str:
    """Return the private creator of a private element; nothing of others, or if it is missing."""
    if not tag >> 16 & 1 or not tag & 0xFF00:
        return ""
    block = tag & 0xFFFF0000 | (tag & 0xFFFF) >> 8
    return text_of(dataset, block) if block in dataset else ""
