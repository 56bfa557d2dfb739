"""Shards are written whole, once, without metadata, and equal to the given frames."""

from __future__ import annotations

import struct
import time
import tracemalloc
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
import xxhash
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import OutputError, PlanError
from pipeline.model import ImageSpec, PixelFormat, frame_axes
from pipeline.storage import OutputDir
from pipeline.store import (
    ShardWriter,
    create_root,
    finalise_image,
    list_images,
    open_image,
    open_pixels,
    write_region,
)
from pipeline.store.compression import codec_arguments
from pipeline.store.shards import chunks_per_shard

BLOSC = {"name": "blosc", "cname": "zstd", "clevel": 1, "shuffle": "auto"}


def image_spec(frames, plane, *, shard=4, chunk=1, tile=None, dtype="uint16", samples=1, path="study/series/image"):
    form = PixelFormat(*plane, samples, dtype, "RGB" if samples == 3 else "MONOCHROME2")
    tile = tile or plane
    covering = tuple(-(-size // piece) * piece for size, piece in zip(plane, tile, strict=True))
    last = () if samples == 1 else (samples,)
    return ImageSpec(
        *(path, "study", "series", "CT", form, frame_axes(3 + len(last)), (frames,)),
        *((chunk, *last, *tile), (shard, *last, *covering), "position", ()),
    )


def noise(spec):
    """Frames, as decoders give them: ``(frame, row, column[, sample])``."""
    random = np.random.default_rng(7)
    shape = (spec.frames, *spec.format.frame_shape)
    raw = random.integers(0, 256, (*shape, np.dtype(spec.format.dtype).itemsize), np.uint8)
    values = raw.view(spec.format.dtype)[..., 0]
    if values.dtype.kind == "f":
        values = random.normal(size=shape).astype(values.dtype)
    return values


def as_stored(frames):
    """The same as an array has them: colour is planar."""
    return np.moveaxis(frames, -1, 1) if frames.ndim == 4 else frames


def store_image(out, spec, values, codec=BLOSC, **per_frame):
    for start in range(0, spec.frames, spec.shards[0]):
        write_region(OutputDir.of(out), spec, start, values[start : start + spec.shards[0]], codec)
    finalise_image(OutputDir.of(out), spec, codec=codec, per_frame=per_frame, attributes={})
    return zarr.open_array(f"{out}/images.zarr/{spec.path}/pixels", mode="r")


def shard_file(out, spec, shard=0):
    return (
        Path(out) / "images.zarr" / spec.path / "pixels" / "c" / "/".join([str(shard), *("0",) * (len(spec.shape) - 1)])
    )


@pytest.mark.parametrize(
    ("dtype", "samples"),
    [("uint8", 1), ("uint8", 3), ("int16", 1), ("uint16", 1), ("uint32", 1), ("float32", 1), ("float64", 1)],
)
def test_pixels_come_back_to_the_bit(tmp_path, dtype, samples):
    spec = image_spec(10, (9, 7), dtype=dtype, samples=samples)
    values = noise(spec)
    stored = store_image(str(tmp_path), spec, values)
    assert stored[...].tobytes() == as_stored(values).tobytes()
    assert (stored.shape, stored.chunks, stored.shards) == (spec.shape, spec.chunks, spec.shards)
    assert stored.metadata.dimension_names == (("frame", "y", "x") if samples == 1 else ("t", "c", "y", "x"))
    assert stored.fill_value == 0


def test_big_endian_frames_are_stored_little_endian(tmp_path):
    spec = image_spec(3, (5, 4))
    values = noise(spec)
    big = values.astype(values.dtype.newbyteorder(">"))
    write_region(OutputDir.of(tmp_path), spec, 0, big, {"name": "none"})
    assert shard_file(tmp_path, spec).read_bytes().startswith(values[0].astype("<u2").tobytes())


@pytest.mark.parametrize(
    "codec",
    [
        {"name": "none"},
        {"name": "zstd", "level": 3},
        {"name": "gzip", "level": 1},
        {"name": "blosc", "cname": "lz4", "clevel": 5, "shuffle": "shuffle"},
    ],
)
def test_codecs_of_the_configuration(tmp_path, codec):
    spec = image_spec(6, (16, 16))
    values = noise(spec)
    assert (store_image(str(tmp_path), spec, values, codec)[...] == values).all()


@pytest.mark.filterwarnings("ignore:.*not in the Zarr version 3 specification")  # zarr's, up to 3.1
def test_a_codec_outside_the_zarr_specification(tmp_path):
    spec = image_spec(6, (16, 16))
    values = noise(spec)
    assert (store_image(str(tmp_path), spec, values, {"name": "numcodecs.lz4"})[...] == values).all()


@pytest.mark.parametrize(
    ("dtype", "samples", "shuffle", "typesize"),
    [
        ("uint16", 1, "bitshuffle", 2),
        ("uint8", 1, "bitshuffle", 1),
        ("uint8", 3, "noshuffle", 1),
        ("uint16", 3, "bitshuffle", 2),
    ],
)
def test_blosc_is_set_for_frames(tmp_path, dtype, samples, shuffle, typesize):
    spec = image_spec(4, (8, 8), dtype=dtype, chunk=1, shard=2, samples=samples)
    stored = store_image(str(tmp_path), spec, noise(spec))
    settings = blosc_settings(stored)
    assert (settings["shuffle"], settings["typesize"], settings["blocksize"]) == (shuffle, typesize, 524_288)


def test_blosc_follows_its_settings(tmp_path):
    spec = image_spec(4, (8, 8), chunk=1, shard=2)
    stored = store_image(str(tmp_path), spec, noise(spec), BLOSC | {"shuffle": "noshuffle", "blocksize": 0})
    settings = blosc_settings(stored)
    assert (settings["shuffle"], settings["blocksize"]) == ("noshuffle", 0)


def blosc_settings(stored):
    (blosc,) = stored.compressors
    return blosc.to_dict()["configuration"]


def test_frames_of_zeros_are_there(tmp_path):
    """A missing chunk reads as zeros, so zeros must be stored."""
    spec = image_spec(6, (8, 8), shard=4)
    write_region(OutputDir.of(tmp_path), spec, 0, np.zeros((4, 8, 8), np.uint16), BLOSC)
    raw = shard_file(tmp_path, spec).read_bytes()
    index = raw[-4 * 16 - 4 :]
    assert struct.unpack("<I", index[-4:])[0] == google_crc32c.value(index[:-4])
    offsets = np.frombuffer(index[:-4], "<u8").reshape(4, 2)
    assert (offsets[:, 0] < len(raw)).all()
    assert (offsets[:, 1] > 0).all()


def test_nothing_opens_before_it_is_finished(tmp_path):
    out = str(tmp_path)
    spec = image_spec(4, (8, 8))
    create_root(OutputDir.of(out))
    write_region(OutputDir.of(out), spec, 0, noise(spec), BLOSC)
    assert not list(tmp_path.rglob("study/**/zarr.json"))
    assert list_images(OutputDir.of(out)) == []
    with pytest.raises(OutputError, match="no complete image"):
        open_image(OutputDir.of(out), spec.path)
    with pytest.raises(FileNotFoundError):
        zarr.open(f"{out}/images.zarr/{spec.path}/pixels", mode="r")


@pytest.mark.parametrize(("start", "count"), [(1, 4), (0, 3), (4, 2), (8, 3), (-4, 4), (0, 0), (8, 4)])
def test_a_region_that_is_not_whole_shards_is_refused(tmp_path, start, count):
    spec = image_spec(10, (4, 4), shard=4)
    with pytest.raises(PlanError, match="aren't whole shards of 4"):
        write_region(OutputDir.of(tmp_path), spec, start, np.zeros((count, 4, 4), np.uint16), BLOSC)
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize("frames", [np.zeros((4, 4, 5), np.uint16), np.zeros((4, 4, 4), np.int16)])
def test_frames_that_do_not_fit_are_refused(tmp_path, frames):
    with pytest.raises(PlanError, match="don't fit"):
        write_region(OutputDir.of(tmp_path), image_spec(10, (4, 4)), 0, frames, BLOSC)


def test_leftovers_of_a_dead_run_are_neither_read_nor_kept(tmp_path):
    spec = image_spec(4, (8, 8))
    values = noise(spec)
    write_region(OutputDir.of(tmp_path), spec, 0, values, BLOSC)
    whole = shard_file(tmp_path, spec).read_bytes()
    shard_file(tmp_path, spec).write_bytes(whole[: len(whole) // 2] + b"\xff" * 50)
    write_region(OutputDir.of(tmp_path), spec, 0, values, BLOSC)
    assert shard_file(tmp_path, spec).read_bytes() == whole


def test_stored_bytes_and_digests_are_the_files(tmp_path):
    spec = image_spec(10, (8, 8), shard=4)
    stored = write_region(OutputDir.of(tmp_path), spec, 0, noise(spec), BLOSC)
    files = [shard_file(tmp_path, spec, shard).read_bytes() for shard in range(3)]
    assert stored.bytes == sum(map(len, files))
    assert stored.digests == tuple(xxhash.xxh3_128_hexdigest(file) for file in files)


GZIP_HEADER = 10
"""Header bytes, including the time (RFC 1952, 2.3)."""


@pytest.mark.parametrize(
    ("dtype", "samples"), [("uint8", 1), ("int16", 1), ("float32", 1), ("uint8", 3), ("uint16", 3)]
)
@pytest.mark.parametrize(
    "codec",
    [
        BLOSC,
        {"name": "blosc", "cname": "lz4", "clevel": 5, "shuffle": "shuffle", "blocksize": 4096},
        {"name": "zstd", "level": 3, "checksum": True},
        {"name": "gzip", "level": 1},
        {"name": "none"},
        {"name": "numcodecs.shuffle", "elementsize": 2},
    ],
)
@pytest.mark.filterwarnings("ignore:.*not in the Zarr version 3 specification")
def test_shards_have_the_bytes_that_zarr_writes(tmp_path, codec, dtype, samples):
    """The bytes of zarr's own sharding codec, chunk for chunk."""
    spec = image_spec(7, (9, 14), shard=4, chunk=2, tile=(4, 7), dtype=dtype, samples=samples)
    values = noise(spec)
    written = tmp_path / "by-zarr"
    by_zarr = zarr.create_array(
        written,
        shape=spec.shape,
        chunks=spec.chunks,
        shards=spec.shards,
        dtype=dtype,
        fill_value=0,
        config={"write_empty_chunks": True},
        **codec_arguments(codec, dtype, samples),
    )
    by_zarr[...] = as_stored(values)
    write_region(OutputDir.of(tmp_path), spec, 0, values, codec)
    header = GZIP_HEADER if codec["name"] == "gzip" else 0
    for shard in range(2):
        ours = shard_file(tmp_path, spec, shard).read_bytes()
        expected = (written / f"c/{shard}/{'0/0/0' if samples > 1 else '0/0'}").read_bytes()
        assert chunks_of(ours, spec, header) == chunks_of(expected, spec, header)


@pytest.mark.parametrize("codec", [{"name": "gzip", "level": 6}, BLOSC, {"name": "zstd"}])
def test_no_chunk_tells_when_it_was_written(tmp_path, codec, monkeypatch):
    spec = image_spec(1, (9, 14), shard=1)
    for clock, out in ((1e9, "then"), (2e9, "now")):
        monkeypatch.setattr(time, "time", lambda clock=clock: clock)
        write_region(OutputDir.of(tmp_path / out), spec, 0, noise(spec), codec)
    assert shard_file(tmp_path / "then", spec, 0).read_bytes() == shard_file(tmp_path / "now", spec, 0).read_bytes()


def chunks_of(shard, spec, header):
    """Return the encoded chunks of a shard without their headers, None for a missing chunk."""
    count = chunks_per_shard(spec)
    index = np.frombuffer(shard[-16 * count - 4 : -4], "<u8").reshape(count, 2).tolist()
    return [shard[offset + header : offset + length] if offset < len(shard) else None for offset, length in index]


def test_memory_is_a_chunk_with_its_copies(tmp_path):
    spec = image_spec(64, (256, 512), shard=64)
    values = noise(spec)  # which nothing can compress: the encoded shard is as large as the shard
    write_region(OutputDir.of(tmp_path), spec, 0, values, BLOSC)
    tracemalloc.start()
    stored = write_region(OutputDir.of(tmp_path), spec, 0, values, BLOSC).bytes
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert stored > values.nbytes
    assert peak < 5 * values[0].nbytes


def test_a_shard_is_chunks_in_order_and_an_index(tmp_path):
    """By hand, from the specification of sharding_indexed: the last shard has two frames of four."""
    spec = image_spec(6, (5, 7), shard=4, tile=(3, 4))
    values = noise(spec)
    write_region(OutputDir.of(tmp_path), spec, 0, values, {"name": "none"})
    padded = np.zeros((2, 6, 8), np.uint16)
    padded[:, :5, :7] = values[4:]
    chunks = [padded[f, r : r + 3, c : c + 4].tobytes() for f in (0, 1) for r in (0, 3) for c in (0, 4)]
    index = np.full((16, 2), 2**64 - 1, np.uint64)
    index[:8, 0], index[:8, 1] = np.arange(8) * 24, 24
    raw = shard_file(tmp_path, spec, 1).read_bytes()
    assert raw[: 8 * 24] == b"".join(chunks)
    assert raw[8 * 24 : -4] == index.astype("<u8").tobytes()
    assert raw[-4:] == struct.pack("<I", google_crc32c.value(raw[8 * 24 : -4]))


def test_a_shard_is_invisible_until_it_is_whole(tmp_path):
    spec = image_spec(4, (64, 64))
    writer = ShardWriter(OutputDir.of(tmp_path), spec, 0, BLOSC)
    for frame in noise(spec):
        assert not shard_file(tmp_path, spec).exists()
        writer.place()[...] = frame
        writer.add()
    (partial,) = shard_file(tmp_path, spec).parent.iterdir()
    assert partial.name.endswith(".partial")
    writer.finish()
    assert list(shard_file(tmp_path, spec).parent.iterdir()) == [shard_file(tmp_path, spec)]
    discarded = ShardWriter(OutputDir.of(tmp_path / "other"), spec, 0, BLOSC)
    discarded.add()
    discarded.discard()
    assert not [path for path in (tmp_path / "other").rglob("*") if path.is_file()]


def test_a_shard_that_lacks_frames_is_not_written(tmp_path):
    spec = image_spec(6, (4, 4), shard=4)
    writer = ShardWriter(OutputDir.of(tmp_path), spec, 1, BLOSC)
    writer.place()[...] = 1
    writer.add()
    with pytest.raises(RuntimeError, match="lacks 1 frames"):
        writer.finish()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_many_writers_at_once(tmp_path):
    specs = [image_spec(4, (16, 16), path=f"study/series{number % 3}/{number}") for number in range(12)]
    out = str(tmp_path)
    create_root(OutputDir.of(out))
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda spec: store_image(out, spec, noise(spec)), specs))
    assert list_images(OutputDir.of(out)) == sorted(spec.path for spec in specs)
    assert all((open_pixels(OutputDir.of(out), spec.path)[3] == noise(spec)[3]).all() for spec in specs)


def test_works_where_an_event_loop_already_runs(tmp_path):
    """As in a notebook, whose thread runs an event loop."""
    import asyncio  # noqa: PLC0415  only here

    spec = image_spec(4, (8, 8))

    async def cell():
        return write_region(OutputDir.of(tmp_path), spec, 0, noise(spec), BLOSC)

    assert asyncio.run(cell()).bytes > 0


@pytest.mark.skipif("__import__('os').geteuid() == 0", reason="root may write anywhere")
def test_no_permission_is_an_output_error(tmp_path):
    (tmp_path / "images.zarr").mkdir(mode=0o500)
    with pytest.raises(OutputError, match=r"images\.zarr/.*/pixels/c/0/0/0 can't be written: "):
        write_region(OutputDir.of(tmp_path), image_spec(4, (8, 8)), 0, noise(image_spec(4, (8, 8))), BLOSC)


def test_a_file_in_the_way_is_an_output_error(tmp_path):
    (tmp_path / "images.zarr").write_bytes(b"")
    spec = image_spec(4, (8, 8))
    with pytest.raises(OutputError, match=r"images\.zarr/.*/pixels/c/0/0/0 can't be written: "):
        write_region(OutputDir.of(tmp_path), spec, 0, noise(spec), BLOSC)


def any_layout(frames, plane, chunks, tile, samples):
    chunk, chunks_a_shard = chunks
    return image_spec(
        frames, plane, shard=chunk * chunks_a_shard, chunk=chunk, tile=tile, dtype="uint8", samples=samples
    )


FEW, SOME = st.integers(1, 3), st.integers(1, 12)
LAYOUTS = st.builds(
    any_layout, SOME, st.tuples(SOME, SOME), st.tuples(FEW, FEW), st.tuples(SOME, SOME), st.sampled_from([1, 3])
)


@settings(deadline=None, max_examples=25)
@given(spec=LAYOUTS)
def test_any_layout_comes_back(tmp_path_factory, spec):
    out = str(tmp_path_factory.mktemp("any"))
    values = noise(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stored = store_image(out, spec, values)
        assert (stored[...] == as_stored(values)).all()
