"""Images whose frames lie on a grid of several axes, in shards that are square in tiles: written, read by zarr, finished."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import xxhash
import zarr

from pipeline.model import Axes, ImageSpec, PixelFormat, Placement, RegionResult
from pipeline.storage import OutputDir
from pipeline.store import (
    create_root,
    decode_shard,
    finalise_image,
    read_file,
    read_stored_frames,
    shard_name,
    shard_size,
    write_region,
)
from pipeline.tasks.finalise_image import frame_results
from pipeline.tasks.frame_sources import frame_sources
from pipeline.verify.stored_pixels import ShardCheck, check_shard

CODEC = {"name": "blosc", "cname": "lz4", "clevel": 1, "shuffle": "noshuffle"}
PATH = "study/series/level"
TILES = Axes(("y", "x"), ("tile_row", "tile_column"), ("row", "column"))
PLANES = Axes(("z", "y", "x"), ("z", "tile_row", "tile_column"), ("", "row", "column"))
PATHS = Axes(("c", "y", "x"), ("optical_path", "tile_row", "tile_column"), ("sample", "row", "column"))
VOLUME = Axes(("c", "z", "y", "x"), ("", "z", "", ""), ("sample", "", "row", "column"))
SERIES = Axes(("t", "z", "y", "x"), ("t", "z", "", ""), ("", "", "row", "column"))
GREY, RGB = PixelFormat(4, 6, 1, "uint16", "MONOCHROME2"), PixelFormat(4, 6, 3, "uint8", "RGB")


def image(form, axes, sizes, cells, *, chunk=1, tile=None):
    """An image with shards of these cells, and chunks of this many frames along the last axis."""
    chunk_cells = (*(1 for _ in cells[1:]), chunk)
    own = form.frame_shape
    chunks = axes.shape(chunk_cells, (*tile, *own[2:]) if tile else own)
    padded = tuple(-(-size // part) * part for size, part in zip(own, tile, strict=False)) + own[2:] if tile else own
    return ImageSpec(PATH, "1.2", "1.3", "SM", form, axes, sizes, chunks, axes.shape(cells, padded), "frame_number", ())


IMAGES = {
    "tiles": image(GREY, TILES, (5, 7), (2, 2)),
    "tiles, two a chunk": image(GREY, TILES, (5, 7), (4, 4), chunk=2),
    "focal planes": image(GREY, PLANES, (3, 3, 5), (1, 2, 2)),
    "focal planes, two a shard": image(GREY, PLANES, (3, 3, 5), (2, 2, 2)),
    "one chunk a shard": image(GREY, TILES, (2, 3), (1, 1)),
    "optical paths in colour": image(RGB, PATHS, (2, 3, 3), (2, 2, 2)),
    "a volume in colour": image(RGB, VOLUME, (5,), (2,)),
    "a series of volumes": image(GREY, SERIES, (3, 5), (2, 3)),
    "frames in pieces": image(GREY, SERIES, (3, 5), (2, 3), tile=(3, 4)),
    "frames in pieces, two a chunk": image(GREY, SERIES, (3, 5), (2, 4), chunk=2, tile=(3, 4)),
}


@pytest.fixture(params=IMAGES)
def spec(request):
    return IMAGES[request.param]


def frames_of(spec):
    """Random frames, by position."""
    shape = (spec.frames, *spec.format.frame_shape)
    return np.random.default_rng(3).integers(1, 200, shape).astype(spec.format.dtype)


def write(out, spec, frames):
    """Write the image in regions of one or two shards."""
    create_root(out)
    grid, shard, results = spec.grid, 0, []
    while shard < grid.shards:
        last = min(shard + 1 + shard % 2, grid.shards)
        start, stop = grid.shard_positions(shard).start, grid.shard_positions(last - 1).stop
        stored = write_region(out, spec, start, frames[start:stop], CODEC)
        assert len(stored.digests) == last - shard
        for number, digest in zip(range(shard, last), stored.digests, strict=True):
            at = grid.shard_positions(number)
            sums = np.array([xxhash.xxh3_64_intdigest(frame) for frame in frames[at.start : at.stop]], "<u8")
            results.append(RegionResult(0, at.start, at.stop, sums.tobytes(), b"\1" * len(at), 1, digest))
        shard = last
    return results


def finish(out, spec, results):
    """Finish the image as the finalise task does."""
    checksums, valid = frame_results(spec, results)
    owner, number = frame_sources(spec)
    arrays = {"checksum": checksums, "valid": valid, "owner": owner, "frame_number": number + np.int32(1)}
    arrays["name"] = np.array([f"frame {k}" for k in range(spec.frames)], object)
    arrays["place"] = np.arange(2.0 * spec.frames).reshape(-1, 2)
    per_frame = {name: spec.grid.spread(values) for name, values in arrays.items()}
    finalise_image(out, spec, codec=CODEC, per_frame=per_frame, attributes={})
    return zarr.open_group(out.image(PATH).name, mode="r")


def at_coordinates(spec, pixels, cell):
    """A frame cut by hand out of the whole array, as (row, column[, sample])."""
    along, sizes = iter(cell), dict(zip(("row", "column", "sample"), spec.format.frame_shape, strict=False))
    part, there = [], []
    for cut, inside in zip(spec.axes.cut, spec.axes.inside, strict=True):
        at, size = (next(along) if cut else 0), sizes.get(inside, 1)
        part.append(slice(at * size, (at + 1) * size) if inside else at)
        there += [inside] if inside else []
    return pixels[tuple(part)].transpose([there.index(name) for name in sizes])


def test_every_frame_is_at_its_coordinates(tmp_path, spec):
    spec = replace(spec, placements=(Placement(7, 1, 1 + spec.frames, 1, 0),))
    frames = frames_of(spec)
    group = finish(OutputDir.of(tmp_path), spec, write(OutputDir.of(tmp_path), spec, frames))
    pixels = group["pixels"]
    assert pixels.shape == spec.shape
    assert pixels.metadata.dimension_names == spec.axes.names
    whole = pixels[...]
    assert group["name"].metadata.dimension_names == spec.axes.grid
    for position in range(spec.frames):
        cell = spec.grid.coordinates(position)
        stored = at_coordinates(spec, whole, cell)
        assert np.array_equal(stored, frames[position]), cell
        assert group["checksum"][cell] == xxhash.xxh3_64_intdigest(np.ascontiguousarray(stored))
        assert group["name"][...][cell] == f"frame {position}"
        assert group["frame_number"][cell] == position + 2
        assert group["place"][cell].tolist() == [2 * position, 2 * position + 1]
    assert group["valid"][...].all()
    assert group["valid"].shape == spec.sizes
    files = {path.relative_to(tmp_path).as_posix() for path in (tmp_path / "images.zarr" / PATH / "pixels/c").rglob("*") if path.is_file()}  # fmt: skip
    assert files == {f"images.zarr/{PATH}/{shard_name(spec, number)}" for number in range(spec.grid.shards)}


def test_stored_frames_are_read_by_position(tmp_path, spec):
    frames = frames_of(spec)
    results = write(OutputDir.of(tmp_path), spec, frames)
    finish(OutputDir.of(tmp_path), replace(spec, placements=(Placement(7, 0, spec.frames, 1, 0),)), results)
    part = range(1, spec.frames - 1)
    assert np.array_equal(list(read_stored_frames(OutputDir.of(tmp_path), spec, part)), frames[1:-1])
    document = read_file(OutputDir.of(tmp_path), f"{PATH}/pixels/zarr.json")
    for number, result in enumerate(results):
        data = read_file(OutputDir.of(tmp_path), f"{PATH}/{shard_name(spec, number)}")
        assert shard_size(OutputDir.of(tmp_path), spec, number) == len(data)
        found = {}
        for start, some in decode_shard(document, spec, number, data):
            found |= {start + more: frame for more, frame in enumerate(some)}
        assert list(found) == list(result.positions)
        assert all(np.array_equal(frame, frames[position]) for position, frame in found.items())
        assert not list(check_shard(ShardCheck(0, spec, result), OutputDir.of(tmp_path)))
    wrong = bytearray(results[-1].checksums)
    wrong[-1] ^= 1
    (problem,) = check_shard(
        ShardCheck(0, spec, replace(results[-1], checksums=bytes(wrong)), frozenset({spec.frames - 1})),
        OutputDir.of(tmp_path),
    )
    assert (problem.code, problem.frames) == ("frame_differs", range(spec.frames - 1, spec.frames))


def test_a_shard_without_a_valid_frame_needs_no_file(tmp_path):
    spec = replace(IMAGES["tiles"], placements=(Placement(0, 0, 35, 1, 0),))
    results = write(OutputDir.of(tmp_path), spec, frames_of(spec))
    (tmp_path / "images.zarr" / PATH / shard_name(spec, 5)).unlink()
    results[5] = replace(results[5], valid=bytes(len(results[5].positions)))
    group = finish(OutputDir.of(tmp_path), spec, results)
    # shard 5 of 3 x 4 is the second along the rows and along the columns
    expected = np.ones((5, 7), bool)
    expected[2:4, 2:4] = False
    assert np.array_equal(group["valid"][...], expected)


def test_per_frame_arrays_have_few_chunks(tmp_path):
    spec = image(PixelFormat(1, 1, 1, "uint8", ""), TILES, (200, 150), (200, 150))
    write(OutputDir.of(tmp_path), spec, np.ones((30_000, 1, 1), np.uint8))
    finish(OutputDir.of(tmp_path), replace(spec, placements=(Placement(0, 0, 30_000, 1, 0),)), [
        RegionResult(0, 0, 30_000, bytes(8 * 30_000), b"\1" * 30_000)
    ])  # fmt: skip
    document = json.loads((tmp_path / "images.zarr" / PATH / "valid/zarr.json").read_bytes())
    assert document["chunk_grid"]["configuration"]["chunk_shape"] == [109, 150]
