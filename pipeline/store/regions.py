"""Write pixels: whole shards, each once, before the array's metadata exists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, NoReturn, cast

import numpy as np
import numpy.typing as npt
import xxhash
from zarr.abc.buffer import Buffer
from zarr.storage import WrapperStore

from pipeline.errors import PlanError
from pipeline.model import ImageSpec
from pipeline.storage import LocalPlace, OutputDir, RemotePlace, as_place_error
from pipeline.store.arrays import PIXELS
from pipeline.store.encoding import chunk_encoder
from pipeline.store.local import LocalImages
from pipeline.store.remote_store import RemoteStore
from pipeline.store.shards import ShardBuilder
from pipeline.store.sinks import FileSink, ObjectSink, Sink

ImageStore = LocalImages | RemoteStore


def image_store(out: OutputDir, *, aside: bool = False, read_only: bool = False) -> ImageStore:
    """Return the Zarr store below the output directory `out`, or the store of the images that are made aside."""
    root = out.images(aside=aside)
    if isinstance(root, RemotePlace):
        return RemoteStore(root, read_only=read_only)
    return LocalImages(cast(LocalPlace, root), read_only=read_only)


@dataclass(frozen=True, slots=True)
class Stored:
    """The files written for a region."""

    bytes: int
    digests: tuple[str, ...]
    """xxh3_128 of each shard's file, in hexadecimal digits, in the order of their numbers."""


class WriteOnce(WrapperStore[ImageStore]):
    """A store that never reads back.

    zarr reads every chunk that it doesn't overwrite completely, such as those at an image's edges. Here each chunk is written
    once; leftovers of a dead run must neither cost memory nor, if damaged, make the run fail.
    """

    def __init__(self, store: ImageStore) -> None:
        super().__init__(store)
        self.stored_bytes = 0
        self.digests: dict[str, str] = {}
        """Key → xxh3_128 of the written bytes, in hexadecimal digits."""

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Buffer | None:  # noqa: ARG002  given
        """Return None, as if there were nothing."""
        return None

    async def set(self, key: str, value: Buffer) -> None:
        """Write `value` whole, atomically; count its bytes and keep their digest."""
        await self._store.set(key, value)
        self.stored_bytes += len(value)
        self.digests[key] = xxhash.xxh3_128_hexdigest(memoryview(value.as_buffer_like()))


class ShardWriter:
    """Writes one shard of an image's ``pixels``, frame by frame, without the array's metadata.

    ::

        writer = ShardWriter(out, spec, shard, codec)
        for frame in frames:
            writer.place()[...] = frame     # or decode into it
            writer.add()
        stored = writer.finish()            # here the file is written, whole

    Parameters
    ----------
    out : OutputDir
        The output directory, the parent of ``images.zarr``.
    spec : ImageSpec
        The image's layout. Its placements aren't used.
    shard : int
        The shard's number in the image's grid.
    codec : mapping
        The configuration's ``output.codec``.

    Raises
    ------
    ConfigError
        If the codec doesn't exist.
    """

    def __init__(self, out: OutputDir, spec: ImageSpec, shard: int, codec: Mapping[str, Any]) -> None:
        self._store, self._key = image_store(out, aside=spec.aside), f"{spec.path}/{shard_name(spec, shard)}"
        self._what = str(out.image(self._key))
        self._sink: Sink | None = None
        self._builder = ShardBuilder(spec, shard, chunk_encoder(spec, codec), self._write)
        self._digest = xxhash.xxh3_128()
        self._bytes = 0

    def place(self) -> npt.NDArray[Any]:
        """Return the array for the next frame: contiguous, little-endian, with undefined contents."""
        return self._builder.place()

    def add(self) -> None:
        """Take the frame in :meth:`place`.

        Raises
        ------
        OutputError
            If the frame can't be written: no space, no permission.
        """
        try:
            self._builder.add()
        except BaseException as error:  # noqa: BLE001  raised again
            self._give_up(error)

    def finish(self) -> Stored:
        """Make the shard appear, whole.

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
        """Remove the frames added so far."""
        if self._sink is not None:
            self._sink.discard()

    def _write(self, data: bytes) -> None:
        if self._sink is None:  # opened late, so that a shard without frames leaves no file
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


def write_region(
    out: OutputDir, spec: ImageSpec, position: int, frames: npt.NDArray[Any], codec: Mapping[str, Any]
) -> Stored:
    """Write whole shards of an image's ``pixels``, each exactly once.

    The array's metadata isn't needed and isn't written: until :func:`~pipeline.store.finalise_image`, nothing can
    open the image. Any process may write any region at any time, as long as no two write the same one.

    Parameters
    ----------
    out : OutputDir
        The output directory, the parent of ``images.zarr``.
    spec : ImageSpec
        The image's layout. Its placements aren't used.
    position : int
        First position of the region.
    frames : ndarray
        Shape ``(frame, row, column[, sample])``, any byte order, in the order of their positions.
    codec : mapping
        The configuration's ``output.codec``.

    Returns
    -------
    Stored
        Bytes written, and the digest of each shard.

    Raises
    ------
    PlanError
        If the region doesn't consist of whole shards of this image.
    OutputError
        If the bytes can't be written: no space, no permission.
    ConfigError
        If the codec doesn't exist.
    """
    stored = []
    left = iter(frames)
    for shard in _whole_shards(spec, range(position, position + len(frames)), frames):
        writer = ShardWriter(out, spec, shard, codec)
        for frame in islice(left, len(spec.grid.shard_positions(shard))):
            writer.place()[...] = frame
            writer.add()
        stored.append(writer.finish())
    return Stored(sum(shard.bytes for shard in stored), tuple(digest for shard in stored for digest in shard.digests))


def shard_name(spec: ImageSpec, shard: int) -> str:
    """Return the name of a shard's file below the image's group."""
    return f"{PIXELS}/c/{'/'.join(map(str, spec.axes.along(spec.grid.shard_coordinates(shard))))}"


def shard_size(out: OutputDir, spec: ImageSpec, shard: int) -> int | None:
    """Return the bytes of a shard's file; None if the file doesn't exist."""
    try:
        return out.image(f"{spec.path}/{shard_name(spec, shard)}", aside=spec.aside).size()
    except FileNotFoundError:
        return None


def _whole_shards(spec: ImageSpec, positions: range, frames: npt.NDArray[Any]) -> range:
    """Return the numbers of the shards that `frames` fill; PlanError if they don't fill whole shards."""
    shards = spec.grid.whole_shards(positions)
    if not shards:
        raise PlanError(
            f"Image {spec.path!r}: frames {positions.start} to {positions.stop} of {spec.frames} aren't whole shards of "
            f"{' x '.join(map(str, spec.grid.shard))} frames; writing them would read and rewrite a shard that another task may own"
        )
    if frames.shape[1:] != spec.format.frame_shape or frames.dtype.name != np.dtype(spec.format.dtype).name:
        raise PlanError(
            f"Image {spec.path!r}: frames of shape {frames.shape[1:]} and dtype {frames.dtype} don't fit "
            f"{spec.format.frame_shape} and {spec.format.dtype}"
        )
    return shards
