"""iter_frames gives what iter_pixels gives, over every real file at hand."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.pixels import get_decoder, iter_pixels
from pydicom.uid import UID

from pipeline import codecs
from pipeline.errors import DecodeError, PipelineError
from pipeline.frames import (
    DecodedFrame,
    FrameReader,
    build_index,
    index_frames,
    iter_frames,
    open_source,
    pixel_format,
    read_header,
)
from support.corpora import corpus, same_codec

MOST = 4
"""Frames compared in each file."""
QUICK = 400_000
"""Bytes of a file that is decoded many times over."""

PYDICOM_FAILS = {
    "J2K_pixelrep_mismatch.dcm": "sign correction of a plugin's immutable bytes: output array is read-only",
    "SC_rgb_jpeg.dcm": "declares explicit VR, is in implicit VR: pydicom looks for the value 4 bytes too late",
    "SC_ybr_full_422_uncompressed.dcm": "forgets YBR_FULL_422 after the first frame",
    "US-YBR_FULL_422-EVRLE.dcm": "forgets YBR_FULL_422 after the first frame",
    "image_dfl.dcm": "doesn't inflate deflated files",
    "CTImage.dcm_DeflatedExplicitVRLittleEndianTransferSyntax_1.2.840.10008.1.2.1.99.dcm": "doesn't inflate",
}
"""Files that iter_frames decodes and iter_pixels doesn't, in some way of calling, and why."""

