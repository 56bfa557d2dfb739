"""Writing pixels: whole shards, each once, before the array's metadata exists."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import xxhash
from zarr.abc.buffer import Buffer
from zarr.storage import LocalStore, WrapperStore

from pipeline.errors import OutputError, PlanError
from pipeline.model import ImageSpec
from pipeline.storage import RemotePlace, place
from pipeline.store.arrays import PIXELS, ArrayDocument, pixels_document
from pipeline.store.remote import RemoteStore
from pipeline.store.shards import ShardBuilder, chunk_places, shard_grid

STORE = "images.zarr"
_ATTEMPTS = 3
_SLAB = 4 * 2**20
"""Decoded bytes given to zarr at a time, where a chunk isn't larger."""
T = TypeVar("T")


ImageStore = LocalStore | RemoteStore


def image_store(out: str, *, read_only: bool = False) -> ImageStore:
    """Return the Zarr store below the output directory `out`."""
    root = place(out) / STORE
    if isinstance(root, RemotePlace):
        return RemoteStore(root, read_only=read_only)
    return LocalStore(root.name, read_only=read_only)


@dataclass(frozen=True, slots=True)
class Stored:
    """What was written of a region."""

    bytes: int
    digests: tuple[str, ...]
    """xxh3_128 of each shard's file, in hexadecimal, in the order of the frames."""


class WriteOnce(WrapperStore[ImageStore]):
    """A store that never reads back.

    zarr reads what it doesn't overwrite completely, such as the chunks at an image's edges. Here everything is written
    once; what a dead run may have left in its place must neither cost memory nor fail the run by being damaged.
    """

    def __init__(self, store: ImageStore) -> None:
        super().__init__(store)
        self.stored_bytes = 0
        self.digests: dict[str, str] = {}
        """Key → xxh3_128 of what was written, in hexadecimal."""

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Buffer | None:  # noqa: ARG002  given
        """Pretend that there is nothing."""
        return None

    async def set(self, key: str, value: Buffer) -> None:
        """Write `value` whole, atomically; count its bytes and keep their digest."""
        for attempt in range(_ATTEMPTS):
            try:
                await self._store.set(key, value)
                break
            except FileNotFoundError:
                # Another task removed an empty folder between our making it and our writing into it.
                if attempt == _ATTEMPTS - 1:
                    raise
        self.stored_bytes += len(value)
        self.digests[key] = xxhash.xxh3_128_hexdigest(memoryview(value.as_buffer_like()))


def run(work: Coroutine[Any, Any, T], threads: int = 1) -> T:
    """Run zarr's coroutines with at most `threads` threads encoding at a time, and wait for the result.

    zarr's own event loop serves the whole process with up to 32 threads, and its limits are global settings. A worker
    has one core a task thread, so each call gets a loop and encoding threads of its own; in a thread, because a
    notebook's thread already runs a loop.
    """

    async def limited() -> T:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(threads, "dcm2zarr-encode"))
        return await work

    with ThreadPoolExecutor(1, "dcm2zarr-store") as thread:
        return thread.submit(asyncio.run, limited()).result()


