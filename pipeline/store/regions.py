"""Writing pixels: whole shards, each once, before the array's metadata exists."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NoReturn, cast

import numpy as np
import numpy.typing as npt
import xxhash
from zarr.abc.buffer import Buffer
from zarr.storage import WrapperStore

from pipeline.errors import PlanError
from pipeline.model import ImageSpec
from pipeline.storage import LocalPlace, OutputDir, RemotePlace, as_place_error
from pipeline.store.arrays import PIXELS, ArrayDocument, pixels_document
from pipeline.store.encoding import chunk_encoder
from pipeline.store.local import LocalImages
from pipeline.store.remote_store import RemoteStore
from pipeline.store.shards import ShardBuilder
from pipeline.store.sinks import FileSink, ObjectSink, Sink

ImageStore = LocalImages | RemoteStore


def image_store(out: OutputDir, *, aside: bool = False, read_only: bool = False) -> ImageStore:
    """Return the Zarr store below the output directory `out`, or the store of the images made aside there."""
    root = out.images(aside=aside)
    if isinstance(root, RemotePlace):
        return RemoteStore(root, read_only=read_only)
    return LocalImages(cast(LocalPlace, root), read_only=read_only)


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
        await self._store.set(key, value)
        self.stored_bytes += len(value)
        self.digests[key] = xxhash.xxh3_128_hexdigest(memoryview(value.as_buffer_like()))


class ShardWriter:
    """Writes one shard of an image's ``pixels``, frame by frame, without the array's metadata.

    ::

        writer = ShardWriter(out, spec, frame_start, codec)
        for frame in frames:
            writer.place()[...] = frame     # or decode into it
            writer.add()
        stored = writer.finish()            # here the file is written, whole

    Parameters
    ----------
    out : OutputDir
        The output directory, the parent of ``images.zarr``.
    spec : ImageSpec
        The image's layout. Its spans aren't looked at.
    frame_start : int
        Where the shard begins along the frame axis: a multiple of the shard's frames.
    codec : mapping
        The configuration's ``output.codec``.

    Raises
    ------
    ConfigError
        For a codec that doesn't exist.
    """

    def __init__(self, out: OutputDir, spec: ImageSpec, frame_start: int, codec: Mapping[str, Any]) -> None:
        frames = min(spec.shards[0], spec.frames - frame_start)
        self._store, self._key = image_store(out, aside=spec.aside), _shard_key(spec, frame_start, codec)
        self._what = str(out.image(self._key))
        self._sink: Sink | None = None
        self._builder = ShardBuilder(spec, frames, chunk_encoder(spec, codec), self._write)
        self._digest = xxhash.xxh3_128()
        self._bytes = 0

    def place(self) -> npt.NDArray[Any]:
        """Return where the next frame goes: contiguous, little-endian, holding whatever was there before."""
        return self._builder.place()

    def add(self) -> None:
        """Take the frame that is at :meth:`place`.

        Raises
        ------
        OutputError
            Where it can't be written: no space, no permission.
        """
        try:
            self._builder.add()
        except BaseException as error:  # noqa: BLE001  raised again
            self._give_up(error)

    def finish(self) -> Stored:
        """Let the shard appear, whole.

        Raises
        ------
        OutputError
            As :meth:`add`.
        """
        try:
            self._builder.finish()
            if self._sink is not None:
                self._sink.finish()
        except BaseException as error:  # noqa: BLE001  raised again
            self._give_up(error)
        return Stored(self._bytes, (self._digest.hexdigest(),))

    def discard(self) -> None:
        """Leave nothing behind of the frames added."""
        if self._sink is not None:
            self._sink.discard()

    def _write(self, data: bytes) -> None:
        if self._sink is None:  # not before there is something to write
            self._sink = _sink(self._store, self._key)
        self._sink.write(data)
        self._digest.update(data)
        self._bytes += len(data)

    def _give_up(self, error: BaseException) -> NoReturn:
        self.discard()
        if isinstance(error, OSError):
            raise as_place_error(self._what, error) from error
        raise error


def _sink(store: ImageStore, key: str) -> Sink:
    return ObjectSink(store, key) if isinstance(store, RemoteStore) else FileSink(store.at / key)


def _shard_key(spec: ImageSpec, frame_start: int, codec: Mapping[str, Any]) -> str:
    zeros = (0,) * len(spec.format.frame_shape)
    metadata = _document(_layout(spec), json.dumps(dict(codec))).metadata
    return f"{spec.path}/{PIXELS}/{metadata.encode_chunk_key((frame_start // spec.shards[0], *zeros))}"


def write_region(
    out: OutputDir, spec: ImageSpec, frame_start: int, frames: npt.NDArray[Any], codec: Mapping[str, Any]
) -> Stored:
    """Write whole shards of an image's ``pixels``, each exactly once.

    The array's metadata isn't needed and isn't written: until :func:`~pipeline.store.finalise_image`, nothing can
    open the image. Any process may write any region at any time, as long as no two write the same one.

    Parameters
    ----------
    out : OutputDir
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
    stored = []
    for start in range(0, len(frames), spec.shards[0]):
        writer = ShardWriter(out, spec, frame_start + start, codec)
        for frame in frames[start : start + spec.shards[0]]:
            writer.place()[...] = frame
            writer.add()
        stored.append(writer.finish())
    return Stored(sum(one.bytes for one in stored), tuple(digest for one in stored for digest in one.digests))


def shard_starts(spec: ImageSpec) -> range:
    """Where each shard begins along the frame axis."""
    return range(0, spec.frames, spec.shards[0])


def shard_size(out: OutputDir, spec: ImageSpec, frame_start: int) -> int | None:
    """Return the bytes of the shard that begins at frame `frame_start`, None where there is no such file."""
    name = "/".join(map(str, ("c", frame_start // spec.shards[0], *(0 for _ in spec.format.frame_shape))))
    try:
        return out.image(f"{spec.path}/{PIXELS}/{name}", aside=spec.aside).size()
    except FileNotFoundError:
        return None


def _layout(spec: ImageSpec) -> ImageSpec:
    """`spec` without what the array's metadata doesn't depend on, so that images alike share it."""
    return replace(
        spec, path="", study_instance_uid="", series_instance_uid="", modality="", order="", spans=(), aside=False
    )


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
