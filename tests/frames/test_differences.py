"""Each entry of pipeline/frames/DIFFERENCES.md: what pydicom does, and what is done here instead."""

from __future__ import annotations

import io
import re
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.pixels import iter_pixels

import pipeline.frames
from pipeline.errors import (
    DecodeError,
    FrameIndexError,
    InvalidAttributeError,
    PipelineError,
    PixelDataError,
    UnsupportedTransferSyntaxError,
)
from pipeline.frames import FrameReader, build_index, iter_frames, read_header
from support.corpora import corpus
from support.dicom_bytes import (
    BIG,
    DEFLATED,
    DELIMITER,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    PIXEL_DATA,
    RLE,
    TAGS,
    attributes,
    element,
    encapsulated_file,
    encapsulated_value,
    extended_tables,
    header,
    item,
    meta,
    native_file,
    rle_frame,
    table_offsets,
)

DOCUMENT = Path(pipeline.frames.__file__).with_name("DIFFERENCES.md")
GREY = [np.full((4, 4), value, np.uint8) for value in (10, 20, 30)]
FRAGMENTS = [rle_frame(plane) for plane in GREY]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def ours(data: bytes, **kwargs: Any) -> list[int]:
    return [int(frame.ravel()[0]) for frame in iter_frames(io.BytesIO(data), **kwargs)]


def theirs(data: bytes, **kwargs: Any) -> list[int]:
    return [int(frame.ravel()[0]) for frame in iter_pixels(io.BytesIO(data), **kwargs)]


def rle(table: list[int] | None = None, **kwargs: Any) -> bytes:
    return encapsulated_file(encapsulated_value(FRAGMENTS, table), **({"frames": 3} | kwargs))


def test_1_an_empty_selection_is_empty() -> None:
    assert ours(rle(), indices=[]) == []
    assert theirs(rle(), indices=[]) == [10, 20, 30]


@pytest.mark.parametrize("data", [rle(), native_file(bytes(48), frames=3)], ids=["encapsulated", "native"])
@pytest.mark.parametrize("frame", [-1, 3])
def test_2_an_index_out_of_range_is_an_index_error(data: bytes, frame: int) -> None:
    with pytest.raises(FrameIndexError, match="valid indices are 0 to 2"):
        ours(data, indices=[frame])
    try:
        theirs(data, indices=[frame])
    except IndexError:
        assert (frame, data) == (-1, rle())  # pydicom looks into a list there, and so means another frame by -2
    except ValueError:
        pass


def test_3_never_more_frames_than_declared() -> None:
    table = table_offsets(FRAGMENTS, range(3))
    assert ours(rle(table, frames=2)) == [10, 20]
    assert theirs(rle(table, frames=2)) == [10, 20, 30]
    assert build_index(io.BytesIO(rle(table, frames=None))).ranges(0)[0][1] == len(FRAGMENTS[0])
    assert build_index(io.BytesIO(rle(frames=None))).encoded_bytes(0) == len(FRAGMENTS[0])
    dataset = dcmread(io.BytesIO(native_file(bytes(48), frames=2)))
    assert len(list(iter_frames(dataset, allow_excess_frames=True))) == 2
    assert len(list(iter_pixels(dataset))) == 3


def test_4_missing_frames_are_an_error_after_those_found() -> None:
    data = rle(table_offsets(FRAGMENTS, range(3)), frames=5)
    assert theirs(data) == [10, 20, 30]
    found: list[int] = []
    with pytest.raises(PixelDataError, match="Only 3 of 5"):
        found.extend(int(frame[0, 0]) for frame in iter_frames(io.BytesIO(data)))
    assert found == [10, 20, 30]


@pytest.mark.parametrize("table", [[0, 4, 8], [0, 30, 60], [10, 20, 30]])
def test_5_wrong_offset_tables_are_not_believed(table: list[int]) -> None:
    assert ours(rle(table)) == [10, 20, 30]
    with pytest.raises((ValueError, RuntimeError)):
        theirs(rle(table), indices=[0, 1, 2])


def test_5_wrong_extended_tables_are_not_believed() -> None:
    tables = extended_tables([0, 7, 14], [4, 4, 4])
    assert ours(rle(extra=tables)) == [10, 20, 30]
    with pytest.raises((ValueError, RuntimeError)):
        theirs(rle(extra=tables))


