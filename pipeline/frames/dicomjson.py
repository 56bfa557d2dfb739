"""Headers, also damaged ones, in the DICOM JSON Model (PS3.18 Annex F)."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.valuerep import PersonName

from pipeline.frames.elements import Elements, Memo
from pipeline.frames.header import PIXEL_KEYWORDS, Header
from pipeline.frames.values import raw_element, text_of

_DEEPEST = 32
_LEFT_OUT = (0x0000, 0x0002)
_PIXELS = {0x7FE00001, 0x7FE00002, *PIXEL_KEYWORDS}
_PN_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_NUMBERS = {"IS", "US", "SS", "UL", "SL", "UV", "SV", "DS", "FL", "FD"}
_STRING_OR_NUMBER = {"DS", "IS", "SV", "UV"}
"""Value representations of numbers that the model also allows as text (PS3.18 Table F.2.3-1)."""
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def header_json(header: Header) -> tuple[str, dict[str, str]]:
    """Return a header as DICOM JSON text, after the gate.

    The text has no pixel data, no offset tables and, as the model demands, no group lengths, File Meta Information or command
    elements. Bytes are inline.

    Returns
    -------
    str
        Strict JSON.
    dict[str, str]
        For elements that pydicom can't convert: tag path (``00081140/0/00081150``) → the text in the JSON.
    """
    unconverted: dict[str, str] = {}
    return _item(header.released, "", unconverted, 0), unconverted


def _item(elements: Elements, path: str, unconverted: dict[str, str], depth: int) -> str:
    model = []
    slots = elements.slots
    icon = depth > 0  # pixel data in a sequence are an icon's: small, and part of the header
    for tag in sorted(elements.by_tag):
        if tag & 0xFFFF and tag >> 16 not in _LEFT_OUT and (icon or tag not in _PIXELS):
            slot = slots.get(tag)
            known = slot and slot.get(_LEAVES)
            model.append(known or _element(elements, tag, path, unconverted, depth))
    return f"{{{','.join(model)}}}"


def _element(elements: Elements, tag: int, path: str, unconverted: dict[str, str], depth: int) -> str:
    """Return one element's tag and model; an element that can't be converted becomes its bytes as text."""
    try:
        known = _LEAVES.get(elements, tag)
    except Exception:  # noqa: BLE001  _other tries again and records the problem
        known = None
    return known or _sequence(elements, tag, path, unconverted, depth)


def _sequence(elements: Elements, tag: int, path: str, unconverted: dict[str, str], depth: int) -> str:
    """Return the tag and model of a sequence or another element that isn't a leaf; equal bytes are converted once."""
    slot = None if depth else elements.sequence_slot(tag)
    if slot is None:
        return f'"{tag:08X}":{_other(elements.dataset, tag, f"{path}{tag:08X}", unconverted, depth)}'
    known: str | None = slot.get(_LEAVES)
    if known is None:
        problems: dict[str, str] = {}
        known = f'"{tag:08X}":{_other(elements.dataset, tag, f"{path}{tag:08X}", problems, depth)}'
        unconverted |= problems
        if not problems:
            slot[_LEAVES] = known
    return known


def _other(dataset: Dataset, tag: int, path: str, unconverted: dict[str, str], depth: int) -> str:
    """Return the model of a sequence, or of a long or damaged value."""
    try:
        element = _converted(dataset, tag)
        if element.VR == "SQ" and depth < _DEEPEST:
            items = [
                _item(Elements(item), f"{path}/{number}/", unconverted, depth + 1)
                for number, item in enumerate(element.value)
            ]
            return f'{{"vr":"SQ","Value":[{",".join(items)}]}}' if items else '{"vr":"SQ"}'
        return _encode(_leaf(element, path, unconverted))
    except Exception:  # noqa: BLE001  pydicom converts here, and damaged values fail in many ways
        unconverted[path] = text = text_of(dataset, tag)
        vr = str(getattr(raw_element(dataset, tag), "VR", None))
        return _encode({"vr": vr if vr in _STRING_OR_NUMBER else "UT", "Value": [text]})


def _converted(dataset: Dataset, tag: int) -> DataElement:
    try:
        return dataset[tag]
    except Exception:
        # pydicom passes Pixel Representation on to a parsed sequence, which fails if it can't be converted.
        if isinstance(element := raw_element(dataset, tag), DataElement) and isinstance(element.value, Sequence):
            return element
        raise


def _leaf(element: DataElement, path: str, unconverted: dict[str, str]) -> dict[str, Any]:
    value, vr = element.value, str(element.VR)
    if vr == "SQ":
        unconverted[path] = "nested too deeply"
        return {"vr": vr}
    if isinstance(value, bytes | bytearray):
        # "US or SS" and the like stay unresolved if the deciding attribute is missing.
        return {"vr": vr if len(vr) == 2 else "UN"} | ({"InlineBinary": _base64(value)} if value else {})  # noqa: PLR2004
    parts = list(value) if isinstance(value, MultiValue | list) else [] if value in (None, "") else [value]
    if not parts:
        return {"vr": vr}
    converted = [_part(part, vr) for part in parts]
    for part, original in zip(converted, parts, strict=True):
        if isinstance(part, str) and isinstance(original, float):
            unconverted[path] = part
    return {"vr": vr, "Value": converted}


def _part(part: Any, vr: str) -> Any:
    if vr == "PN":
        return _person(part)
    if part is None or part == "":
        return None
    if vr == "AT":
        return f"{int(part):08X}"
    if vr not in _NUMBERS:
        return str(part)
    if isinstance(part, float):
        return float(part) if math.isfinite(part) else str(float(part))
    return int(part) if isinstance(part, int) else float(part)


def _person(name: PersonName) -> dict[str, str] | None:
    groups = {group: text for group, text in zip(_PN_GROUPS, PersonName(name).components, strict=False) if text}
    return groups or None


def _base64(value: bytes | bytearray) -> str:
    return base64.b64encode(value).decode()


def _lossless_model(element: DataElement) -> str | None:
    """Return the tag and model of an element that converts without loss; None for others, and for sequences."""
    if element.VR == "SQ":  # the conversion depends on the enclosing data set
        return None
    unconverted: dict[str, str] = {}
    model = _leaf(element, "", unconverted)
    return None if unconverted else f'"{int(element.tag):08X}":{_encode(model)}'


_LEAVES = Memo(_lossless_model)
