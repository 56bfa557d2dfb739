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
        index = frame_index(instance, out)
        if index.deflated:
            continue
        expected = Expected(instance.size, instance.mtime_ns, instance.etag)
        yield Reading(instance.source, expected, tuple(_ranges(index, range(span.start, span.stop, span.step))))


def _ranges(index: FrameIndex, frames: range) -> Iterator[tuple[int, int]]:
    for frame in frames:
        with suppress(IndexError):  # a frame that isn't there is the decoder's to report
            yield from ((offset, offset + length) for offset, length in index.ranges(frame))


def frame_index(instance: Instance, out: str) -> FrameIndex:
    """Return the instance's frame index, from its record or from its file below `out`."""
    data = instance.frame_index or (place(out) / instance.frame_index_file).read_bytes()
    return FrameIndex.from_bytes(data)
