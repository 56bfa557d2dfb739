"""Transfer syntaxes of the current standard that pydicom doesn't decode: through plain pydicom, a scan and a conversion."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import zarr
from pydicom import dcmread
from pydicom.pixels import iter_pixels, pixel_array

import pipeline
from pipeline import codecs
from pipeline.codecs.jpegxl import read_header
from pipeline.errors import PipelineError
from pipeline.frames import iter_frames
from support.codestreams import DEFLATED_FRAMES, JPEG_XL_LOSSLESS, UNCOMPRESSED, Stream, described, image, newer_streams
from support.corpora import corpus
from support.stored_frames import stored_frames

ODD = ("liver_nonbyte_aligned_deflate.dcm", "liver_nonbyte_aligned_rle.dcm")


def test_plain_pydicom_decodes_them(tmp_path: Path) -> None:
    codecs.register()
    for stream in newer_streams():
        path = tmp_path / f"{stream.name}.dcm"
        path.write_bytes(stream.file().getvalue())
        for array in (pixel_array(path), dcmread(path).pixel_array):
            assert np.abs(array.astype(int) - stream.pixels).max() <= stream.apart


@pytest.mark.parametrize(("name", "same"), [("liver_deflate.dcm", "liver_rle.dcm"), ODD])
def test_a_real_file_and_the_same_in_another_transfer_syntax(name: str, same: str) -> None:
    files = {path.name: path for path in corpus()}
    if name not in files or same not in files:
        pytest.skip(f"{name} and {same} aren't among the files at hand")
    ours, expected = (np.stack(list(iter_frames(files[file]))) for file in (name, same))
    np.testing.assert_array_equal(ours, expected)
    assert expected.any()


def test_a_conversion_stores_them(tmp_path: Path) -> None:
    streams = newer_streams()
    for number, stream in enumerate(streams):
        (tmp_path / f"{number}.dcm").write_bytes(stream.file(SOPInstanceUID=f"1.2.3.{number + 1}").getvalue())
    pipeline.convert([tmp_path], tmp_path / "out", cluster={"kind": "synchronous"})
    rows = pq.read_table(tmp_path / "out" / "catalog.parquet").to_pylist()
    store = zarr.open_group(tmp_path / "out" / "images.zarr", mode="r")
    assert len(rows) == len(streams)
    for row in rows:
        stream = streams[int(Path(row["source"]).stem)]
        assert (row["status"], row["reason"]) == ("converted", None), row["message"]
        assert row["decoder"].startswith("imagecodecs ")
        stored = stored_frames(store[row["image"]]["pixels"], row["frame_start"])
        assert np.abs(stored.astype(int) - stream.pixels).max() <= stream.apart
        assert row["photometric_interpretation"] == ("MONOCHROME2" if stored.ndim == 2 else "RGB")


@pytest.mark.parametrize("syntax", [UNCOMPRESSED, DEFLATED_FRAMES])
def test_chroma_shared_by_two_pixels(syntax: str) -> None:
    shared = np.array([[10, 20, 100, 200], [30, 40, 90, 210]], np.uint8)  # Y Y Cb Cr
    data = shared.tobytes()
    if syntax == DEFLATED_FRAMES:
        packer = zlib.compressobj(wbits=-15)
        data = packer.compress(data) + packer.flush()
    pixels = np.array([[[10, 100, 200], [20, 100, 200]], [[30, 90, 210], [40, 90, 210]]], np.uint8)
    stream = Stream("shared", syntax, data, pixels, described(pixels, 8, PhotometricInterpretation="YBR_FULL_422"))
    (raw,) = iter_frames(stream.file(), raw=True)
    np.testing.assert_array_equal(raw, pixels)
    full = Stream(
        "full", UNCOMPRESSED, pixels.tobytes(), pixels, described(pixels, 8, PhotometricInterpretation="YBR_FULL")
    )
    np.testing.assert_array_equal(next(iter_frames(stream.file())), next(iter_frames(full.file())))


def test_colours_of_jpeg_xl_come_as_rgb() -> None:
    """Also where the attributes name what they were stored as; pydicom knows no XYB, and must be told something else."""
    stream = next(stream for stream in newer_streams() if stream.name == "jpeg-xl-lossy")
    for interpretation in ("XYB", "YBR_FULL_422"):
        file = stream.file(PhotometricInterpretation=interpretation)
        for raw in (False, True):
            (ours,) = iter_frames(file, raw=raw)
            np.testing.assert_array_equal(ours, next(iter_frames(stream.file())))
    (theirs,) = iter_pixels(stream.file(PhotometricInterpretation="XYB"), photometric_interpretation="RGB")
    np.testing.assert_array_equal(ours, theirs)


def test_a_few_bytes_that_claim_to_be_huge() -> None:
    huge = {"rows": 60_000, "columns": 60_000}
    packer = zlib.compressobj(wbits=-15)
    bomb = packer.compress(bytes(50_000_000)) + packer.flush()
    small = image(8)
    for syntax, data, values in (
        (DEFLATED_FRAMES, bomb, described(small, 8)),
        (DEFLATED_FRAMES, bytes(100), described(small, 8) | huge),
        (UNCOMPRESSED, bytes(100), described(small, 8) | huge),
        (JPEG_XL_LOSSLESS, b"\xff\x0a" + bytes(30), described(small, 8) | huge),
    ):
        stream = Stream("huge", syntax, data, small, values)
        with pytest.raises(PipelineError):
            next(iter_frames(stream.file()))


@pytest.mark.parametrize(
    "shape", [(8, 8), (48, 40), (256, 256), (1, 700), (513, 511), (100, 177), (90, 120), (9000, 3)]
)
def test_size_of_a_jpeg_xl_codestream(shape: tuple[int, int]) -> None:
    import imagecodecs  # noqa: PLC0415

    for container in (False, True):
        data = imagecodecs.jpegxl_encode(np.zeros(shape, np.uint8), lossless=True, usecontainer=container)
        assert read_header(data) == (*shape, 8)


def test_a_size_that_isnt_the_declared_one() -> None:
    stream = next(stream for stream in newer_streams() if stream.name == "jpeg-xl-8")
    with pytest.raises(PipelineError, match="48 x 40 pixels"):
        next(iter_frames(io.BytesIO(stream.file(rows=47).getvalue())))
