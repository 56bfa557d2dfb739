"""Originals that hold more than is stored: row, terminal and report say so, and they must never be deleted."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pyarrow.parquet as pq
import pytest
from pydicom import uid

from support import codestreams as cs
from support.converted_folders import Converted, convert, invoke
from support.dicom_bytes import (
    DEFLATED,
    RLE,
    element,
    encapsulated_file,
    encapsulated_value,
    extended_tables,
    item,
    native_file,
    table_offsets,
)

FRAMES = np.stack([cs.image(8), cs.image(8)[::-1], cs.image(8)[:, ::-1]])
ROWS, COLUMNS = FRAMES.shape[1:]
GREY = cs.described(FRAMES[0], 8)
SMALL = np.arange(80, dtype=np.uint8).reshape(5, 4, 4)
OVERLAY = (
    element(0x60000010, "US", 4),
    element(0x60000011, "US", 4),
    element(0x60000040, "CS", "G"),
    element(0x60000050, "SS", b"\1\0\1\0"),
    element(0x60000100, "US", 1),
    element(0x60000102, "US", 0),
)
PLANE = element(0x60003000, "OW", b"\xf0\x0f")
ICON = element(0x00880200, "SQ", item(element(0x00280010, "US", 1) + element(0x7FE00010, "OW", b"\1\2")))


def even(data: bytes) -> bytes:
    return data + b"\0" * (len(data) % 2)


CODECS: dict[str, tuple[str, Callable[[np.ndarray], bytes]]] = {
    "jpeg": (uid.JPEGBaseline8Bit, lambda pixels: imagecodecs.jpeg8_encode(pixels, level=100)),
    "jpeg-lossless": (uid.JPEGLosslessSV1, lambda pixels: cs.lossless_jpeg(pixels, 8, 1)),
    "jpeg-ls": (uid.JPEGLSLossless, imagecodecs.jpegls_encode),
    "jpeg-2000": (uid.JPEG2000Lossless, lambda pixels: cs.jpeg2000(pixels, 8)),
    "jp2": (uid.JPEG2000Lossless, lambda pixels: cs.jpeg2000(pixels, 8, codecformat="JP2")),
    "htj2k": (uid.HTJ2KLossless, lambda pixels: imagecodecs.htj2k_encode(pixels, reversible=True)),
    "jpeg-xl": (
        cs.JPEG_XL_LOSSLESS,
        lambda pixels: imagecodecs.jpegxl_encode(pixels, lossless=True, bitspersample=8, numthreads=1),
    ),
    "rle": (RLE, cs.rle),
    "uncompressed": (cs.UNCOMPRESSED, lambda pixels: pixels.tobytes()),
    "deflated": (cs.DEFLATED_FRAMES, cs.deflated),
}
STREAMS = {name: [even(encode(frame)) for frame in FRAMES] for name, (_, encode) in CODECS.items()}
"""Codec → each frame's codestream."""


def encapsulated(codec: str, fragments: list[bytes], table: list[int] | None = None, **values: Any) -> bytes:
    return encapsulated_file(encapsulated_value(fragments, table), CODECS[codec][0], **(GREY | values))


def halves(data: bytes) -> list[bytes]:
    cut = len(data) // 4 * 2
    return [data[:cut], data[cut:]]


def surplus(found: int, declared: int = 1) -> str:
    stated = " (Number of Frames is absent)" if declared == 1 else ""
    return f"{found} frames found, only the declared {declared} {'is' if declared == 1 else 'are'} stored{stated}"


