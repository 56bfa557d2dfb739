"""Headers as plain values: formats, keywords, geometry, DICOM JSON and interpretive attributes."""

from __future__ import annotations

import base64
import io
import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder
from pydicom.uid import UID

from pipeline.errors import ConfigError, PipelineError
from pipeline.frames import (
    INTERPRETIVE_KEYWORDS,
    Header,
    all_keywords,
    dictionary_keyword,
    frame_attributes,
    geometry,
    header_json,
    keyword_kind,
    keyword_values,
    nearest_keywords,
    open_source,
    pixel_format,
    read_header,
    transfer_syntax_name,
)
from support.corpora import dicom_files
from support.dicom_bytes import (
    BIG,
    EXPLICIT,
    PIXEL_DATA,
    attributes,
    element,
    encapsulated_file,
    encapsulated_value,
    header,
    item,
    meta,
    native_file,
)

LEFT_OUT = ("7FE00001", "7FE00002", "7FE00008", "7FE00009", "7FE00010")
SMALL = dicom_files(1_500_000, {"no_preamble_dicm_in_data"})  # in a text of which pydicom finds a preamble
real_files = pytest.mark.parametrize("path", SMALL, ids=lambda path: path.name)
ONLY_OURS = {"emri_small_jpeg_2k_lossless_too_short.dcm", "MR_truncated.dcm"}
"""Cut short: pydicom finds no pixel data, or too little, and describes nothing."""
PATIENT = b"\xc3\x89mile^Zola="


def read(data: bytes) -> Header:
    return read_header(io.BytesIO(data), source="made")


def with_elements(*parts: bytes, **values: Any) -> Header:
    """A header of an image with further elements, in the order of their tags."""
    known = attributes(**values)
    del known["Modality"]
    image = header(known)
    return read(meta(EXPLICIT) + b"".join(parts) + image + element(PIXEL_DATA, "OW", bytes(16)))


def read_real(path: Path) -> Header:
    with open_source(str(path)) as file:
        return read_header(file, source=path.name)


@pytest.mark.filterwarnings("ignore")
@real_files
def test_json_equals_pydicom_s(path: Path) -> None:
    got = read_real(path)
    text, unconverted = header_json(got)
    model = json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))
    theirs = dcmread(path)
    for tag in list(theirs.keys()):  # what is UN is little endian in any data set (PS3.5 6.2.2)
        if isinstance(raw := theirs.get_item(tag), RawDataElement) and raw.VR == "UN":
            theirs._dict[tag] = raw._replace(is_little_endian=True)
    expected = theirs.to_json_dict(suppress_invalid_tags=True)
    expected = {
        tag: value
        for tag, value in json.loads(json.dumps(expected)).items()
        if tag not in LEFT_OUT and tag[:4] not in {"0000", "0002"} and tag[4:] != "0000"
    }
    assert set(expected) <= set(model)
    for tag, value in expected.items():
        if not any(place.startswith(tag) for place in unconverted):
            assert standardised(model[tag]) == standardised(value)


def standardised(element: Any) -> Any:
    """pydicom writes empty parts as empty texts instead of null (PS3.18 F.2.5), and empty sequences as empty lists."""
    if isinstance(element, dict):
        return {key: standardised(value) for key, value in element.items() if (key, value) != ("Value", [])}
    if isinstance(element, list):
        return [standardised(part) for part in element]
    return None if element in ("", {}) else element


def test_json_keeps_what_pydicom_cant_convert() -> None:
    bad = [
        element(0x00080005, "CS", "ISO_IR 192"),
        element(0x00080060, "CS", "OT"),
        element(0x00081140, "SQ", item(element(0x00181041, "DS", "1.2.3"))),
        element(0x00100010, "PN", PATIENT),
        element(0x00181110, "DS", "far away"),
        element(0x00189074, "DT", "2020"),
        element(0x0020000E, "ZZ", "1.2"),
    ]
    model, unconverted = header_json(with_elements(*bad))
    parsed = json.loads(model)
    assert unconverted == {"00081140/0/00181041": "1.2.3", "00181110": "far away"}
    assert parsed["00181110"] == {"vr": "DS", "Value": ["far away"]}
    assert parsed["0020000E"] == {"vr": "UI", "Value": ["1.2"]}  # written with a value representation that nobody knows
    assert parsed["00081140"]["Value"][0]["00181041"]["Value"] == ["1.2.3"]
    assert parsed["00100010"]["Value"] == [{"Alphabetic": "Émile^Zola"}]
    assert "7FE00010" not in parsed


