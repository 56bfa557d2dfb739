"""iter_frames: sources, positions, memory, ranges read, and what it does when it is left early."""

from __future__ import annotations

import io
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.pixels import iter_pixels
from pydicom.uid import UID

from pipeline.errors import (
    ConfigError,
    DecodeError,
    FrameIndexError,
    MissingAttributeError,
    NoPixelDataError,
    PixelDataError,
    UnsupportedTransferSyntaxError,
)
from pipeline.frames import FrameReader, build_index, index_frames, iter_frames, read_header
from support.dicom_bytes import (
    DEFLATED,
    EXPLICIT,
    RLE,
    attributes,
    element,
    encapsulated_file,
    encapsulated_value,
    header,
    meta,
    native_file,
    rle_frame,
    table_offsets,
)

SIDE = 64


def planes(count: int) -> list[np.ndarray]:
    return [np.full((SIDE, SIDE), i % 251, np.uint8) for i in range(count)]


def rle_file(count: int, **kwargs: Any) -> bytes:
    fragments = [rle_frame(plane) for plane in planes(count)]
    return encapsulated_file(encapsulated_value(fragments), rows=SIDE, columns=SIDE, frames=count, **kwargs)


def big_native(count: int) -> bytes:
    pixels = b"".join(plane.tobytes() for plane in planes(count))
    return native_file(pixels, vr="OB", rows=SIDE, columns=SIDE, frames=count)


class Counting(io.RawIOBase):
    """A file object that only reads and seeks, as a remote one, and counts."""

    def __init__(self, data: bytes) -> None:
        self.inner = io.BytesIO(data)
        self.bytes = self.reads = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self.inner.seek(offset, whence)

    def tell(self) -> int:
        return self.inner.tell()

    def readinto(self, target: Any) -> int:
        self.reads += 1
        count = self.inner.readinto(target)
        self.bytes += count
        return count


@pytest.fixture(params=["native", "encapsulated", "deflated"])
def data(request: pytest.FixtureRequest) -> bytes:
    if request.param == "native":
        return big_native(6)
    if request.param == "encapsulated":
        return rle_file(6)
    pixels = b"".join(plane.tobytes() for plane in planes(6))
    return native_file(pixels, DEFLATED, vr="OB", rows=SIDE, columns=SIDE, frames=6)


def assert_planes(frames: Iterator[np.ndarray], which: list[int]) -> None:
    expected = planes(6)
    got = list(frames)
    assert len(got) == len(which)
    for frame, number in zip(got, which, strict=True):
        np.testing.assert_array_equal(frame, expected[number])


@pytest.mark.parametrize("position", [0, 3, 10_000_000])
def test_a_file_object_stays_open_and_where_it_was(data: bytes, position: int) -> None:
    file = io.BytesIO(data)
    file.seek(position)
    assert_planes(iter_frames(file), [*range(6)])
    assert file.tell() == position
    generator = iter_frames(file, indices=[5, 0, 3])
    next(generator)
    generator.close()
    assert file.tell() == position
    with pytest.raises(IndexError):
        list(iter_frames(file, indices=[0, 6]))
    assert file.tell() == position
    assert build_index(file).number_of_frames == 6
    assert file.tell() == position
    assert not file.closed