def partly_stored() -> dict[str, tuple[bytes, np.ndarray, str]]:
    """Files, with the frames to store and the message about the rest."""
    rle, ends = STREAMS["rle"], STREAMS["jpeg-ls"]
    pieces = [part for stream in ends for part in halves(stream)]
    tables = extended_tables(table_offsets(rle, range(3)), list(map(len, rle)))
    floats = np.arange(16, dtype="<f4").reshape(1, 4, 4)
    long = native_file(SMALL[0].tobytes())
    embedded = [element(0x60020010, "US", 4), element(0x60020011, "US", 4), element(0x60020100, "US", 16)]
    embedded += [element(0x60020102, "US", 12)]
    two = {
        "number-empty": (encapsulated("rle", rle, frames=""), FRAMES[:1], "3 frames found, only the declared 1 is"),
        "number-zero": (encapsulated("jpeg-ls", ends, frames=0), FRAMES[:1], "3 frames found, only the declared 1 is"),
        "basic-table": (encapsulated("rle", rle, table_offsets(rle, range(3)), frames=2), FRAMES[:2], surplus(3, 2)),
        "table-that-stops": (encapsulated("rle", rle, [0], frames=1), FRAMES[:1], "3 frames found"),
        "last-one-swallows": (
            encapsulated("rle", rle, table_offsets(rle, range(2)), frames=2),
            FRAMES[:2],
            surplus(3, 2),
        ),
        "no-table": (encapsulated("rle", rle, frames=2), FRAMES[:2], surplus(3, 2)),
        "extended-table": (
            encapsulated_file(encapsulated_value(rle), RLE, extra=tables, **(GREY | {"frames": 2})),
            FRAMES[:2],
            surplus(3, 2),
        ),
        "end-markers": (encapsulated("jpeg-ls", pieces, frames=2), FRAMES[:2], surplus(3, 2)),
        "pieces-without-number": (encapsulated("jpeg-ls", pieces, frames=None), FRAMES[:1], surplus(3)),
        "padded-markers": (
            encapsulated("jpeg-ls", [part + bytes(20 * (place % 2)) for place, part in enumerate(pieces)], frames=2),
            FRAMES[:2],
            surplus(3, 2),
        ),
        "native": (native_file(SMALL.tobytes(), frames=2), SMALL[:2], surplus(5, 2)),
        "native-bits": (
            native_file(np.packbits(SMALL[:4] & 1, bitorder="little").tobytes(), frames=1, bits=1),
            SMALL[:1] & 1,
            "4 frames found, only the declared 1 is stored",
        ),
        "two-kinds-of-pixels": (
            native_file(SMALL.tobytes()[:64], bits=32, frames=1, more=[element(0x7FE00008, "OF", floats.tobytes())]),
            floats,
            "the file also has PixelData, but only FloatPixelData is stored",
        ),
        "second-file": (
            native_file(SMALL[0].tobytes(), after=long),
            SMALL[:1],
            f"{len(long)} bytes after the last element aren't data elements",
        ),
        "second-pixel-data": (
            native_file(SMALL[0].tobytes(), after=element(0x7FE00010, "OW", SMALL[1].tobytes())),
            SMALL[:1],
            "28 bytes after the last element aren't data elements",
        ),
        "deflated-and-more": (
            native_file(SMALL[0].tobytes(), DEFLATED) + SMALL.tobytes(),
            SMALL[:1],
            "80 bytes after the deflated data set don't belong to it",
        ),
        "behind-damage": (
            encapsulated_file(
                encapsulated_value(rle[:2], table_offsets(rle[:2], range(2)), delimiter=b"\xfe\xff\x01\xe0" + rle[2]),
                RLE,
                **(GREY | {"frames": 2}),
            ),
            FRAMES[:2],
            "the bytes after the last fragment can't be read: unexpected tag (FFFE,E001)",
        ),
        "overlay-in-the-pixels": (
            native_file(SMALL[0].astype("<u2").tobytes(), bits=16, BitsStored=12, HighBit=11, more=embedded),
            SMALL[:1],
            "the overlay of group 6002 lies in bits of the pixel data that don't belong to the pixels",
        ),
    }
    for codec, streams in STREAMS.items():
        two[f"codec-{codec}"] = (encapsulated(codec, streams, frames=None), FRAMES[:1], surplus(3))
    return two


