"""The quick reader beside pydicom's own: the same elements, at the same places, or none at all."""

from __future__ import annotations

import io
import struct
from typing import Any

import pydicom.config
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag

from pipeline.errors import PipelineError
from pipeline.frames import header_fast, open_source, read_header
from support.corpora import corpus
from support.dicom_bytes import DELIMITER, EXPLICIT, IMPLICIT, element, item

SMALL = [path for path in corpus() if path.stat().st_size < 1_500_000]
STOP = 0x7FE00010


def stop(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag >= STOP


def seen(dataset: Dataset) -> tuple[Any, ...]:
    """All that is known of a data set that was read, without converting an element."""
    plain = [
        (int(tag), one.VR, *(tuple(one)[2:] if isinstance(one, tuple) else (one.file_tell, value_of(one))))
        for tag, one in dataset._dict.items()
    ]
    return plain, dataset.original_encoding, dataset.original_character_set


def value_of(one: DataElement) -> Any:
    return [seen(part) for part in one.value] if one.VR == "SQ" else repr(one.value)


def both(data: bytes, *, implicit: bool) -> tuple[Any, Any]:
    """What the quick reader and pydicom's read, each with the position where it ends; None where quick reads nothing."""
    stream = io.BytesIO(data)
    found = header_fast.quick_dataset(stream, implicit=implicit, stop_when=stop, last=STOP - 1)
    if found is None:
        assert stream.tell() == 0
        return None, None
    own = io.BytesIO(data)
    expected = read_dataset(own, implicit, is_little_endian=True, stop_when=stop)
    return (seen(found), stream.tell()), (seen(expected), own.tell())


def read(path: Any) -> Any:
    try:
        with open_source(str(path)) as file:
            found = read_header(file, source=path.name)
    except PipelineError as error:
        return type(error), str(error)
    fields = ("pixel_keyword", "pixel_vr", "value_offset", "value_length", "assumptions", "trailing", "truncated")
    return seen(found.dataset), seen(found.file_meta), [getattr(found, name) for name in fields]


@pytest.mark.filterwarnings("ignore")
def test_real_headers_are_read_as_pydicom_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    quickly = [read(path) for path in SMALL]
    calls = []
    monkeypatch.setattr(header_fast, "_read", lambda *_args, **_kwargs: calls.append(1))
    assert quickly == [read(path) for path in SMALL]
    assert len(calls) > len(SMALL)


def test_most_real_headers_are_ordinary(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else all other tests here would pass of a reader that reads nothing."""
    read_all = header_fast._read
    results = []

    def counting(*args: Any, **options: Any) -> Dataset | None:
        results.append(False)
        found = read_all(*args, **options)
        results[-1] = found is not None
        return found

    monkeypatch.setattr(header_fast, "_read", counting)
    for path in SMALL:
        read(path)
    assert sum(results) > 0.8 * len(results)


VALUES = st.binary(max_size=12).map(lambda value: value + b" " * (len(value) % 2))
TAGS = st.builds(lambda group, number: group << 16 | number, st.integers(8, 0x50), st.integers(0, 0x30))
VRS = st.sampled_from(("CS", "UI", "LO", "US", "DS", "OB", "UN", "UT", "SQ", "PN", "AT"))


@given(st.lists(st.tuples(TAGS, VRS, VALUES), max_size=8), st.booleans(), st.data())
@pytest.mark.filterwarnings("ignore")
def test_any_elements(parts: list[tuple[int, str, bytes]], implicit: bool, data: st.DataObject) -> None:
    """Also repeated, out of order, cut short, or with a byte that is wrong."""
    syntax = IMPLICIT if implicit else EXPLICIT
    whole = bytearray(b"".join(element(tag, vr, value, syntax=syntax) for tag, vr, value in parts))
    if whole and data.draw(st.booleans()):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    found, expected = both(bytes(whole[:cut]), implicit=implicit)
    assert found == expected


def test_sequences_of_undefined_length() -> None:
    inner = item(element(0x00080100, "SH", "113100") + element(0x00080104, "LO", "Basic"))
    nested = struct.pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF) + inner + inner + DELIMITER
    data = element(0x00080005, "CS", "ISO_IR 192") + nested + element(0x00080060, "CS", "CT")
    found, expected = both(data, implicit=False)
    assert found is not None
    assert found == expected


@pytest.mark.parametrize(
    "data",
    [
        element(0x00080060, "CS", "CT", length=200),
        element(0x00080060, "ZZ", "CT"),
        element(0x00080060, "UN", "CT", length=0xFFFFFFFF),
        element(0x00080005, "LO", "ISO_IR 192"),
        element(0x00080005, "CS", "ISO_IR 192", syntax=IMPLICIT),
        element(0xFFFEE00D, "CS", ""),
    ],
    ids=["cut short", "unknown VR", "undefined length", "charset of another VR", "implicit", "delimiter"],
)
def test_what_is_not_ordinary_is_left_to_pydicom(data: bytes) -> None:
    assert both(data, implicit=False) == (None, None)


def test_explicit_elements_are_not_taken_for_implicit_ones() -> None:
    assert both(element(0x00080060, "CS", "CT"), implicit=True) == (None, None)


def test_pydicom_reads_all_where_it_is_debugged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pydicom.config, "debugging", True)
    assert both(element(0x00080060, "CS", "CT"), implicit=False) == (None, None)