def test_5_a_first_fragment_in_place_of_the_table() -> None:
    data = encapsulated_file(b"".join(map(item, FRAGMENTS)) + DELIMITER, frames=3)
    assert ours(data) == [10, 20, 30]
    assert theirs(data) != [10, 20, 30]


def test_5_frames_that_no_marker_ends() -> None:
    assert ours(rle(frames=2)) == [10, 20]
    assert theirs(rle(frames=2)) != [10, 20]


def test_6_an_extended_table_without_its_lengths_is_left_out() -> None:
    table = element(0x7FE00001, "OV", np.array([0, 7, 14], "<u8").tobytes())
    assert ours(rle(extra=table)) == [10, 20, 30]
    with pytest.raises(AttributeError):
        theirs(rle(extra=table))


def test_7_a_missing_sequence_delimiter_before_other_elements() -> None:
    value = encapsulated_value(FRAGMENTS, delimiter=b"")
    data = encapsulated_file(value, frames=3, after=element(0x7FE10010, "LO", "PRIVATE"))
    assert ours(data) == [10, 20, 30]
    with pytest.raises(ValueError, match="Unexpected tag"):
        theirs(data)


def test_7_zeros_in_place_of_the_sequence_delimiter() -> None:
    data = encapsulated_file(encapsulated_value(FRAGMENTS, delimiter=bytes(8)), frames=3)
    assert ours(data) == [10, 20, 30]
    with pytest.raises(ValueError, match="Unexpected tag"):
        theirs(data)


def jpeg(red: int, *, jfif: bool) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), (red, 40, 90)).save(buffer, "JPEG", quality=100)
    data = buffer.getvalue()
    assert data[2:4] == b"\xff\xe0"
    data = data if jfif else data[:2] + data[4 + int.from_bytes(data[4:6], "big") :]
    return data + b"\0" * (len(data) % 2)


def test_8_no_frame_depends_on_those_before() -> None:
    """A JFIF marker in one frame makes pydicom take all frames after it for YBR."""
    colour = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "PhotometricInterpretation": "RGB"}
    fragments = [jpeg(200, jfif=True), jpeg(200, jfif=False)]
    data = encapsulated_file(encapsulated_value(fragments), JPEG, rows=16, columns=16, frames=2, **colour)
    _, after = iter_frames(io.BytesIO(data))
    (alone,) = iter_frames(io.BytesIO(data), indices=[1])
    np.testing.assert_array_equal(after, alone)
    _, after = iter_pixels(io.BytesIO(data))
    (alone,) = iter_pixels(io.BytesIO(data), indices=[1])
    assert np.abs(after.astype(int) - alone).max() > 50


def test_8_subsampled_colour_in_several_frames() -> None:
    colour = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "PhotometricInterpretation": "YBR_FULL_422"}
    data = native_file(bytes(96), vr="OB", frames=3, **colour)
    assert len(ours(data)) == 3
    with pytest.raises(ValueError, match="reshape"):
        theirs(data)


def test_9_signs_are_corrected_in_read_only_arrays() -> None:
    path = next((path for path in corpus() if path.name == "J2K_pixelrep_mismatch.dcm"), None)
    assert path is not None
    with pytest.raises(ValueError, match="read-only"):
        next(iter_pixels(path, decoding_plugin="pillow"))
    (expected,) = iter_pixels(path, decoding_plugin="pillow", indices=[0])
    np.testing.assert_array_equal(next(iter_frames(path, decoding_plugin="pillow")), expected)
    assert expected.min() < 0


def test_10_deflated_files() -> None:
    data = native_file(bytes([10] * 16 + [20] * 16), DEFLATED, frames=2)
    assert ours(data, indices=[1, 0]) == [20, 10]
    with pytest.raises(AttributeError):
        theirs(data)


def test_11_implicit_vr_where_explicit_is_declared() -> None:
    fragments = encapsulated_value(FRAGMENTS[:1])
    pixels = element(PIXEL_DATA, "OB", fragments, syntax=IMPLICIT, length=0xFFFFFFFF)
    data = meta(RLE) + header(attributes(), IMPLICIT) + pixels
    assert ours(data) == [10]
    with pytest.raises(ValueError, match="unexpected tag"):
        theirs(data)


def test_12_bit_packed_frames_that_reach_into_another_byte() -> None:
    expected = np.random.default_rng(1).integers(0, 2, (9, 1, 11), dtype=np.uint8)
    data = native_file(
        np.packbits(expected, bitorder="little").tobytes(), vr="OB", rows=1, columns=11, bits=1, frames=9
    )
    np.testing.assert_array_equal(np.stack(list(iter_frames(io.BytesIO(data)))), expected)
    with pytest.raises(ValueError, match="reshape"):
        list(iter_pixels(io.BytesIO(data)))


