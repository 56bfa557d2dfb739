"""Which bytes a task will read, known before it reads any."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from pipeline.model import FrameIndex, Instance, RegionInput
from pipeline.storage import Expected, Reading, is_remote, place


def readings(piece: RegionInput, out: str) -> Iterator[Reading]:
    """Yield the objects of a region and the ranges of their frames, in the order in which they will be decoded.

    Local files aren't among them (the system reads ahead), nor deflated ones, which have to be read from the beginning.
    """
    for span in piece.spec.spans:
        instance = piece.instances[span.instance]
        if not is_remote(instance.source):
            continue
        frames = range(span.start, span.stop, span.step)
        index = frame_index(instance, out, frames)
        if index.deflated:
            continue
        expected = Expected(instance.size, instance.mtime_ns, instance.etag)
        yield Reading(instance.source, expected, tuple(_ranges(index, frames)))


def _ranges(index: FrameIndex, frames: range) -> Iterator[tuple[int, int]]:
    for frame in frames:
        with suppress(IndexError):  # a frame that isn't there is the decoder's to report
            yield from ((offset, offset + length) for offset, length in index.ranges(frame))


def frame_index(instance: Instance, out: str, frames: range) -> FrameIndex:
    """Return the index of these frames of an instance, or of all, from its record or from its file below `out`."""
    if instance.frame_index:
        return FrameIndex.from_bytes(instance.frame_index)
    where = place(out) / instance.frame_index_file
    if is_remote(out):  # one request for all of it is sooner back than some for its parts
        return FrameIndex.from_bytes(where.read_bytes())
    with where.open() as file:
        return FrameIndex.read_part(file, frames.start, frames.stop)