def test_json_is_strict_about_numbers_and_bytes() -> None:
    numbers = struct.pack("<3d", math.nan, math.inf, 1.5)
    model, unconverted = header_json(
        with_elements(
            element(0x00080060, "CS", "OT"), element(0x00189313, "FD", numbers), element(0x00191010, "OB", b"\x01\xff")
        )
    )
    parsed = json.loads(model, parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))
    assert parsed["00189313"] == {"vr": "FD", "Value": ["nan", "inf", 1.5]}
    assert "00189313" in unconverted
    assert parsed["00191010"] == {"vr": "OB", "InlineBinary": base64.b64encode(b"\x01\xff").decode()}


def test_json_of_deep_sequences_is_bounded() -> None:
    nested = b""
    for _ in range(60):
        nested = element(0x00081140, "SQ", item(nested))
    model, unconverted = header_json(with_elements(nested))
    assert model.count("00081140") == 33
    assert list(unconverted.values()) == ["nested too deeply"]


def refuses_to_describe(got: Header) -> bool:
    try:
        pixel_format(got)
    except PipelineError:
        return True
    return False


@pytest.mark.filterwarnings("ignore")
@real_files
def test_pixel_format_equals_pydicom_s_idea_of_it(path: Path) -> None:
    got = read_real(path)
    try:
        dataset = dcmread(path)
        uid = dataset.file_meta.TransferSyntaxUID
        get_decoder(uid)
        runner = DecodeRunner(UID(uid))
        runner.set_source(dataset)
        runner.validate()
        expected = runner.pixel_dtype.newbyteorder("=").name
    except Exception:  # noqa: BLE001  whatever pydicom raises where it can't describe a file
        assert path.name in ONLY_OURS or refuses_to_describe(got)
        return
    described = pixel_format(got)
    assert described.dtype == expected
    assert (described.rows, described.columns) == (dataset.Rows, dataset.Columns)
    assert described.samples_per_pixel == dataset.SamplesPerPixel
    assert described.photometric_interpretation == dataset.PhotometricInterpretation


@pytest.mark.parametrize(
    ("bits", "signed", "expected"),
    [
        (1, 0, "uint8"),
        (1, 1, "uint8"),
        (8, 0, "uint8"),
        (8, 1, "int8"),
        (16, 1, "int16"),
        (32, 0, "uint32"),
        (64, 1, "int64"),
    ],
)
def test_types(bits: int, signed: int, expected: str) -> None:
    for syntax in (EXPLICIT, BIG):
        described = pixel_format(read(native_file(bytes(128), syntax, bits=bits, PixelRepresentation=signed)))
        assert described.dtype == expected


def test_an_absurd_frame_is_described_without_being_allocated() -> None:
    data = encapsulated_file(encapsulated_value([b"abcd"]), rows=65535, columns=65535, bits=16)
    assert pixel_format(read(data)).frame_bytes == 65535 * 65535 * 2
    assert len(data) < 910


def test_keyword_values() -> None:
    values, texts = keyword_values(
        with_elements(
            element(0x00080008, "CS", "ORIGINAL\\PRIMARY"),
            element(0x00080060, "CS", "CT"),
            element(0x00081140, "SQ", item(element(0x00081150, "UI", "1.2.3"))),
            element(0x00100010, "PN", "A^B"),
            element(0x00180050, "DS", "2.50"),
            element(0x00181110, "DS", "far away"),
            element(0x00200013, "IS", "7"),
            element(0x00200032, "DS", "1\\2\\-3.5"),
            element(0x00209157, "UL", struct.pack("<2L", 1, 2)),
        ),
        (
            "ImageType",
            "Modality",
            "ReferencedImageSequence",
            "PatientName",
            "SliceThickness",
            "InstanceNumber",
            "ImagePositionPatient",
            "DimensionIndexValues",
            "DistanceSourceToDetector",
            "StudyDate",
            "NoKeyword",
            "TransferSyntaxUID",
            "Rows",
        ),
    )
    assert values == {
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "Modality": "CT",
        "ReferencedImageSequence": [{"ReferencedSOPClassUID": "1.2.3"}],
        "PatientName": "A^B",
        "SliceThickness": 2.5,
        "InstanceNumber": 7,
        "ImagePositionPatient": [1.0, 2.0, -3.5],
        "DimensionIndexValues": [1, 2],
        "DistanceSourceToDetector": None,
        "StudyDate": None,
        "NoKeyword": None,
        "TransferSyntaxUID": EXPLICIT,
        "Rows": 4,
    }
    assert texts == {"DistanceSourceToDetector": "far away"}
    for value in values.values():
        assert type(value) in {str, int, float, list, type(None)}