def test_every_kind_of_source(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "made.dcm"
    path.write_bytes(data)
    fsspec.filesystem("memory").pipe("/made.dcm", data)
    with path.open("rb") as buffered, path.open("rb", buffering=0) as raw, fsspec.open("memory://made.dcm") as remote:
        for source in (path, str(path), buffered, raw, remote, Counting(data), dcmread(path)):
            assert_planes(iter_frames(source), [*range(6)])
            assert_planes(iter_frames(source, indices=[4, 4, 0]), [4, 4, 0])


def test_a_path_is_closed(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "made.dcm"
    path.write_bytes(data)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0  # noqa: PTH112, PTH208
    generator = iter_frames(path)
    next(generator)
    del generator
    after = len(os.listdir("/proc/self/fd")) if before else 0  # noqa: PTH208
    assert after == before


def test_errors_come_with_the_first_frame() -> None:
    generator = iter_frames("/no/such/file")
    with pytest.raises(FileNotFoundError):
        next(generator)


@pytest.mark.parametrize("make", [big_native, rle_file])
def test_memory_is_that_of_a_frame(make: Any, tmp_path: Path) -> None:
    path = tmp_path / "made.dcm"
    path.write_bytes(make(1500))
    del make
    sum(int(frame[0, 0]) for frame in iter_frames(path, indices=[0]))  # imports and caches
    tracemalloc.start()
    total = sum(int(frame[0, 0]) for frame in iter_frames(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == sum(i % 251 for i in range(1500))
    assert path.stat().st_size > 6_000_000
    assert peak < 400_000  # the index takes 48 bytes a frame, a frame 4 KiB


def test_one_frame_reads_little_of_a_big_file() -> None:
    count = 2000
    for data in (big_native(count), rle_file(count)):
        file = Counting(data)
        (frame,) = iter_frames(file, indices=[count - 7])
        assert frame[0, 0] == (count - 7) % 251
        assert file.bytes < 60_000 < len(data) / 100


def test_an_index_makes_a_frame_cost_itself() -> None:
    count = 2000
    data = rle_file(count)
    file = Counting(data)
    reader = FrameReader(file, build_index(io.BytesIO(data)))
    reader.read(count - 1)
    assert file.bytes == reader.index.encoded_bytes(count - 1)
    assert file.reads == 1


def test_small_fragments_dont_cost_a_read_each() -> None:
    fragments = [bytes([i % 256]) * 50 for i in range(4000)]
    file = Counting(encapsulated_file(encapsulated_value(fragments), frames=4000))
    assert build_index(file).number_of_frames == 4000
    assert file.reads < 20
    file = Counting(encapsulated_file(encapsulated_value([bytes(10_000)] * 500), frames=500))
    build_index(file)
    assert file.bytes < 30_000


def test_frames_come_lazily() -> None:
    file = Counting(big_native(2000))
    generator = iter_frames(file)
    next(generator)
    before = file.bytes
    next(generator)
    assert file.bytes - before == SIDE * SIDE


def test_indices_are_consumed_lazily() -> None:
    seen = []

    def numbers() -> Iterator[int]:
        for number in (3, 1, 2):
            seen.append(number)
            yield number

    generator = iter_frames(io.BytesIO(rle_file(6)), indices=numbers())
    next(generator)
    assert seen == [3]


def test_found_frames_come_before_the_error() -> None:
    """iter_pixels is silent about missing frames."""
    fragments = [rle_frame(plane) for plane in planes(6)]
    value = encapsulated_value(fragments, table_offsets(fragments, range(6)))
    data = encapsulated_file(value[: 8 + 24 + 4 * (8 + len(fragments[0]))], rows=SIDE, columns=SIDE, frames=6)
    frames: list[np.ndarray] = []
    with pytest.raises(PixelDataError, match="frame indices 4 to 5 missing") as caught:
        frames.extend(iter_frames(io.BytesIO(data)))
    assert_planes(iter(frames), [0, 1, 2, 3])
    assert caught.value.reason == "frames_missing"
    assert len(list(iter_pixels(io.BytesIO(data)))) == 4
    assert_planes(iter_frames(io.BytesIO(data), indices=[3]), [3])
    with pytest.raises(PixelDataError, match="missing"):
        next(iter_frames(io.BytesIO(data), indices=[4]))


def test_ds_out_holds_what_was_asked_for() -> None:
    out = Dataset()
    data = rle_file(2)
    next(iter_frames(io.BytesIO(data), ds_out=out, specific_tags=[0x00080018]))
    assert out.SOPInstanceUID == "1.2.3.4"
    assert "SOPClassUID" not in out
    assert (out.Rows, out.file_meta.TransferSyntaxUID) == (SIDE, RLE)
    assert out.original_encoding == (False, True)


def test_overrides() -> None:
    data = native_file(bytes(range(64)), frames=1)
    frames = list(iter_frames(io.BytesIO(data), number_of_frames=2, rows=8))
    assert [frame.shape for frame in frames] == [(8, 4), (8, 4)]


def test_a_dataset_is_validated_as_pydicom_does() -> None:
    dataset = dcmread(io.BytesIO(native_file(bytes(16))))
    dataset.Rows = 5
    with pytest.raises(ValueError, match=r"less than expected \(16 vs 20 bytes\)") as theirs:
        next(iter_pixels(dataset))
    with pytest.raises(PixelDataError) as ours:
        next(iter_frames(dataset))
    assert str(ours.value) == str(theirs.value)
    dataset.file_meta.TransferSyntaxUID = UID("1.2.3")
    with pytest.raises(UnsupportedTransferSyntaxError, match=r"'1\.2\.3' is not supported"):
        next(iter_frames(dataset))
    del dataset.file_meta.TransferSyntaxUID
    with pytest.raises(MissingAttributeError, match=r"has no .*'Transfer Syntax UID'"):
        next(iter_frames(dataset))
    del dataset.PixelData
    dataset.file_meta.TransferSyntaxUID = UID(EXPLICIT)
    with pytest.raises(NoPixelDataError, match="no pixel data to decode"):
        next(iter_frames(dataset))


def test_no_pixel_data_in_a_file() -> None:
    data = meta(EXPLICIT) + header(attributes())
    with pytest.raises(AttributeError) as theirs:
        next(iter_pixels(io.BytesIO(data)))
    with pytest.raises(NoPixelDataError) as ours:
        next(iter_frames(io.BytesIO(data)))
    assert str(ours.value) == str(theirs.value)


@pytest.mark.parametrize(
    ("uid", "name"),
    [
        ("1.2.840.10008.1.2.4.100", "MPEG2"),
        ("1.2.840.10008.1.2.4.94", "JPIP"),
        ("1.3.6.1.4.1.5962.300.1", "1.3.6.1.4.1.5962.300.1"),
        ("1.2.840.10008.1.2.999", "1.2.840.10008.1.2.999"),
        ("not a uid", r"\(0002,0010\) 'Transfer Syntax UID' value that isn't a UID is not supported"),
    ],
)
def test_transfer_syntaxes_without_decoder_are_named(uid: str, name: str) -> None:
    data = encapsulated_file(encapsulated_value([b"ab"]), uid)
    for call in (lambda: next(iter_frames(io.BytesIO(data))), lambda: build_index(io.BytesIO(data))):
        with pytest.raises(UnsupportedTransferSyntaxError, match=name):
            call()


def test_unknown_plugins() -> None:
    for data in (rle_file(1),):
        with pytest.raises(ValueError, match="No plugin named 'nonesuch'"):
            next(iter_frames(io.BytesIO(data), decoding_plugin="nonesuch"))
    assert next(iter_frames(io.BytesIO(big_native(1)), decoding_plugin="nonesuch")).any() is not None


def test_all_plugins_failing_says_what_each_said(caplog: pytest.LogCaptureFixture) -> None:
    data = encapsulated_file(encapsulated_value([bytes(100)]), rows=SIDE, columns=SIDE)
    with pytest.raises(
        DecodeError, match="Unable to decode as exceptions were raised by all available plugins:\n  "
    ) as caught:
        next(iter_frames(io.BytesIO(data)))
    assert {line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:]} >= {"imagecodecs", "pydicom"}
    assert caught.value.frame == 0
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_frame_of_another_size_is_no_frame() -> None:
    data = encapsulated_file(encapsulated_value([rle_frame(planes(1)[0])]), rows=SIDE, columns=SIDE * 2)
    with pytest.raises((PixelDataError, DecodeError)):
        next(iter_frames(io.BytesIO(data)))
    with pytest.raises((PixelDataError, DecodeError)):
        next(iter_frames(io.BytesIO(data), decoding_plugin="pylibjpeg"))


def test_contradicting_options_are_no_fault_of_the_data() -> None:
    with pytest.raises(ConfigError, match="cannot both be True"):
        next(iter_frames(io.BytesIO(rle_file(1)), force_rgb=True, force_ybr=True))


def test_a_decoder_that_runs_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def iter_array(*_: Any, **__: Any) -> Any:
        raise MemoryError("8 GiB")

    monkeypatch.setattr("pydicom.pixels.decoders.base.Decoder.iter_array", iter_array)
    with pytest.raises(DecodeError, match="8 GiB") as caught:
        next(iter_frames(io.BytesIO(rle_file(1)), decoding_plugin="pydicom"))
    assert (caught.value.reason, caught.value.frame) == ("memory", 0)


def test_the_decoder_is_named_with_its_version() -> None:
    data = rle_file(1)
    names = {
        plugin: FrameReader(io.BytesIO(data), build_index(io.BytesIO(data)), decoding_plugin=plugin).read(0).decoder
        for plugin in ("", "pydicom", "pylibjpeg")
    }
    assert names[""].startswith("imagecodecs 2")
    assert names["pydicom"].startswith("pydicom 3")
    assert names["pylibjpeg"].startswith("pylibjpeg 2")
    assert "(rle 2" in names["pylibjpeg"]
    native = big_native(1)
    assert FrameReader(io.BytesIO(native), build_index(io.BytesIO(native))).read(0).decoder == ""


def test_a_frame_doesnt_depend_on_those_before() -> None:
    data = rle_file(6)
    file = io.BytesIO(data)
    index = index_frames(file, read_header(file, source="made"))
    reader = FrameReader(file, index)
    order = [5, 0, 3, 3, 1]
    assert_planes((reader.read(frame).array for frame in order), order)


def test_read_into_leaves_zeros_where_it_fails() -> None:
    data = rle_file(2)
    index = build_index(io.BytesIO(data))
    reader = FrameReader(io.BytesIO(data), index, decoding_plugin="imagecodecs")
    rows, columns = index.options["rows"], index.options["columns"]
    out = np.ones((rows, columns), np.uint8)
    with pytest.raises(DecodeError) as caught:
        reader.read_into(1, out[:, :-1])
    assert (caught.value.reason, caught.value.frame) == ("frame_mismatch", 1)
    assert not out[:, :-1].any()
    assert out[:, -1].all()
    with pytest.raises(FrameIndexError):
        reader.read_into(2, out)
    assert not out.any()


def test_corrupt_deflate() -> None:
    data = native_file(bytes(range(256)) * 64, DEFLATED, vr="OB", rows=128, columns=128)
    start = len(meta(DEFLATED))
    broken = data[: start + 40] + b"\xff" * 20 + data[start + 60 :]
    with pytest.raises(PixelDataError, match="deflated data set is corrupt"):
        next(iter_frames(io.BytesIO(broken)))
    with pytest.raises(PixelDataError):
        build_index(io.BytesIO(data[:-20]))


def test_deflated_data_are_inflated_only_as_far_as_needed() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (100, 100, 100), dtype=np.uint8)
    data = native_file(pixels.tobytes(), DEFLATED, vr="OB", rows=100, columns=100, frames=100)
    file = Counting(data)
    np.testing.assert_array_equal(next(iter_frames(file, indices=[1])), pixels[1])
    assert file.bytes < 600_000 < len(data)


def test_a_bomb_of_zeros_stays_small_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "zeros.dcm"
    path.write_bytes(native_file(bytes(60_000_000), DEFLATED, vr="OB", rows=1000, columns=1000, frames=60))
    tracemalloc.start()
    assert not any(frame.any() for frame in iter_frames(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 45_000_000  # 16 MiB kept in memory, and their copy when they go to disk


def test_elements_behind_deflated_pixel_data_are_found() -> None:
    data = native_file(bytes(16), DEFLATED, after=element(0x7FE10010, "LO", "PRIVATE"))
    assert 0x7FE10010 in read_header(io.BytesIO(data), source="made").dataset
