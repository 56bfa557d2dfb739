"""Keys from headers: b-values and where vendors hide them, Image Type, the times of a cine."""

from __future__ import annotations

import struct

import pytest

from pipeline.geometry import B_VALUE_ELEMENTS, KEYS, cine_times, complex_component, read_b_value, split_image_type

PHILIPS, SIEMENS, GE = B_VALUE_ELEMENTS


@pytest.mark.parametrize(
    ("standard", "private", "expected"),
    [
        (1000.0, {GE: 5}, (1000, "DiffusionBValue")),
        (0, {}, (0, "DiffusionBValue")),
        (None, {SIEMENS: "1000"}, (1000, "SIEMENS MR HEADER (0019,xx0C)")),
        (None, {SIEMENS: b"1000"}, (1000, "SIEMENS MR HEADER (0019,xx0C)")),
        (None, {PHILIPS: 800.0, SIEMENS: 5}, (800, "Philips Imaging DD 001 (2001,xx03)")),
        (None, {PHILIPS: struct.pack("<f", 800)}, (800, "Philips Imaging DD 001 (2001,xx03)")),
        (None, {GE: [1_000_001_000, 8, 0, 0]}, (1000, "GEMS_PARM_01 (0043,xx39)")),
        (None, {GE: "1000000700\\8\\0\\0"}, (700, "GEMS_PARM_01 (0043,xx39)")),
        (None, {GE: b"0\\8\\0\\0 "}, (0, "GEMS_PARM_01 (0043,xx39)")),
        (None, {PHILIPS: b"12", SIEMENS: "many", GE: []}, None),
        (-1, {SIEMENS: float("nan")}, None),
        (None, {}, None),
        ("1e999", {}, None),
    ],
)
def test_b_values(standard, private, expected):
    assert read_b_value(standard, private) == expected


def test_where_a_private_element_lies_in_a_file():
    assert SIEMENS.find_tag({0x0019_0010: "SIEMENS MR HEADER"}, "") == 0x0019_100C
    assert SIEMENS.find_tag({0x0019_0010: "GEMS_ACQU_01", 0x0019_0012: "SIEMENS MR HEADER "}, "GE") == 0x0019_120C
    # Another vendor's block, and a file whose creators were removed.
    assert SIEMENS.find_tag({0x0019_0010: "GEMS_ACQU_01"}, "SIEMENS") is None
    assert SIEMENS.find_tag({0x0051_0010: "SIEMENS MR HEADER"}, "Siemens HealthCare") == 0x0019_100C
    assert SIEMENS.find_tag({}, "Philips Medical Systems") is None
    assert GE.find_tag({}, "GE MEDICAL SYSTEMS") == 0x0043_1039
    assert PHILIPS.find_tag({}, "Philips Medical Systems") == 0x2001_1003


@pytest.mark.parametrize(
    ("image_type", "shared", "key", "component"),
    [
        (r"ORIGINAL\PRIMARY\M\ND", r"ORIGINAL\PRIMARY", r"M\ND", "magnitude"),
        (r"ORIGINAL\PRIMARY\P\ND", r"ORIGINAL\PRIMARY", r"P\ND", "phase"),
        (r"ORIGINAL\PRIMARY\M_FFE\M\FFE", r"ORIGINAL\PRIMARY", r"M_FFE\M\FFE", "magnitude"),
        (r"ORIGINAL\PRIMARY\PHASE MAP\P\FFE", r"ORIGINAL\PRIMARY", r"PHASE MAP\P\FFE", "phase"),
        (r"ORIGINAL\PRIMARY\R_FFE\R\FFE", r"ORIGINAL\PRIMARY", r"R_FFE\R\FFE", "real"),
        (r"ORIGINAL\PRIMARY\IMAGINARY", r"ORIGINAL\PRIMARY", "IMAGINARY", "imaginary"),
        (r"ORIGINAL\PRIMARY\M\P", r"ORIGINAL\PRIMARY", r"M\P", None),
        (r"ORIGINAL\PRIMARY\LOCALIZER", r"ORIGINAL\PRIMARY\LOCALIZER", "", None),
        (r"DERIVED\SECONDARY\MPR\M", r"DERIVED\SECONDARY\MPR", "M", "magnitude"),
        (r"ORIGINAL\PRIMARY", r"ORIGINAL\PRIMARY", "", None),
        (r"M\P", r"M\P", "", None),
        ("", "", "", None),
    ],
)
def test_image_types(image_type, shared, key, component):
    assert split_image_type(image_type) == (shared, key)
    assert complex_component(image_type) == component


def test_the_keys_are_tried_in_this_order():
    assert [key.name for key in KEYS] == [
        *("TemporalPositionIndex", "TemporalPositionIdentifier", "TemporalPositionTimeOffset", "FrameReferenceTime"),
        *("TriggerTime", "NominalCardiacTriggerDelayTime", "EchoTime", "EffectiveEchoTime", "DiffusionBValue"),
        *("DiffusionGradientOrientation", "ImageType", "ReferencedSegmentNumber", "OpticalPathIdentifier"),
        "AcquisitionNumber",
    ]
    assert {key.name for key in KEYS if key.axis == "t"} == {
        *("TemporalPositionIndex", "TemporalPositionIdentifier", "TemporalPositionTimeOffset", "FrameReferenceTime"),
        *("TriggerTime", "NominalCardiacTriggerDelayTime", "AcquisitionNumber"),
    }


def test_the_times_of_a_cine():
    assert cine_times(3, 33.3).tolist() == [0, 33.3, 66.6]
    assert cine_times(3, 33.3, [0, 10, 30]).tolist() == [0, 10, 40]
    assert cine_times(3, None, [7, 10, 30]).tolist() == [0, 10, 40]
    assert cine_times(3, 33.3, [0, 10]).tolist() == [0, 33.3, 66.6]
    assert cine_times(3, None, [0, 10, -30]) is None
    assert cine_times(2, 0) is None
    assert cine_times(2, None) is None