def test_13_encapsulated_colour_needs_no_planar_configuration() -> None:
    colour = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}
    data = encapsulated_file(encapsulated_value([jpeg(200, jfif=False)]), JPEG, rows=16, columns=16, **colour)
    assert len(ours(data)) == 1
    with pytest.raises(AttributeError, match="Planar Configuration"):
        theirs(data)


def wrong(tag: int, vr: str, value: Any) -> bytes:
    parts = [(t, v, value_) for (t, v), value_ in ((TAGS[k], x) for k, x in attributes().items()) if t != tag]
    image = b"".join(element(*part) for part in sorted([*parts, (tag, vr, value)], key=lambda part: part[0]))
    return meta(EXPLICIT) + image + element(PIXEL_DATA, "OW", bytes(16))


@pytest.mark.parametrize(
    ("data", "their_error"),
    [
        (wrong(0x00280100, "US", [8, 0]), TypeError),
        (wrong(0x00280010, "LO", "many"), TypeError),
        (wrong(0x00280100, "US", 24), NotImplementedError),
    ],
)
def test_14_attributes_of_the_wrong_type_are_named(data: bytes, their_error: type[Exception]) -> None:
    with pytest.raises(InvalidAttributeError, match=r"\(0028,0"):
        ours(data)
    with pytest.raises(their_error):
        theirs(data)


def test_14_float_pixel_data_of_another_size() -> None:
    data = meta(EXPLICIT) + header(attributes(bits=16)) + element(0x7FE00008, "OF", bytes(64))
    with pytest.raises(InvalidAttributeError, match="must be 32 for FloatPixelData, not 16"):
        ours(data)
    with pytest.raises(ValueError, match="reshape"):
        theirs(data)


def test_15_an_unknown_transfer_syntax_is_unsupported() -> None:
    data = encapsulated_file(encapsulated_value([b"ab"]), "1.2.840.10008.1.2.999")
    with pytest.raises(UnsupportedTransferSyntaxError, match=r"1\.2\.840\.10008\.1\.2\.999"):
        ours(data)
    with pytest.raises(ValueError, match="UID is not a transfer syntax"):
        theirs(data)


def test_16_items_are_no_native_pixels() -> None:
    value = encapsulated_value([bytes(16)])
    data = meta(EXPLICIT) + header(attributes()) + element(PIXEL_DATA, "OB", value, length=0xFFFFFFFF)
    with pytest.raises(PixelDataError, match="encapsulated"):
        ours(data)
    assert theirs(data) == [0xFE]  # the first byte of an item's tag


def test_17_full_colour_that_claims_to_be_subsampled() -> None:
    colour = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "PhotometricInterpretation": "YBR_FULL_422"}
    data = native_file(bytes(48), vr="OB", **colour)
    with pytest.raises(PixelDataError, match="a third larger"):
        ours(data)
    assert len(theirs(data)) == 1  # of a Dataset, pydicom says the same


def test_18_frames_are_nobody_elses() -> None:
    dataset = dcmread(io.BytesIO(native_file(bytes(16))))
    dataset["PixelData"]._value = bytearray(16)
    next(iter_frames(dataset))[:] = 1
    assert not any(dataset.PixelData)
    next(iter_pixels(dataset))[:] = 1
    assert all(dataset.PixelData)


def test_19_a_failing_plugin_is_no_error_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    data = encapsulated_file(encapsulated_value([bytes(100)]))
    for function in (ours, theirs):
        with pytest.raises(RuntimeError, match="Unable to decode as exceptions were raised by all available plugins"):
            function(data)
        errors = [record for record in caplog.records if record.levelname == "ERROR"]
        assert bool(errors) == (function is theirs)


def tile(colours: np.ndarray, jfif: bool = True, **values: Any) -> bytes:
    """A file of one JPEG tile, YCbCr inside; Pillow writes a JFIF marker."""
    stream = io.BytesIO()
    Image.fromarray(colours).save(stream, "JPEG", quality=95, subsampling=0)
    codestream = stream.getvalue()
    if not jfif:
        codestream = codestream[:2] + codestream[2 + 2 + int.from_bytes(codestream[4:6], "big") :]
    fragment = codestream + b"\0" * (len(codestream) % 2)
    described = {"SamplesPerPixel": 3, "PhotometricInterpretation": "YBR_FULL_422", "PlanarConfiguration": 0} | values
    return encapsulated_file(
        encapsulated_value([fragment]), JPEG, rows=colours.shape[0], columns=colours.shape[1], **described
    )