def test_geometry() -> None:
    position = element(0x00200032, "DS", "1\\2\\-3.5")
    orientation = element(0x00200037, "DS", "1\\0\\0\\0\\1\\0")
    assert geometry(with_elements(position, orientation)) == ((1.0, 2.0, -3.5), ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)))
    assert geometry(with_elements(position)) == ((1.0, 2.0, -3.5), None)
    assert geometry(with_elements(element(0x00200032, "DS", "1\\2"), orientation))[0] is None
    assert geometry(with_elements(element(0x00200032, "DS", "1\\x\\2"))) == (None, None)
    assert geometry(with_elements()) == (None, None)


def functional_groups(*groups: Dataset, shared: Dataset | None = None) -> bytes:
    """Shared and Per-Frame Functional Groups Sequences, written by pydicom."""
    dataset = Dataset()
    if shared is not None:
        dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = list(groups)
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def macro(keyword: str, **values: Any) -> Dataset:
    inner, group = Dataset(), Dataset()
    for name, value in values.items():
        setattr(inner, name, value)
    setattr(group, keyword, [inner])
    return group


def merged(*groups: Dataset) -> Dataset:
    result = Dataset()
    for group in groups:
        result.update(group)
    return result


def enhanced(frames: int, groups: bytes, *others: bytes) -> Header:
    image = header(attributes(frames=frames))
    data = meta(EXPLICIT) + b"".join(others) + image + groups + element(PIXEL_DATA, "OW", bytes(16 * frames))
    return read(data)


def test_functional_groups() -> None:
    groups = functional_groups(
        *(
            merged(
                macro("PlanePositionSequence", ImagePositionPatient=[0, 0, 2.5 * i]),
                macro("FrameContentSequence", StackID="1", InStackPositionNumber=i + 1),
                macro("PixelValueTransformationSequence", RescaleSlope=2, RescaleIntercept=-i, RescaleType="HU"),
            )
            for i in range(3)
        ),
        shared=merged(
            macro("PixelMeasuresSequence", PixelSpacing=[0.5, 0.25], SliceThickness=2.5),
            macro("PlaneOrientationSequence", ImageOrientationPatient=[1, 0, 0, 0, 1, 0]),
        ),
    )
    got = enhanced(3, groups)
    constant, varying, _ = frame_attributes(got, 3)
    assert constant["PixelSpacing"] == [0.5, 0.25]
    assert (constant["SliceThickness"], constant["StackID"], constant["RescaleSlope"]) == (2.5, "1", 2.0)
    assert (constant["RescaleType"], constant["BitsStored"], constant["Modality"]) == ("HU", 8, "OT")
    assert varying == {
        "ImagePositionPatient": [[0.0, 0.0, 0.0], [0.0, 0.0, 2.5], [0.0, 0.0, 5.0]],
        "InStackPositionNumber": [1, 2, 3],
        "RescaleIntercept": [0.0, -1.0, -2.0],
    }
    assert constant.keys() | varying.keys() <= set(INTERPRETIVE_KEYWORDS)
    json.dumps([constant, varying], allow_nan=False)
    assert keyword_values(got, ["PixelSpacing"])[0] == {"PixelSpacing": [0.5, 0.25]}
    assert geometry(got) == (None, ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)))


def test_a_single_frame_with_functional_groups_has_a_position() -> None:
    groups = functional_groups(macro("PlanePositionSequence", ImagePositionPatient=[1, 2, 3]))
    assert geometry(enhanced(1, groups))[0] == (1.0, 2.0, 3.0)


def test_frames_without_a_value_and_too_few_groups() -> None:
    some = functional_groups(macro("FrameVOILUTSequence", WindowCenter=40, WindowWidth=400), Dataset())
    assert frame_attributes(enhanced(2, some), 2)[1] == {"WindowCenter": [40.0, None], "WindowWidth": [400.0, None]}
    few = frame_attributes(enhanced(3, some), 3)
    assert few.by_frame == {}
    assert few.notes == ("the Per-frame Functional Groups have 2 item(s) for 3 frame(s): left out",)


