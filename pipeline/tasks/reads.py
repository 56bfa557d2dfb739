"""Predict which bytes a task will read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from struct import error as StructError  # noqa: N812  an exception

import numpy as np

from pipeline.errors import PipelineError
from pipeline.model import FrameIndex, Instance, RegionInput
from pipeline.storage import Expected, OutputDir, Reading, is_remote

_LARGEST = 2**32
"""Most bytes of a frame index, which has 24 for each fragment."""


def predict_reads(piece: RegionInput, out: OutputDir) -> Iterator[Reading]:
    """Yield the objects of a region and the ranges of their frames, in the order in which they will be decoded.

    Leaves out local files (the system reads ahead) and deflated ones, which must be read from the beginning.
    """
    for placement in piece.spec.placements:
        instance = piece.instances[placement.instance]
        if not is_remote(instance.source):
            continue
        frames = placement.frames
        index = read_frame_index(instance, out, frames)
        if index.deflated:
            continue
        expected = Expected(instance.size, instance.mtime_ns, instance.etag)
        yield Reading(instance.source, expected, tuple(_ranges(index, frames)))


def _ranges(index: FrameIndex, frames: range) -> Iterator[tuple[int, int]]:
    for frame in frames:
        with suppress(IndexError):  # the decoder reports a missing frame
            yield from ((offset, offset + length) for offset, length in index.ranges(frame))


def read_frame_index(instance: Instance, out: OutputDir, frames: range) -> FrameIndex:
    """Return the index of an instance's `frames`, or of all, from its record or from its file below `out`.

    Raises
    ------
    PipelineError
        If it can't be this instance's index (reason ``index_damaged``), because others may be able to write it.
    """
    try:
        index = _read(instance, out, frames)
        fits = _fits(index, instance)
    except (AttributeError, LookupError, TypeError, ValueError, ArithmeticError, RecursionError, StructError):
        fits = False
    if not fits:
        raise PipelineError(
            f"{instance.source}: the frame index saved below {out} isn't the one that a scan of the file found",
            reason="index_damaged",
        )
    return index


def _read(instance: Instance, out: OutputDir, frames: range) -> FrameIndex:
    if instance.frame_index:
        return FrameIndex.from_bytes(instance.frame_index)
    if not instance.frame_index_file:
        raise LookupError("the instance has no index")
    where = out.at(instance.frame_index_file)
    if out.is_remote:  # one request for the whole index is faster than several for its parts
        return FrameIndex.from_bytes(where.read_bytes(_LARGEST))
    with where.open() as file:
        return FrameIndex.read_part(file, frames.start, frames.stop)


def _fits(index: FrameIndex, instance: Instance) -> bool:
    """Return whether an index fits the instance's frames and lies within the file; the size of inflated data is unknown."""
    pixels, options = instance.format, index.options
    if (index.transfer_syntax_uid, index.number_of_frames) != (
        instance.transfer_syntax_uid,
        instance.number_of_frames,
    ):
        return False
    if (options["rows"], options["columns"], options["samples_per_pixel"]) != (
        pixels.rows,
        pixels.columns,
        pixels.samples_per_pixel,
    ):
        return False
    end = max(instance.size, 0)
    if index.deflated or not index.encapsulated:
        return index.deflated or (0 <= index.value_offset <= end and 0 <= index.frame_bits <= 8 * end)
    lengths, starts = index.fragment_lengths, index.frame_fragments
    ordered = bool((starts[1:] >= starts[:-1]).all()) and (not len(starts) or starts[-1] <= len(lengths))
    return ordered and bool(
        lengths.sum(dtype=np.float64) <= end and (index.fragment_offsets <= np.uint64(end) - lengths).all()
    )
