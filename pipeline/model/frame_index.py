"""The frames of one instance: their pixel format, and where their bytes lie."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from pipeline.errors import FrameIndexError
from pipeline.model.compact import Compact

_MAGIC = b"D2ZFIDX1"


def _no_fragments() -> npt.NDArray[np.uint64]:
    return np.zeros(0, np.uint64)


@cache
def _itemsize(dtype: str) -> int:
    return np.dtype(dtype).itemsize


def _require_magic(found: bytes) -> None:
    if found != _MAGIC:
        raise ValueError(f"not a serialised frame index: it starts with {found!r} instead of {_MAGIC!r}")


def _fields(head: dict[str, Any]) -> dict[str, Any]:
    """Return an index's fields from its JSON header."""
    return head | {name: tuple(head.get(name, ())) for name in ("notes", "unstored")}


@dataclass(frozen=True, slots=True)
class PixelFormat(Compact):
    """Properties that all frames of an image share (PS3.3 C.7.6.3, Image Pixel Module)."""

    rows: int
    columns: int
    samples_per_pixel: int
    dtype: str
    """NumPy's name of the stored type without byte order: ``uint8``, ``int16``, ``float32``, …"""
    photometric_interpretation: str
    """As declared by the header; the stored pixels may differ (YBR_FULL becomes RGB unless ``decode.raw``)."""

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """``(rows, columns)`` or ``(rows, columns, samples)``."""
        plane = (self.rows, self.columns)
        return plane if self.samples_per_pixel == 1 else (*plane, self.samples_per_pixel)

    @property
    def frame_bytes(self) -> int:
        """Bytes of one decoded frame."""
        return self.rows * self.columns * self.samples_per_pixel * _itemsize(self.dtype)


