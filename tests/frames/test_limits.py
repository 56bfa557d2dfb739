"""Header bombs: each is refused for a reason of its own, before it has cost anything, and nothing sound is."""

from __future__ import annotations

import io
import resource
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from pydicom.uid import UID

from pipeline.errors import HeaderLimitError
from pipeline.frames import (
    Header,
    HeaderLimits,
    frame_attributes,
    header_json,
    index_frames,
    keyword_values,
    read_header,
)
from support import header_bombs
from support.dicom_bytes import EXPLICIT, PIXEL_DATA, UNDEFINED, attributes, element, header, item, meta

SMALL = HeaderLimits(
    header_bytes=1 << 20,
    header_elements=5_000,
    header_values=20_000,
    header_depth=20,
    fragments=1_000,
    inflated=2 << 20,
)


def read(data: bytes, limits: HeaderLimits | None = SMALL) -> Header:
    file = io.BytesIO(data)
    found = read_header(file, source="bomb", limits=limits)
    index_frames(file, found)
    return found


@pytest.mark.parametrize(
    ("bomb", "size", "reason", "limit"),
    [
        *((bomb, 10_000, "header_too_large", "header_elements") for bomb in header_bombs.BY_ITEMS),
        *((bomb, 20_000, "header_too_large", "header_elements") for bomb in header_bombs.BY_ELEMENTS[:-1]),
        *((bomb, 100_000, "header_too_large", "header_values") for bomb in header_bombs.BY_VALUES),
        *((bomb, 1_000, "header_too_deep", "header_depth") for bomb in header_bombs.BY_DEPTH),
        *((bomb, 2_000, "too_many_fragments", "fragments") for bomb in header_bombs.BY_FRAGMENTS),
        *((bomb, 3 << 20, "inflated_too_large", "inflated") for bomb in header_bombs.BY_BYTES),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_each_is_refused_by_its_limit(bomb: Callable[[int], bytes], size: int, reason: str, limit: str) -> None:
    with pytest.raises(HeaderLimitError, match=rf"limits\.{limit}") as caught:
        read(bomb(size))
    assert caught.value.reason == reason
    larger = {
        name: 100 * getattr(SMALL, name)
        for name in ("header_bytes", "header_elements", "header_values", "fragments", "inflated")
    }
    if "too_deep" not in reason:
        assert read(bomb(size), replace(SMALL, **larger, header_depth=64)).pixel_keyword == "PixelData"


def test_meta_information_without_end() -> None:
    with pytest.raises(HeaderLimitError, match="header_elements"):
        read(header_bombs.meta_elements(20_000))


def test_many_elements_in_one_data_set() -> None:
    """Whatever the limits: no real data set has so many."""
    for bomb in (header_bombs.tiny_elements, header_bombs.tiny_elements_in_item, header_bombs.tiny_elements_behind):
        with pytest.raises(HeaderLimitError, match="65,536 elements in one data set"):
            read(bomb(70_000), None)


def test_what_many_long_values_hold_is_bounded() -> None:
    data = header_bombs.image(*(element(0x00091010 + number, "OB", bytes(1 << 18)) for number in range(6)))
    with pytest.raises(HeaderLimitError, match="header_bytes"):
        read(data)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", EXPLICIT])
@pytest.mark.parametrize("length", [None, UNDEFINED])
def test_frames_have_room_of_their_own(syntax: str, length: int | None) -> None:
    """As many elements again for each frame that there is."""
    inner = b"".join(element(tag, "SH", "x", syntax=syntax) for tag in (0x00080100, 0x00080102, 0x00080104))
    groups = element(
        header_bombs.PER_FRAME,
        "SQ",
        item(inner) * 2000 + (header_bombs.DELIMITER if length else b""),
        syntax=syntax,
        length=length,
    )
    assert read(header_bombs.image(groups, syntax=syntax, frames=2000)).limits == SMALL
    with pytest.raises(HeaderLimitError):
        read(header_bombs.image(groups, syntax=syntax, frames=1))


@pytest.mark.parametrize("text", [b"9" * 5000, b"-5", b"1e9", b"\xff\xff", b"", "²".encode()])
def test_a_number_of_frames_that_is_none_gives_no_room(text: bytes) -> None:
    data = meta(EXPLICIT) + header(attributes(frames=None), EXPLICIT, [element(0x00280008, "IS", text)])
    data += element(header_bombs.PER_FRAME, "SQ", header_bombs.EMPTY_ITEM * 10_000) + element(
        PIXEL_DATA, "OB", bytes(16)
    )
    with pytest.raises(HeaderLimitError):
        read_header(io.BytesIO(data), source="bomb", limits=SMALL)


def test_the_defaults_are_beyond_what_is_real() -> None:
    """20,000 frames of a sparse slide, with all that a header says of each (PS3.3 C.8.12.14)."""
    position = item(b"".join(element(tag, "SL", bytes(4)) for tag in (0x0048021E, 0x0048021F)))
    inner = b"".join(element(0x0048021A + 2 * number, "SQ", position) for number in range(10))
    data = header_bombs.image(element(header_bombs.PER_FRAME, "SQ", item(inner) * 20_000), frames=20_000)
    assert read(data, None).pixel_keyword == "PixelData"


@pytest.mark.parametrize(
    "bomb",
    [header_bombs.empty_items, header_bombs.undefined_items, header_bombs.unknown_items],
    ids=lambda bomb: bomb.__name__,
)
def test_a_full_sized_one_costs_nothing(bomb: Callable[[int], bytes]) -> None:
    data = bomb(3_750_000)
    before, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(HeaderLimitError):
        read(data, None)
    assert time.process_time() - begin < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150 << 10


def test_what_is_read_of_a_header_within_the_limits() -> None:
    found = read(header_bombs.items_of_elements(3_000))
    assert len(header_json(found)[0]) > 50_000
    assert frame_attributes(found, 1).constant["SOPClassUID"] == UID("1.2.840.10008.5.1.4.1.1.7")
    assert keyword_values(found, ["Modality"])[0] == {"Modality": "OT"}


def test_counting_ahead_ends_with_the_sequence() -> None:
    """Pixels that look like items are none, and what was counted ahead isn't counted twice."""
    inner = element(header_bombs.SEQUENCE, "SQ", header_bombs.EMPTY_ITEM + header_bombs.DELIMITER, length=UNDEFINED)
    sequence = element(header_bombs.PER_FRAME, "SQ", item(inner) * 11_000 + header_bombs.DELIMITER, length=UNDEFINED)
    data = meta(EXPLICIT) + header(attributes(rows=400, columns=400), EXPLICIT, [sequence])
    data += element(PIXEL_DATA, "OB", header_bombs.EMPTY_ITEM * 20_000)
    assert read(data, replace(SMALL, header_elements=33_100)).value_length == 160_000
    with pytest.raises(HeaderLimitError):
        read(data, replace(SMALL, header_elements=32_900))