def write_region(
    out: str, spec: ImageSpec, frame_start: int, frames: npt.NDArray[Any], codec: Mapping[str, Any], *, threads: int = 1
) -> Stored:
    """Write whole shards of an image's ``pixels``, each exactly once.

    The array's metadata isn't needed and isn't written: until :func:`~pipeline.store.finalise_image`, nothing can
    open the image. Any process may write any region at any time, as long as no two write the same one.

    Parameters
    ----------
    out : str
        The output directory, the parent of ``images.zarr``.
    spec : ImageSpec
        The image's layout. Its spans aren't looked at.
    frame_start : int
        Where the region begins along the frame axis: a multiple of the shard's frames.
    frames : ndarray
        Shape ``(frame, row, column[, sample])``, any byte order: a multiple of the shard's frames, or up to the
        image's last frame.
    codec : mapping
        The configuration's ``output.codec``.
    threads : int, optional
        Threads that encode chunks.

    Returns
    -------
    Stored
        How many bytes, and the digest of each shard.

    Raises
    ------
    PlanError
        Where the region isn't made of whole shards of this image.
    OutputError
        Where the bytes can't be written: no space, no permission.
    ConfigError
        For a codec that doesn't exist.
    """
    _check_region(spec, frame_start, frames)
    store = WriteOnce(image_store(out))
    path = f"{spec.path}/{PIXELS}"
    array = _document(_layout(spec), json.dumps(dict(codec))).bind(store, path)
    zeros = (0,) * len(spec.format.frame_shape)
    # One shard after the other: peak memory is one shard's encoded chunks, whatever the region's size.
    starts = range(0, len(frames), spec.shards[0])
    shards = [(frame_start + start, frames[start : start + spec.shards[0]]) for start in starts]
    keys = [f"{path}/{array.metadata.encode_chunk_key((start // spec.shards[0], *zeros))}" for start, _ in shards]

    async def write() -> None:
        for key, (start, shard) in zip(keys, shards, strict=True):
            if spec.shards == spec.chunks:
                await array.setitem((slice(start, start + len(shard)), ...), shard)
            else:
                await store.set(key, await _build_shard(spec, start, shard, codec))

    try:
        run(write(), threads)
    except OSError as error:
        raise OutputError(f"Can't write frames from {frame_start} on of image {spec.path!r}: {error}") from error
    return Stored(store.stored_bytes, tuple(store.digests[key] for key in keys))


async def _build_shard(spec: ImageSpec, frame_start: int, frames: npt.NDArray[Any], codec: Mapping[str, Any]) -> Buffer:
    document = _document(replace(_layout(spec), shards=spec.chunks), json.dumps(dict(codec)))
    places = chunk_places(spec, PIXELS, document.metadata, frame_start, len(frames))
    builder = ShardBuilder(places, shard_grid(spec))
    array = document.bind(builder, PIXELS)
    # zarr encodes up to ten chunks at a time, and holds each twice: a slab bounds how many bytes these are.
    step = spec.chunks[0] * max(1, _SLAB // (spec.chunks[0] * spec.format.frame_bytes))
    for first in range(0, len(frames), step):
        slab = frames[first : first + step]
        await array.setitem((slice(frame_start + first, frame_start + first + len(slab)), ...), slab)
    return builder.finish()


def shard_starts(spec: ImageSpec) -> range:
    """Where each shard begins along the frame axis."""
    return range(0, spec.frames, spec.shards[0])


def _layout(spec: ImageSpec) -> ImageSpec:
    """`spec` without what the array's metadata doesn't depend on, so that images alike share it."""
    return replace(spec, path="", study_instance_uid="", series_instance_uid="", modality="", order="", spans=())


@lru_cache(maxsize=64)
def _document(layout: ImageSpec, codec: str) -> ArrayDocument:
    return pixels_document(layout, json.loads(codec))


def _check_region(spec: ImageSpec, frame_start: int, frames: npt.NDArray[Any]) -> None:
    stop = frame_start + len(frames)
    step = spec.shards[0]
    whole = frame_start % step == 0 and (stop % step == 0 or stop == spec.frames)
    if not whole or not 0 <= frame_start < stop <= spec.frames:
        raise PlanError(
            f"Image {spec.path!r}: frames {frame_start} to {stop} of {spec.frames} aren't whole shards of {step} "
            "frames; writing them would read and rewrite a shard that another task may own"
        )
    if frames.shape[1:] != spec.format.frame_shape or frames.dtype.name != np.dtype(spec.format.dtype).name:
        raise PlanError(
            f"Image {spec.path!r}: frames of shape {frames.shape[1:]} and dtype {frames.dtype} don't fit "
            f"{spec.format.frame_shape} and {spec.format.dtype}"
        )