def wholly_stored() -> dict[str, tuple[bytes, np.ndarray]]:
    """Files that look similar, but are stored completely."""
    files = {
        "padded": (native_file(SMALL[0].tobytes() + bytes(10)), SMALL[:1]),
        "odd": (native_file(SMALL[0, :3, :3].tobytes() + b"\0", rows=3, columns=3), SMALL[:1, :3, :3]),
        "zeros-behind": (native_file(SMALL[0].tobytes(), after=bytes(300)), SMALL[:1]),
        "a-line-s-end": (native_file(SMALL[0].tobytes(), after=b"\r\n"), SMALL[:1]),
        "trailing-padding": (native_file(SMALL[0].tobytes(), after=element(0xFFFCFFFC, "OB", b"\1" * 40)), SMALL[:1]),
        "overlay-and-icon": (native_file(SMALL[0].tobytes(), more=[*OVERLAY, PLANE, ICON]), SMALL[:1]),
        "overlay-without-data": (native_file(SMALL[0].tobytes(), more=OVERLAY), SMALL[:1]),
        "gzip-s-end": (native_file(SMALL[0].tobytes(), DEFLATED) + struct.pack("<LL", 0x12345678, 90), SMALL[:1]),
    }
    for codec, streams in STREAMS.items():
        for frames in (None, 1):
            if codec != "deflated":
                files[f"pieces-{codec}-{frames}"] = (encapsulated(codec, halves(streams[0]), frames=frames), FRAMES[:1])
    files["pieces-deflated"] = (encapsulated("deflated", halves(STREAMS["deflated"][0]), frames=None), FRAMES[:1])
    return files


PARTLY, WHOLLY = partly_stored(), wholly_stored()


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Converted:
    files = {f"{name}.dcm": file[0] for name, file in (PARTLY | WHOLLY).items()}
    return convert(tmp_path_factory.mktemp("partly") / "in", files)


@pytest.fixture(scope="module")
def verdicts(converted: Converted) -> dict[str, dict[str, Any]]:
    return converted.verdicts()


def close(name: str, stored: np.ndarray, expected: np.ndarray) -> bool:
    levels = 2 if name in {"codec-jpeg", "pieces-jpeg-None", "pieces-jpeg-1"} else 0
    return stored.shape == expected.shape and np.abs(stored.astype(float) - expected).max() <= levels


@pytest.mark.parametrize("name", PARTLY)
def test_unstored_contents_are_reported_and_keep_the_file(
    converted: Converted, verdicts: dict[str, dict[str, Any]], name: str
) -> None:
    _, expected, told = PARTLY[name]
    row, verdict = converted.rows[f"{name}.dcm"], verdicts[f"{name}.dcm"]
    assert (row["status"], row["reason"]) == ("converted", None), row
    assert close(name, converted.frames(f"{name}.dcm"), expected)
    assert row["message"].startswith(told)
    assert row["message"] in row["assumptions"]
    assert (verdict["verdict"], verdict["deletable"]) == ("partly_stored", False)
    assert row["message"] in verdict["note"]
    assert verdict["problem"] is None


@pytest.mark.parametrize("name", WHOLLY)
def test_where_everything_is_stored_the_original_may_go(
    converted: Converted, verdicts: dict[str, dict[str, Any]], name: str
) -> None:
    row, verdict = converted.rows[f"{name}.dcm"], verdicts[f"{name}.dcm"]
    assert (row["status"], row["message"]) == ("converted", None), row
    assert close(name, converted.frames(f"{name}.dcm"), WHOLLY[name][1])
    assert (verdict["verdict"], verdict["deletable"]) == ("equal", True), verdict


def test_terminal_and_report_tell_which_files_and_how_many(converted: Converted) -> None:
    report = json.loads((converted.out / "report.json").read_text("utf-8"))
    page, count = (converted.out / "report.html").read_text("utf-8"), len(PARTLY)
    assert report["partly_stored_files"] == len(report["partly_stored"]) == count
    assert f"of {count} converted files not everything is stored" in converted.result.stdout
    assert f"Not everything is stored: (the first 10 of {count})" in converted.result.stdout
    first = min(converted.folder / f"{name}.dcm" for name in PARTLY)
    assert str(first) in converted.result.stdout
    rows = pq.read_table(converted.out / "catalog.parquet", columns=["source"])["source"].to_pylist()
    places = [rows.index(str(converted.folder / f"{name}.dcm")) for name in PARTLY]
    assert sorted(line["catalog_row"] for line in report["partly_stored"]) == sorted(places)
    assert all(f"row {place}<" in page for place in places)
    assert f"{count} converted files hold more than their stored frames" in page
    assert "only the declared 2 are stored" in converted.result.stdout
    assert converted.result.exit_code == 0