OTHER_ERROR = {
    "3gb-bulk-data-truncated": "Samples per Pixel of [3, 0] is named, instead of a TypeError",
    "rtplan_truncated.dcm": "a file that ends inside its header may have lost its pixel data: not called one without any",
}
"""Files that fail in both, but with a clearer error here."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    codecs.register()  # so that iter_pixels has the same plugins
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def outcome(function: Callable[..., Iterator[np.ndarray]], src: Any, **kwargs: Any) -> tuple[list[Any], Any]:
    frames = []
    try:
        frames.extend(islice(function(src, **kwargs), MOST))
    except Exception as error:  # noqa: BLE001  which one is what the test is about
        return frames, error
    return frames, None


def pydicoms_outcome(path: Path, src: Any, **kwargs: Any) -> tuple[list[Any], Any]:
    """What iter_pixels gives with the plugin that iter_frames tries first, or else with any."""
    same = same_codec(path)
    if same and kwargs.get("decoding_plugin", codecs.PLUGIN) == codecs.PLUGIN:
        frames, error = outcome(iter_pixels, src, **{**kwargs, **same, codecs.RGB_OPTION: not kwargs.get("raw")})
        if error is None or "decoding_plugin" in kwargs:
            return frames, error
    return outcome(iter_pixels, src, **kwargs)


def assert_same(path: Path, src: Any, **kwargs: Any) -> None:
    ours, error = outcome(iter_frames, src, **kwargs)
    theirs, their_error = pydicoms_outcome(path, src, **kwargs)
    if their_error is not None and error is None and path.name in PYDICOM_FAILS:
        return
    if their_error is not None and path.name in OTHER_ERROR:
        assert isinstance(error, PipelineError)
        return
    assert isinstance(error, type(their_error)), (error, their_error)
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine.dtype, mine.shape) == (other.dtype, other.shape)
        assert mine.flags.writeable == other.flags.writeable
        np.testing.assert_array_equal(mine, other)


def named(path: Path) -> str:
    return path.name


everywhere = pytest.mark.parametrize("path", corpus(), ids=named)
where_decoding_is_quick = pytest.mark.parametrize(
    "path", [path for path in corpus() if path.stat().st_size < QUICK], ids=named
)


@everywhere
def test_path(path: Path) -> None:
    assert_same(path, path)


@where_decoding_is_quick
def test_raw_and_view(path: Path) -> None:
    assert_same(path, str(path), raw=True, view_only=True)


@where_decoding_is_quick
def test_file_object_stays_where_it_was(path: Path) -> None:
    with path.open("rb") as file:
        file.seek(7)
        assert_same(path, file, as_rgb=False)
        assert file.tell() == 7


@everywhere
def test_indices(path: Path) -> None:
    try:
        last = build_index(path).number_of_frames - 1
    except PipelineError:
        last = 0
    assert_same(path, path, indices=[last, 0, 0][: 3 if last else 1])


@where_decoding_is_quick
def test_dataset(path: Path) -> None:
    try:
        dataset = dcmread(path)
    except InvalidDicomError:
        pytest.skip("not DICOM by pydicom's rules, so there is no Dataset")
    assert_same(path, dataset)
    assert_same(path, dataset, indices=[0], view_only=True)


@where_decoding_is_quick
def test_every_plugin(path: Path) -> None:
    refused = None
    try:
        with open_source(str(path)) as file:
            header = read_header(file, source=path.name)
            pixel_format(header)
    except PipelineError as error:
        refused = type(error)
    if refused:
        assert isinstance(outcome(iter_frames, path)[1], PipelineError)
        return
    plugins = get_decoder(header.transfer_syntax_uid).available_plugins
    assert bool(plugins) == UID(header.transfer_syntax_uid).is_encapsulated
    for plugin in plugins:
        assert_same(path, path, decoding_plugin=plugin)
        assert_same(path, path, decoding_plugin=plugin, indices=[0], raw=True)


@where_decoding_is_quick
def test_metadata(path: Path) -> None:
    ours, theirs = Dataset(), Dataset()
    tags = [0x00080018, 0x00100020, 0x52009229]
    _, error = outcome(iter_pixels, path, ds_out=theirs, specific_tags=tags)
    _, our_error = outcome(iter_frames, path, ds_out=ours, specific_tags=tags)
    assert error is None or our_error is not None or path.name in PYDICOM_FAILS
    if error is None:
        assert ours == theirs
        assert ours.file_meta == theirs.file_meta
        assert ours.original_encoding == theirs.original_encoding


@everywhere
def test_reader_gives_the_planned_type(path: Path) -> None:
    """What a conversion does: index, then any frame, as the type that the header declares."""
    try:
        with open_source(str(path)) as file:
            header = read_header(file, source=path.name)
            planned = pixel_format(header)
            reader = FrameReader(file, index_frames(file, header), source=path.name)
            frame = reader.index.number_of_frames - 1
            decoded = reader.read_as(frame, planned.dtype)
            assert_read_into_gives_the_same(reader, frame, decoded)
    except PipelineError as error:
        knows_where = error.source and (error.frame is not None or not isinstance(error, DecodeError))
        assert knows_where
        return
    assert decoded.array.dtype.name == planned.dtype
    assert decoded.array.shape == planned.frame_shape
    assert bool(decoded.decoder) == reader.index.encapsulated


def assert_read_into_gives_the_same(reader: FrameReader, frame: int, decoded: DecodedFrame) -> None:
    shard = np.full((3, *decoded.array.shape), 1, decoded.array.dtype.newbyteorder("<"))
    into = reader.read_into(frame, shard[1])
    assert into.array.base is shard
    assert (into.photometric_interpretation, into.decoder) == (decoded.photometric_interpretation, decoded.decoder)
    np.testing.assert_array_equal(shard[1], decoded.array)
    assert (shard[0] == 1).all()
    assert (shard[2] == 1).all()


def test_the_lists_of_exceptions_are_needed() -> None:
    """An exception that no longer differs must leave the list."""
    present = {path.name: path for path in corpus() if path.name in PYDICOM_FAILS | OTHER_ERROR}
    assert present
    for name, path in present.items():
        calls: list[dict[str, Any]] = [{}, {"indices": [0, 0]}, {"decoding_plugin": "pillow"}]
        pairs = [(outcome(iter_frames, path, **c)[1], outcome(iter_pixels, path, **c)[1]) for c in calls]
        assert any(not isinstance(ours, type(theirs)) for ours, theirs in pairs), name


@pytest.mark.parametrize("name", ["emri_small.dcm", "emri_small_RLE.dcm", "liver_nonbyte_aligned.dcm"])
def test_a_dataset_with_buffered_pixel_data(name: str) -> None:
    path = next((path for path in corpus() if path.name == name), None)
    if path is None:
        pytest.skip(f"{name} isn't among the files at hand")
    dataset = dcmread(path)
    expected = list(iter_pixels(dataset))
    buffer = io.BytesIO(b"before" + dataset.PixelData)
    buffer.seek(6)
    dataset.PixelData = buffer
    for kwargs in ({}, {"indices": range(dataset.NumberOfFrames)}):
        np.testing.assert_array_equal(np.stack(list(iter_frames(dataset, **kwargs))), np.stack(expected))
        assert buffer.tell() == 6