COLOURS = np.random.default_rng(7).integers(0, 256, (256, 256, 3), np.uint8)


def test_19_the_fastest_plugin_is_tried_first() -> None:
    data = tile(COLOURS, jfif=False)
    names = {plugin: first_decoder(data, plugin) for plugin in ("", "pillow")}
    assert names[""].startswith("imagecodecs 2")
    assert names["pillow"].startswith("pillow 1")
    (mine,) = iter_frames(io.BytesIO(data))
    (same,) = iter_pixels(io.BytesIO(data), decoding_plugin="imagecodecs", rgb_from_codec=True)
    (other,) = iter_pixels(io.BytesIO(data))
    np.testing.assert_array_equal(mine, same)
    assert np.abs(mine.astype(int) - other).max() <= 2


def first_decoder(data: bytes, plugin: str) -> str:
    return FrameReader(io.BytesIO(data), build_index(io.BytesIO(data)), decoding_plugin=plugin).read(0).decoder


def test_23_a_codestream_that_contradicts_the_attributes_is_believed_without_a_warning() -> None:
    data = tile(COLOURS, PhotometricInterpretation="RGB")
    (truth,) = iter_frames(io.BytesIO(tile(COLOURS)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (mine,) = iter_frames(io.BytesIO(data))
        np.testing.assert_array_equal(mine, truth)
        with pytest.raises(UserWarning, match="JFIF"):
            next(iter_pixels(io.BytesIO(data)))


def test_24_the_codec_converts_colour() -> None:
    data = tile(COLOURS, jfif=False)
    (mine,) = iter_frames(io.BytesIO(data))
    (numpys,) = iter_frames(io.BytesIO(data), rgb_from_codec=False)
    (theirs,) = iter_pixels(io.BytesIO(data), decoding_plugin="imagecodecs")
    np.testing.assert_array_equal(numpys, theirs)
    difference = np.abs(mine.astype(int) - theirs)
    assert difference.max() == 1
    assert (difference > 0).mean() < 0.001
    (mine,) = iter_frames(io.BytesIO(data), raw=True, rgb_from_codec=True)
    (theirs,) = iter_pixels(io.BytesIO(data), decoding_plugin="imagecodecs", raw=True)
    np.testing.assert_array_equal(mine, theirs)


def test_20_a_header_that_cant_be_parsed() -> None:
    data = meta(EXPLICIT) + element(0x00081140, "SQ", element(0x00080060, "CS", "OT"), length=0xFFFFFFFF)
    with pytest.raises(
        PipelineError, match=r"the header can't be parsed: .*\(0008,0060\) instead of an item"
    ) as caught:
        ours(data)
    assert caught.value.reason == "header_unreadable"


def test_21_a_number_of_frames_of_zero_is_noted_not_warned_about() -> None:
    data = native_file(bytes(16), frames=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ours(data) == [0]
        with pytest.raises(UserWarning):
            theirs(data)
    assert build_index(io.BytesIO(data)).notes


def test_21_a_number_of_frames_of_blanks_is_empty() -> None:
    data = native_file(bytes(16), frames="  ")
    assert ours(data) == [0]
    with pytest.raises(ValueError, match="invalid literal for int"):
        theirs(data)
    assert build_index(io.BytesIO(data)).notes


def test_22_only_integers_are_indices() -> None:
    data = native_file(bytes(16))
    assert theirs(data, indices=[0.0]) == [0]
    with pytest.raises(TypeError):
        ours(data, indices=[0.0])


def test_25_jp2_with_a_box_of_length_0() -> None:
    boxes = b"\x00\x00\x00\x0cjP  \r\n\x87\n" + b"\x00\x00\x00\x00junk" + b"\xff\x4f\xff\x51"
    data = encapsulated_file(encapsulated_value([boxes]), "1.2.840.10008.1.2.4.90")
    with pytest.raises(DecodeError, match="a box of length 0"):  # pydicom would never return
        next(iter_frames(io.BytesIO(data)))


class PanicException(BaseException):
    """What a plugin written in Rust raises: no Exception."""


def test_26_panics_of_plugins_in_rust(monkeypatch: pytest.MonkeyPatch) -> None:
    def panic(*_: Any, **__: Any) -> Any:
        raise PanicException("index out of bounds")

    monkeypatch.setattr("pydicom.pixels.decoders.base.Decoder.iter_array", panic)
    data = encapsulated_file(encapsulated_value([rle_frame(np.zeros((4, 4), np.uint8))]))
    with pytest.raises(DecodeError, match="index out of bounds"):
        next(iter_frames(io.BytesIO(data), decoding_plugin="pydicom"))


def test_27_the_first_file_meta_information_holds() -> None:
    data, size = native_file(bytes(range(16))), len(meta(EXPLICIT))
    again = data[:size] + meta(IMPLICIT)[132:] + data[size:]
    assert next(iter_frames(io.BytesIO(again)))[0, 1] == 1
    assert dcmread(io.BytesIO(again)).file_meta.TransferSyntaxUID == IMPLICIT


def test_28_an_unknown_value_representation_has_a_long_length() -> None:
    strange = struct.pack("<HH2sHL", 0x0009, 0x1001, b"ZZ", 0, 4) + b"abcd"
    assert ours(native_file(bytes(16), more=[strange])) == [0]
    with pytest.raises(AttributeError):
        theirs(native_file(bytes(16), more=[strange]))


def test_29_what_is_unknown_is_little_endian() -> None:
    rows = struct.pack(">HH2sHL", 0x0028, 0x0010, b"UN", 0, 2) + b"\4\0"
    data = native_file(bytes(16), BIG, more=[rows], Rows=None)
    assert ours(data) == [0]
    assert dcmread(io.BytesIO(data)).Rows == 0x400


def test_30_delimiters_cost_no_element_behind_them() -> None:
    sequence = element(0x00081140, "SQ", item(element(0x00081155, "UI", "1.2.3")), length=0xFFFFFFFF)
    assert ours(native_file(bytes(16), more=[sequence])) == [0]
    with pytest.raises(OSError, match="No tag to read"):
        theirs(native_file(bytes(16), more=[sequence]))
    stray = element(0x00081140, "SQ", b"") + b"\xfe\xff\x0d\xe0\0\0\0\0"
    assert ours(native_file(bytes(16), more=[stray])) == [0]
    with pytest.raises((AttributeError, KeyError)):
        theirs(native_file(bytes(16), more=[stray]))
    whole = native_file(bytes(16), more=[element(0x00081140, "SQ", item(bytes(8), 0xFFFFFFFF), length=0xFFFFFFFF)])
    cut = whole[: whole.index(b"SQ\0\0") + 14]
    assert read_header(io.BytesIO(cut), source="cut").dataset.Modality == "OT"
    with pytest.raises(OSError, match="No tag to read"):
        dcmread(io.BytesIO(cut))


def test_31_single_bits_in_big_endian_words() -> None:
    expected = np.random.default_rng(3).integers(0, 2, (8, 8), dtype=np.uint8)
    words = np.packbits(expected, bitorder="little").view("u2").byteswap().tobytes()
    data = native_file(words, BIG, vr="OW", rows=8, columns=8, bits=1)
    np.testing.assert_array_equal(next(iter_frames(io.BytesIO(data))), expected)
    assert (next(iter_pixels(io.BytesIO(data))) != expected).any()


SHARED = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "PhotometricInterpretation": "YBR_FULL_422"}


def test_32_subsampled_colour_has_no_planes() -> None:
    pixels = np.random.default_rng(4).integers(0, 256, 32, np.uint8).tobytes()
    wrong = native_file(pixels, vr="OB", **SHARED | {"PlanarConfiguration": 1})
    (expected,) = iter_pixels(io.BytesIO(native_file(pixels, vr="OB", **SHARED)))
    np.testing.assert_array_equal(next(iter_frames(io.BytesIO(wrong))), expected)
    assert (next(iter_pixels(io.BytesIO(wrong))) != expected).any()


def test_32_subsampled_colour_of_an_odd_number_of_columns() -> None:
    data = native_file(bytes(range(24)), vr="OB", rows=3, columns=3, **SHARED)
    assert next(iter_frames(io.BytesIO(data), raw=True))[2].tolist() == [[16, 18, 19], [17, 18, 19], [20, 22, 23]]
    with pytest.raises(ValueError, match="could not broadcast"):
        theirs(data)


def test_33_samples_lie_where_high_bit_says() -> None:
    data = native_file(np.full((4, 4), 0xABCD, "<u2").tobytes(), bits=16, BitsStored=12, HighBit=15)
    assert ours(data) == [0xABC]
    assert theirs(data) == [0xBCD]


def j2k(pixels: np.ndarray, **values: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG2000", no_jp2=True)
    codestream = stream.getvalue()
    fragment = codestream + b"\0" * (len(codestream) % 2)
    shape = {"rows": pixels.shape[0], "columns": pixels.shape[1], "bits": 8 * pixels.itemsize}
    return encapsulated_file(encapsulated_value([fragment]), "1.2.840.10008.1.2.4.90", **shape | values)


def test_34_bits_above_bits_stored() -> None:
    words = np.full((16, 16), 0x3FFE, np.uint16)
    for signed, mine in ((0, 0xFFE), (1, -2)):
        data = j2k(words, BitsStored=12, HighBit=11, PixelRepresentation=signed)
        assert ours(data) == [mine]
        assert theirs(data) == [0x3FFE]


def test_35_a_codestream_of_other_dimensions() -> None:
    pixels = np.arange(16 * 32, dtype=np.uint8).reshape(16, 32)
    data = j2k(pixels, rows=32, columns=16)
    for plugin in ("", "pillow", "pylibjpeg"):
        with pytest.raises(PixelDataError, match="16 x 32 pixels") as caught:
            ours(data, decoding_plugin=plugin)
        assert caught.value.reason == "frame_mismatch"
    assert next(iter_pixels(io.BytesIO(data), decoding_plugin="pillow")).shape == (32, 16)


def test_36_half_a_picture() -> None:
    stream = io.BytesIO()
    Image.fromarray(COLOURS[..., 0]).save(stream, "JPEG")
    codestream = stream.getvalue()
    half = codestream[: len(codestream) // 2 & ~1] + b"\xff\xd9"
    data = encapsulated_file(encapsulated_value([half]), JPEG, rows=256, columns=256)
    for plugin in ("", "pillow"):
        with pytest.raises(DecodeError, match="cut short"):
            ours(data, decoding_plugin=plugin)
    assert (next(iter_pixels(io.BytesIO(data), decoding_plugin="pillow"))[-8:] == 128).all()


def test_37_colours_of_jpeg_2000_are_converted_once() -> None:
    colours = np.full((16, 16, 3), (200, 40, 90), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(colours).convert("YCbCr").save(stream, "JPEG2000", irreversible=False, mct=0)
    codestream = stream.getvalue() + b"\0" * (len(stream.getvalue()) % 2)
    colour = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "PhotometricInterpretation": "YBR_FULL"}
    data = encapsulated_file(encapsulated_value([codestream]), "1.2.840.10008.1.2.4.90", rows=16, columns=16, **colour)
    for plugin in ("", "pillow"):
        assert np.abs(next(iter_frames(io.BytesIO(data), decoding_plugin=plugin)).astype(int) - colours).max() < 4
    assert np.abs(next(iter_pixels(io.BytesIO(data), decoding_plugin="pillow")).astype(int) - colours).max() > 50


def test_38_blanks_around_photometric_interpretation() -> None:
    data = native_file(bytes([7] * 16), PhotometricInterpretation=b" MONOCHROME2")
    assert ours(data) == [7]
    with pytest.raises(ValueError, match="Unknown"):
        theirs(data)


def test_39_a_single_sample_is_grey() -> None:
    data = native_file(bytes([7] * 16), PhotometricInterpretation="YBR_FULL")
    assert ours(data) == [7]
    assert build_index(io.BytesIO(data)).notes
    with pytest.raises(ValueError, match="broadcast"):
        theirs(data)


def test_40_a_character_set_that_cant_be_one() -> None:
    data = native_file(bytes([7] * 16), SpecificCharacterSet=b"\x03\0O_IR 100")
    assert ours(data) == [7]
    with pytest.raises(ValueError, match="null character"):
        theirs(data)


def test_every_difference_is_documented_and_tested() -> None:
    numbers = [int(number) for number in re.findall(r"^- \*\*(\d+)\*\* ", DOCUMENT.read_text(), re.MULTILINE)]
    tests = {int(match[1]) for name in globals() if (match := re.match(r"test_(\d+)_", name))}
    assert sorted(numbers) == sorted(tests) == list(range(1, len(numbers) + 1))
