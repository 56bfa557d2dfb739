"""Conversions that are kept: the same results with and without, and only where nothing else decides."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from pydicom.datadict import add_private_dict_entry

from pipeline.errors import PipelineError
from pipeline.frames import (
    INTERPRETIVE_KEYWORDS,
    Header,
    elements,
    frame_attributes,
    header_json,
    keyword_values,
    open_source,
    pixel_format,
    read_header,
)
from support.corpora import corpus
from support.dicom_bytes import BIG, EXPLICIT, IMPLICIT, PIXEL_DATA, attributes, element, header, meta, native_file

SMALL = [path for path in corpus() if path.stat().st_size < 1_500_000]


def described(path: Path) -> object:
    try:
        with open_source(str(path)) as file:
            found = read_header(file, source=path.name)
        described = header_json(found), keyword_values(found, INTERPRETIVE_KEYWORDS), frame_attributes(found, 1)
    except (PipelineError, RecursionError) as error:
        return type(error)
    try:
        return described, pixel_format(found)
    except PipelineError as error:
        return described, str(error)


@pytest.mark.filterwarnings("ignore")
def test_kept_conversions_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    # all files in one process, so that what one leaves behind could deceive another
    kept = [[described(path) for path in SMALL] for _ in range(2)]
    monkeypatch.setattr(elements, "LONGEST", -1)
    fresh = [described(path) for path in SMALL]
    assert kept[0] == fresh
    assert kept[1] == fresh


def read(data: bytes) -> Header:
    return read_header(io.BytesIO(data), source="made")


def behind(*parts: bytes, syntax: str) -> dict[str, dict[str, object]]:
    """A model of elements behind the pixel data, where any tag may stand."""
    data = native_file(bytes(16), syntax, after=b"".join(parts))
    return json.loads(header_json(read(data))[0])


def test_byte_order_tells_values_apart() -> None:
    for syntax, value in ((EXPLICIT, 258), (BIG, 513), (EXPLICIT, 258)):  # all of them the bytes 02 01
        assert element(0x7FFF1001, "US", value, syntax=syntax)[-2:] == b"\x02\x01"
        parts = (element(0x7FFF0010, "LO", "ACME", syntax=syntax), element(0x7FFF1001, "US", value, syntax=syntax))
        assert behind(*parts, syntax=syntax)["7FFF1001"] == {"vr": "US", "Value": [value]}


def test_creators_tell_private_elements_apart() -> None:
    add_private_dict_entry("KEPT ONE", 0x7FFF0001, "LO", "Text")
    add_private_dict_entry("KEPT TWO", 0x7FFF0001, "US", "Number")
    models = [
        behind(
            element(0x7FFF0010, "LO", creator, syntax=IMPLICIT),
            element(0x7FFF1001, "LO", "AB", syntax=IMPLICIT),
            syntax=IMPLICIT,
        )["7FFF1001"]
        for creator in ("KEPT ONE", "KEPT TWO", "KEPT NONE", "KEPT ONE")
    ]
    assert models[0] == models[3] == {"vr": "LO", "Value": ["AB"]}
    assert models[1] == {"vr": "US", "Value": [0x4241]}
    assert models[2] == {"vr": "UN", "InlineBinary": "QUI="}


def test_lists_that_are_given_out_are_not_the_kept_ones() -> None:
    image_type = element(0x00080008, "CS", "ORIGINAL\\PRIMARY")
    data = meta(EXPLICIT) + image_type + header(attributes()) + element(PIXEL_DATA, "OW", bytes(16))
    first = keyword_values(read(data), ["ImageType"])[0]
    first["ImageType"].append("CHANGED")
    assert keyword_values(read(data), ["ImageType"])[0] == {"ImageType": ["ORIGINAL", "PRIMARY"]}
