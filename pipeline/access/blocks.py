"""Dask blocks that decode frames of DICOM files when they are computed, and no other frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
from dask.base import tokenize
from dask.delayed import delayed

from pipeline.errors import PixelDataError
from pipeline.frames import FrameReader, open_source
from pipeline.model import FrameIndex, PixelFormat, frame_axes
from pipeline.storage import Expected, Options, active, using


@dataclass(frozen=True, slots=True)
class Decoding:
    """How to decode all frames of an image, and the format that the decoded frames must have."""

    format: PixelFormat
    raw: bool = False
    plugin: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class FrameSource:
    """One instance's file, with everything that decoding its frames needs; travels to other processes."""

    source: str
    size: int
    mtime_ns: int
    index: FrameIndex
    etag: str = ""
    storage: Options = field(default_factory=active)
    """Options that reach the file from any process."""

    def read(self, frames: range, decoding: Decoding) -> npt.NDArray[Any]:
        """Decode `frames` into ``(frame, y, x)`` or ``(t, c, y, x)``; opens the file and reads only their bytes.

        Raises
        ------
        PipelineError
            With file and frame, if the file changed or is missing, its pixel data are damaged, or a frame has another
            shape than `decoding` promises.
        """
        block = np.empty((len(frames), *decoding.format.frame_shape), decoding.format.dtype)
        with using(self.storage), open_source(self.source, Expected(self.size, self.mtime_ns, self.etag)) as file:
            reader = FrameReader(
                file,
                self.index,
                raw=decoding.raw,
                decoding_plugin=decoding.plugin,
                options=decoding.options,
                source=self.source,
            )
            reader.expect(frames)
            for position, frame in enumerate(frames):
                array = reader.read_as(frame, block.dtype).array
                if array.shape != block.shape[1:]:
                    raise PixelDataError(
                        f"{self.source}: frame {frame} decodes to shape {array.shape}, its attributes promise "
                        f"{block.shape[1:]}",
                        reason="frame_mismatch",
                        source=self.source,
                        frame=frame,
                    )
                block[position] = array
        return frame_axes(block.ndim).fold(block)


def frames_of_file(source: FrameSource, decoding: Decoding, frames_per_block: int) -> da.Array:
    """Return all frames of one instance as a lazy array.

    All blocks share one value in the graph: the frame index, which has megabytes for a long file.
    """
    frames = source.index.number_of_frames
    blocks = _block_lengths(frames, frames_per_block)
    token = _token([source], decoding, frames_per_block)
    shared = delayed(source, name=f"frame-index-{token}", traverse=False)
    return _lazy(_read_block, blocks, decoding, token, shared, frames_per_block, frames)


def frames_of_files(sources: Sequence[FrameSource], decoding: Decoding, frames_per_block: int) -> da.Array:
    """Return the first frame of each of `sources`, in their order, as a lazy array.

    Each block carries only the sources that it needs.
    """
    blocks = _block_lengths(len(sources), frames_per_block)
    token = _token(sources, decoding, frames_per_block)
    own = np.empty(len(sources), object)
    own[:] = sources
    given = da.from_array(own, chunks=(blocks,), name=f"frame-sources-{token}")  # type: ignore[no-untyped-call]
    new_axis = list(range(1, 1 + len(decoding.format.frame_shape)))
    return _lazy(_read_each, blocks, decoding, token, given, new_axis=new_axis)


def _lazy(
    read: Any, blocks: tuple[int, ...], decoding: Decoding, token: str, *arguments: Any, **options: Any
) -> da.Array:
    frame_shape = decoding.format.frame_shape
    _, *plane = frame_axes(1 + len(frame_shape)).shape((1,), frame_shape)
    lazy: da.Array = da.map_blocks(  # type: ignore[no-untyped-call]
        read,
        *arguments,
        decoding=decoding,
        chunks=(blocks, *((size,) for size in plane)),
        dtype=np.dtype(decoding.format.dtype),
        meta=np.empty((0,) * (1 + len(plane)), decoding.format.dtype),
        name=f"dicom-frames-{token}",
        **options,
    )
    return lazy


def _read_block(
    source: FrameSource, frames_per_block: int, frames: int, *, decoding: Decoding, block_id: tuple[int, ...]
) -> npt.NDArray[Any]:
    start = block_id[0] * frames_per_block
    return source.read(range(start, min(start + frames_per_block, frames)), decoding)


def _read_each(sources: npt.NDArray[Any], *, decoding: Decoding) -> npt.NDArray[Any]:
    return np.concatenate([source.read(range(1), decoding) for source in sources])


def _block_lengths(frames: int, frames_per_block: int) -> tuple[int, ...]:
    whole, rest = divmod(frames, frames_per_block)
    return (frames_per_block,) * whole + ((rest,) if rest else ())


def _token(sources: Sequence[FrameSource], decoding: Decoding, frames_per_block: int) -> str:
    """Return a name made of the files' identity, so that opening the same files again reuses computed results."""
    identity = [(source.source, source.size, source.mtime_ns, source.etag) for source in sources]
    return str(tokenize(identity, decoding.format, decoding.raw, decoding.plugin, decoding.options, frames_per_block))