def test_a_frame_s_value_goes_before_the_instance_s() -> None:
    slope = element(0x00281053, "DS", "9")
    groups = functional_groups(*(macro("PixelValueTransformationSequence", RescaleSlope=i + 1) for i in range(2)))
    image = header(attributes(frames=2)) + slope
    got = read(meta(EXPLICIT) + image + groups + element(PIXEL_DATA, "OW", bytes(32)))
    constant, varying, _ = frame_attributes(got, 2)
    assert "RescaleSlope" not in constant
    assert varying["RescaleSlope"] == [1.0, 2.0]


def test_tiles_of_a_full_slide_have_positions() -> None:
    organisation = element(0x00209311, "CS", "TILED_FULL")
    matrix = element(0x00480006, "UL", struct.pack("<L", 10)) + element(0x00480007, "UL", struct.pack("<L", 7))
    image = header(attributes(frames=12))
    data = meta(EXPLICIT) + organisation + image + matrix + element(PIXEL_DATA, "OW", bytes(16 * 12))
    constant, varying, _ = frame_attributes(read(data), 12)
    assert (constant["TotalPixelMatrixColumns"], constant["TotalPixelMatrixRows"]) == (10, 7)
    assert varying["ColumnPositionInTotalImagePixelMatrix"] == [1, 5, 9] * 4
    assert varying["RowPositionInTotalImagePixelMatrix"] == [1, 1, 1, 5, 5, 5] * 2


def test_palettes_are_little_endian_base64() -> None:
    table = np.arange(4, dtype=np.uint16)
    for syntax, order in ((EXPLICIT, "<"), (BIG, ">")):
        image = header(attributes(PhotometricInterpretation="PALETTE COLOR"), syntax)
        palette = element(0x00281101, "US", [4, 0, 16], syntax=syntax) + element(
            0x00281201, "OW", table.astype(f"{order}u2").tobytes(), syntax=syntax
        )
        constant, *_ = frame_attributes(
            read(meta(syntax) + image + palette + element(PIXEL_DATA, "OW", bytes(16), syntax=syntax)), 1
        )
        assert constant["RedPaletteColorLookupTableDescriptor"] == [4, 0, 16]
        assert base64.b64decode(constant["RedPaletteColorLookupTableData"]) == table.astype("<u2").tobytes()


def test_vectors_hold_one_value_a_frame() -> None:
    offsets = element(0x3004000C, "DS", "0\\5\\10")
    image = header(attributes(frames=3))
    constant, varying, _ = frame_attributes(
        read(meta(EXPLICIT) + image + offsets + element(PIXEL_DATA, "OW", bytes(48))), 3
    )
    assert varying == {"GridFrameOffsetVector": [0.0, 5.0, 10.0]}
    assert "GridFrameOffsetVector" not in constant


def test_keywords() -> None:
    assert "PatientID" in all_keywords()
    assert "patientid" not in all_keywords()
    assert nearest_keywords("PatientId")[0] == "PatientID"
    assert nearest_keywords("xxyyzz") == []
    assert dictionary_keyword("Rows") == ("US", "1")
    assert dictionary_keyword("Nonsense") is None
    assert "PixelSpacing" in all_keywords()
    kinds = {keyword: keyword_kind(keyword) for keyword in ("Rows", "PixelSpacing", "SliceThickness", "ImageType")}
    assert kinds == {"Rows": "integer", "PixelSpacing": "numbers", "SliceThickness": "number", "ImageType": "texts"}
    assert keyword_kind("PixelPaddingValue") == "integer"
    assert keyword_kind("DimensionIndexValues") == "integers"
    assert keyword_kind("ReferencedImageSequence") == "text"
    with pytest.raises(ConfigError, match="'Patientid' is no DICOM keyword; did you mean PatientID"):
        keyword_kind("Patientid")
    assert INTERPRETIVE_KEYWORDS
    assert set(INTERPRETIVE_KEYWORDS) <= all_keywords()


def test_transfer_syntax_names() -> None:
    assert transfer_syntax_name("1.2.840.10008.1.2.5") == "RLE Lossless"
    assert transfer_syntax_name("1.2.3.4") == "1.2.3.4"
    assert transfer_syntax_name("") == ""