def test_inspect_tells_it_beforehand(converted: Converted) -> None:
    one = invoke("inspect", str(converted.folder / "native.dcm"))
    assert surplus(5, 2) in one.stdout
    assert "Exit code 0: it can be converted, but not all that it holds." in one.stdout
    assert "not all that it holds" not in invoke("inspect", str(converted.folder / "padded.dcm")).stdout
    folder = invoke("inspect", str(converted.folder), "-v").stdout
    assert f"Of {len(PARTLY)} files not everything would be stored" in folder
    assert "overlay-and-icon" not in folder


def test_a_copy_of_such_a_file_is_kept_too_and_the_exit_code_says_so(tmp_path: Path) -> None:
    data = PARTLY["native"][0]
    found = convert(tmp_path / "in", {"a.dcm": data, "b.dcm": data})
    assert {row["reason"] for row in found.rows.values()} == {None, "duplicate"}
    verdicts = found.verdicts()
    assert {row["verdict"] for row in verdicts.values()} == {"partly_stored"}
    result = invoke("verify", str(found.out), "--source", "--cluster", "synchronous")
    assert result.exit_code == 1
    assert "0 of 2 files can be deleted" in result.stdout
    assert invoke("verify", str(found.out), "--cluster", "synchronous").exit_code == 0


def test_frames_that_were_not_selected_keep_the_original(tmp_path: Path) -> None:
    files = {"some.dcm": native_file(SMALL.tobytes(), frames=5), "all.dcm": native_file(SMALL[0].tobytes())}
    found = convert(tmp_path / "in", files, "--set", "select.frames=:2")
    verdicts = found.verdicts()
    assert (verdicts["some.dcm"]["verdict"], verdicts["all.dcm"]["verdict"]) == ("partly_stored", "equal")
    assert verdicts["some.dcm"]["note"] == "select.frames: 2 of 5 frames are stored"
    assert found.rows["some.dcm"]["message"] is None
    assert "select.frames takes 2 of its 5 frames" in found.rows["some.dcm"]["assumptions"]


def test_without_the_header_its_images_are_stored_nowhere(tmp_path: Path) -> None:
    files = {"images.dcm": WHOLLY["overlay-and-icon"][0], "plain.dcm": native_file(SMALL[1].tobytes())}
    found = convert(tmp_path / "in", files, "--set", "metadata.header=none")
    assert found.rows["images.dcm"]["message"] == (
        "the overlay plane of group 6000 is left out with the header; the icon image is left out with the header"
    )
    assert {name: row["verdict"] for name, row in found.verdicts().items()} == {
        "images.dcm": "partly_stored",
        "plain.dcm": "equal",
    }


def test_a_long_element_isnt_stored_and_keeps_the_original(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.frames.header_reader.LARGE_ELEMENT", 20_000)
    files = {"long.dcm": native_file(SMALL[0].tobytes(), more=[element(0x00091010, "OB", bytes(30_000))])}
    found = convert(tmp_path / "in", files)
    assert found.rows["long.dcm"]["message"] == "(0009,1010) of 30000 bytes left out of the header"
    assert found.verdicts()["long.dcm"]["verdict"] == "partly_stored"


def test_a_second_run_tells_the_same(tmp_path: Path) -> None:
    first = convert(tmp_path / "in", {"a.dcm": PARTLY["native"][0]})
    rows = first.rows
    again = convert(tmp_path / "in", {})
    assert again.rows == rows
    assert "Nothing to do" in again.result.stdout
    assert "only the declared 2 are stored" in again.result.stdout
    (tmp_path / "in" / "b.dcm").write_bytes(PARTLY["no-table"][0])
    grown = convert(tmp_path / "in", {})
    assert grown.rows["a.dcm"]["message"] == rows["a.dcm"]["message"]
    assert grown.rows["b.dcm"]["message"] == surplus(3, 2)
    assert "of 2 converted files not everything is stored" in grown.result.stdout