@dataclass(frozen=True, slots=True, eq=False)
class FrameIndex:
    """The byte ranges of every frame of one instance, and all that is needed to decode them.

    Built once from a file (:func:`dcm2zarr.build_index`); afterwards any process decodes any frame at the cost of
    that frame, without the header. All offsets are absolute in the file or, if ``deflated``, in the inflated data set.
    """

    transfer_syntax_uid: str
    number_of_frames: int
    options: Mapping[str, int | str]
    """The Image Pixel attributes under the names of pydicom's decoding options: ``rows``, ``columns``,
    ``samples_per_pixel``, ``photometric_interpretation``, ``planar_configuration``, ``bits_allocated``,
    ``bits_stored``, ``pixel_representation``, ``pixel_keyword``, ``pixel_vr`` (those that are present); and ``high_bit``
    if samples don't lie in the lowest bits of their words."""
    value_offset: int
    """First byte of the pixel data element's value."""
    value_length: int
    """Bytes of the value; for encapsulated data up to, but without, the sequence delimiter."""
    frame_bits: int = 0
    """Native: bits from the first pixel of one frame to that of the next (PS3.5 8.1.1: bit-packed frames aren't padded)."""
    fragment_offsets: npt.NDArray[np.uint64] = field(default_factory=_no_fragments)
    """Encapsulated: first byte of each fragment's value, after its 8 bytes of item tag and length."""
    fragment_lengths: npt.NDArray[np.uint64] = field(default_factory=_no_fragments)
    frame_fragments: npt.NDArray[np.uint64] = field(default_factory=_no_fragments)
    """Encapsulated: fragments ``[frame_fragments[i], frame_fragments[i + 1])`` make frame i."""
    boundaries: str = "native"
    """Source of the frames' boundaries: ``native``, ``basic_offset_table``, ``extended_offset_table``,
    ``one_fragment_per_frame``, ``single_frame``, ``end_of_image_markers``, ``codestream_starts``."""
    notes: tuple[str, ...] = ()
    """Assumptions and doubts of the indexing, for the catalog."""
    unstored: tuple[str, ...] = ()
    """Other contents of the pixel data that belong to no declared frame, but may be an image; they aren't stored."""
    deflated: bool = False
    first_frame: int = 0
    """In a part (:meth:`read_part`): the first frame whose fragments are present, as frame 0 of the arrays."""

    @property
    def encapsulated(self) -> bool:
        """Whether frames are items of encapsulated pixel data (PS3.5 A.4)."""
        return self.boundaries != "native"

    def check(self, frame: int) -> int:
        """Return `frame`, or raise :class:`~pipeline.errors.FrameIndexError`, which names the valid range."""
        if not 0 <= frame < self.number_of_frames:
            raise FrameIndexError(
                f"Frame index {frame} is out of range: the instance has {self.number_of_frames} frame(s), "
                f"valid indices are 0 to {self.number_of_frames - 1}",
                frame=frame,
            )
        return frame

    def ranges(self, frame: int) -> list[tuple[int, int]]:
        """Return ``(offset, length)`` in bytes of the pieces that hold `frame`, in order.

        A bit-packed native frame's range covers every byte that holds one of its bits.
        """
        at = self.check(frame) - self.first_frame
        if not self.encapsulated:
            first = frame * self.frame_bits
            start, stop = first // 8, -(-(first + self.frame_bits) // 8)
            return [(self.value_offset + start, stop - start)]
        if at < 0:
            raise FrameIndexError(
                f"Frame index {frame} isn't in this part, which begins at {self.first_frame}", frame=frame
            )
        first, last = self.frame_fragments.item(at), self.frame_fragments.item(at + 1)
        if last == first + 1:
            return [(self.fragment_offsets.item(first), self.fragment_lengths.item(first))]
        offsets, lengths = self.fragment_offsets[first:last], self.fragment_lengths[first:last]
        return list(zip(offsets.tolist(), lengths.tolist(), strict=True))

    def encoded_bytes(self, frame: int) -> int:
        """Return how many bytes must be read to decode `frame`."""
        return sum([length for _, length in self.ranges(frame)])

    def to_bytes(self) -> bytes:
        """Serialise as an 8-byte magic, the length of a JSON header, the header, then three arrays of uint64."""
        head: dict[str, Any] = {
            name: getattr(self, name)
            for name in (
                *("transfer_syntax_uid", "number_of_frames", "value_offset", "value_length", "frame_bits"),
                *("boundaries", "deflated"),
            )
        }
        head |= {"options": dict(self.options), "notes": list(self.notes), "fragments": len(self.fragment_offsets)}
        head |= {"unstored": list(self.unstored)} if self.unstored else {}
        text = json.dumps(head, separators=(",", ":")).encode()
        arrays = (self.fragment_offsets, self.fragment_lengths, self.frame_fragments)
        return b"".join([_MAGIC, struct.pack("<I", len(text)), text, *(a.astype("<u8").tobytes() for a in arrays)])

    @classmethod
    def from_bytes(cls, data: bytes) -> FrameIndex:
        """Read the result of :meth:`to_bytes`; ValueError if `data` isn't one."""
        _require_magic(data[:8])
        (size,) = struct.unpack_from("<I", data, 8)
        head = json.loads(data[12 : 12 + size])
        values = np.frombuffer(data, "<u8", offset=12 + size).astype(np.uint64, copy=False)
        count = head.pop("fragments")
        return cls(
            **_fields(head),
            fragment_offsets=values[:count],
            fragment_lengths=values[count : 2 * count],
            frame_fragments=values[2 * count :],
        )

    @classmethod
    def read_part(cls, file: BinaryIO, start: int, stop: int) -> FrameIndex:
        """Read the result of :meth:`to_bytes`, but only the fragments of the frames from `start` to before `stop`.

        A task that decodes some hundred frames out of a million needs no more, and a part costs the same wherever its
        frames lie. Frames keep their numbers.

        Parameters
        ----------
        file : BinaryIO
            Seekable; holds the index from beginning to end.
        start, stop : int

        Raises
        ------
        ValueError
            If the file isn't a frame index.
        """
        magic, size = file.read(8), file.read(4)
        _require_magic(magic)
        head = _fields(json.loads(file.read(struct.unpack("<I", size)[0])))
        count, arrays = head.pop("fragments"), file.tell()
        if not count:
            return cls(**head)
        there = (file.seek(0, os.SEEK_END) - arrays) // 8
        available = there - 2 * count - 1
        start, stop = min(start, available), min(stop, available)

        def numbers(first: int, last: int) -> npt.NDArray[np.uint64]:
            if not 0 <= first <= last <= there:
                raise ValueError(f"a frame index of {there} numbers has none from {first} to {last}")
            file.seek(arrays + 8 * first)
            return np.frombuffer(file.read(8 * (last - first)), "<u8").astype(np.uint64, copy=False)

        starts = numbers(2 * count + start, 2 * count + stop + 1)
        first, last = starts.item(0), starts.item(-1)
        return cls(
            **head,
            fragment_offsets=numbers(first, last),
            fragment_lengths=numbers(count + first, count + last),
            frame_fragments=starts - starts[0],
            first_frame=start,
        )
