"""Read what is stored, file by file and frame by frame, for checks. File names aren't trusted."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash
import zarr
from zarr.abc.store import Store
from zarr.buffer import cpu, default_buffer_prototype
from zarr.storage import MemoryStore

from pipeline.model import ImageSpec
from pipeline.storage import ZARR_JSON, OutputDir
from pipeline.store.arrays import PIXELS
from pipeline.store.coroutines import run
from pipeline.store.finalise import combine_digests, plain_group
from pipeline.store.read import open_pixels
from pipeline.store.regions import image_store, shard_name

_SLAB = 8 * 2**20
"""Decoded bytes read at a time, unless one chunk is larger."""


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image's files without its shards, in memory: arrays and metadata are read from these bytes."""

    path: str
    files: Mapping[str, bytes]
    """Name below the image's group → content."""
    shards: frozenset[str]
    """Names of the files of ``pixels``; none of them is read."""

    def document(self, name: str = "") -> dict[str, Any]:
        """Return the metadata of an array, by default of the group; KeyError or ValueError if there are none."""
        parsed = json.loads(self.files[f"{name}/{ZARR_JSON}" if name else ZARR_JSON])
        if not isinstance(parsed, dict):
            raise ValueError(f"{name or 'the group'}: the metadata aren't a JSON object")  # noqa: TRY004  not a type here
        return parsed

    def array(self, name: str) -> npt.NDArray[Any]:
        """Read a per-frame array; raises any of zarr's errors if it can't be read."""
        store = _memory({key: data for key, data in self.files.items() if key.startswith(f"{name}/")})
        return np.asarray(zarr.open_array(store, path=name, mode="r", zarr_format=3)[...])

    def array_names(self) -> set[str]:
        """Return the names of the per-frame arrays: all folders with metadata, except ``pixels``."""
        found = {key.removesuffix(f"/{ZARR_JSON}") for key in self.files if key.endswith(f"/{ZARR_JSON}")}
        return found - {PIXELS}


def read_stored(out: OutputDir, path: str, *, aside: bool = False) -> StoredImage:
    """Read all files of an image, in its place or `aside`, except its shards."""
    store = image_store(out, aside=aside, read_only=True)
    prefix = f"{path}/{PIXELS}/"

    async def read() -> tuple[dict[str, bytes], frozenset[str]]:
        names = [key async for key in store.list_prefix(f"{path}/")]
        shards = {key for key in names if key.startswith(prefix) and key != f"{prefix}{ZARR_JSON}"}
        files = {key: await _get(store, key) or b"" for key in names if key not in shards}
        return files, frozenset(shards)

    files, shards = run(read())
    start = len(path) + 1
    return StoredImage(
        path, {key[start:]: data for key, data in files.items()}, frozenset(key[start:] for key in shards)
    )


def image_digest(out: OutputDir, path: str, *, aside: bool = False) -> str:
    """Return the digest of all files of an image except its shards, as :func:`pipeline.store.finalise_image` does."""
    files = read_stored(out, path, aside=aside).files
    return combine_digests({name: xxhash.xxh3_128_hexdigest(data) for name, data in files.items()})


def read_file(out: OutputDir, key: str) -> bytes | None:
    """Return a file of the store; None if it doesn't exist."""
    store = image_store(out, read_only=True)
    return run(_get(store, key))


def list_folder(out: OutputDir, path: str) -> list[str]:
    """Return the names of files and folders directly below `path`, sorted."""
    store = image_store(out, read_only=True)

    async def names() -> list[str]:
        return [name async for name in store.list_dir(path)]

    return sorted(run(names()))


def is_plain_group(text: bytes | None) -> bool:
    """Return whether this is the metadata of the root, a study or a series: a group and nothing more."""
    return text == plain_group()


def chunk_names(name: str, document: Mapping[str, Any]) -> set[str]:
    """Return the names of an unsharded array's files, including its metadata."""
    sizes = document["chunk_grid"]["configuration"]["chunk_shape"]
    counts = [ceil(length / size) for length, size in zip(document["shape"], sizes, strict=True)]
    return {f"{name}/{ZARR_JSON}"} | {f"{name}/c/{'/'.join(map(str, place))}" for place in product(*map(range, counts))}


def decode_shard(
    document: bytes, spec: ImageSpec, number: int, shard: bytes, wanted: Collection[int] | None = None
) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """Decode a shard: yield runs of frames, each with its first position, a few MiB at a time.

    Parameters
    ----------
    document : bytes
        The metadata of ``pixels``.
    spec : ImageSpec
    number : int
        The shard's number.
    shard : bytes
        The shard's file.
    wanted : collection of int, optional
        Positions; parts of the shard without any of them aren't decoded.

    Raises
    ------
    ValueError
        If the shard is empty, which zarr up to 3.1 takes for a missing one. Zarr's own errors pass, of any type, if the
        shard can't be decoded.
    """
    if not shard:
        raise ValueError("an empty file isn't a shard")
    store = _memory({f"{PIXELS}/{ZARR_JSON}": document, shard_name(spec, number): shard})
    pixels = zarr.open_array(store, path=PIXELS, mode="r", zarr_format=3)
    chunk = spec.chunk_frames
    step = chunk * max(1, _SLAB // (chunk * spec.format.frame_bytes)) if wanted is None else chunk
    for start, at, count in spec.grid.runs(spec.grid.shard_positions(number), step):
        if wanted is None or any(position in wanted for position in range(start, start + count)):
            yield start, _read_run(pixels, spec, at, count)


def read_stored_frames(out: OutputDir, spec: ImageSpec, positions: range) -> Iterator[npt.NDArray[Any]]:
    """Yield frames of a complete image one after the other, reading a few MiB at a time.

    Raises
    ------
    OutputError
        If there is no such image. Zarr's own errors pass, of any type, if its chunks can't be decoded.
    """
    pixels = open_pixels(out, spec.path)
    for _, at, count in spec.grid.runs(positions, max(1, _SLAB // spec.format.frame_bytes)):
        yield from _read_run(pixels, spec, at, count)


def read_frame(pixels: zarr.Array[Any], spec: ImageSpec, position: int) -> npt.NDArray[Any]:
    """Return the frame at a position of an image's ``pixels`` as ``(row, column[, sample])``."""
    frame: npt.NDArray[Any] = _read_run(pixels, spec, spec.grid.coordinates(position), 1)[0]
    return frame


def _read_run(pixels: zarr.Array[Any], spec: ImageSpec, at: tuple[int, ...], count: int) -> npt.NDArray[Any]:
    """Read `count` frames that follow each other along the grid's last axis, from coordinates `at` on."""
    frame_shape = spec.format.frame_shape
    starts = spec.axes.along(at)
    sizes = spec.axes.shape((1,) * len(at), frame_shape)
    ends = spec.axes.shape((*(1 for _ in at[1:]), count), frame_shape)
    part = tuple(slice(n * size, n * size + end) for n, size, end in zip(starts, sizes, ends, strict=True))
    return spec.axes.unfold(np.asarray(pixels[part]), frame_shape)


def _memory(files: Mapping[str, bytes]) -> MemoryStore:
    return MemoryStore({key: cpu.Buffer.from_bytes(data) for key, data in files.items()})


async def _get(store: Store, key: str) -> bytes | None:
    found = await store.get(key, default_buffer_prototype())
    return None if found is None else found.to_bytes()
