"""Frames of native pixel data: their places, and their bytes prepared for separate decoding (PS3.5 8.1.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from pipeline.errors import InvalidAttributeError, PixelDataError
from pipeline.frames.byte_sources import Bytes, clip, read_range, view_range
from pipeline.frames.header import Header
from pipeline.frames.items import ITEM
from pipeline.frames.photometric_labels import SHARED_CHROMA
from pipeline.model import FrameIndex, syntaxes

_LESS_THAN_A_WORD = (1, 8)
_ITEM_TAGS = {(ITEM >> 16).to_bytes(2, order) + (ITEM & 0xFFFF).to_bytes(2, order) for order in ("little", "big")}


def value_extent(file: BinaryIO, header: Header, *, inflate: bool) -> int:
    """Return how many bytes of a native value the file holds.

    For a deflated file, this needs the whole file inflated; without `inflate`, return the declared length.

    Raises
    ------
    PixelDataError
        If the length is undefined, as only encapsulated data may be; reason ``transfer_syntax_mismatch``.
    """
    if header.value_length is None:
        raise PixelDataError(
            f"{header.source}: the pixel data are encapsulated (undefined length), but the transfer syntax is native",
            reason="transfer_syntax_mismatch",
            source=header.source,
        )
    if header.deflated and not inflate:
        return header.value_length
    return clip(file, header.value_offset, header.value_length)


def check_extent(file: BinaryIO, index: FrameIndex, source: str) -> tuple[str, ...]:
    """Return notes on a native value's length.

    Raises
    ------
    PixelDataError
        If the value can't hold all frames (``pixel_data_too_short``), holds items instead (``transfer_syntax_mismatch``), or
        has a length that contradicts YBR_FULL_422 (``contradictory_attributes``).
    """
    bits, frames = index.frame_bits, index.number_of_frames
    expected, actual = -(-bits * frames // 8), index.value_length
    if actual < expected:
        hint = _hint(file, index)
        raise PixelDataError(
            f"The number of bytes of pixel data is less than expected ({actual} vs {expected + expected % 2} bytes) - "
            f"the dataset may be corrupted, have an invalid group 0028 element value, or the transfer syntax may be "
            f"incorrect; the file holds {available_native(index)} of {frames} frame(s){hint}",
            reason="transfer_syntax_mismatch" if hint else "pixel_data_too_short",
            source=source,
        )
    full = expected // 2 * 3
    if index.options["photometric_interpretation"] == SHARED_CHROMA and full <= actual <= full + full % 2:
        raise PixelDataError(
            f"The number of bytes of pixel data is a third larger than expected ({actual} vs {expected} bytes) which "
            "indicates the set (0028,0004) 'Photometric Interpretation' value of 'YBR_FULL_422' is incorrect and may "
            "need to be changed to either 'RGB' or 'YBR_FULL'",
            reason="contradictory_attributes",
            source=source,
        )
    if actual <= expected + expected % 2:
        return ()
    return (f"the pixel data hold {actual - expected} bytes more than {frames} frame(s) need",)


def whole_frames(index: FrameIndex) -> int:
    """Return the number of whole frames in the value, declared or not, without counting a padding byte."""
    expected = -(-index.frame_bits * index.number_of_frames // 8)
    if expected <= index.value_length <= expected + expected % 2:
        return index.number_of_frames
    return index.value_length * 8 // index.frame_bits


def shared_chroma_bits(options: Mapping[str, Any], length: int, source: str) -> tuple[int, tuple[str, ...]]:
    """Return the bits of one frame whose pixels share their chroma in pairs, and a note on its layout.

    With an odd number of columns, either each row has an additional pixel, or pairs continue across rows; the length of the
    value decides.

    Raises
    ------
    InvalidAttributeError
        If neither is possible, reason ``contradictory_attributes``.
    """
    rows, columns, bits = (int(options[name]) for name in ("rows", "columns", "bits_allocated"))
    if not columns % 2:
        return rows * columns * 2 * bits, ()
    filled = rows * (columns + 1) * 2 * bits
    if length * 8 == filled * int(options["number_of_frames"]):
        return filled, ("an odd number of columns: each row ends with an additional pixel, which isn't stored",)
    if rows % 2:
        raise InvalidAttributeError(
            f"(0028,0004) 'Photometric Interpretation' is YBR_FULL_422, but {rows} rows of {columns} columns make no pairs "
            "of pixels",
            reason="contradictory_attributes",
            source=source,
        )
    return rows * columns * 2 * bits, ("an odd number of columns: pixels share their chroma across the ends of rows",)


def uneven_columns(index: FrameIndex) -> bool:
    """Return whether pixels share their chroma in pairs although the number of columns is odd."""
    shares = not index.encapsulated and index.options["photometric_interpretation"] == SHARED_CHROMA
    return shares and int(index.options["columns"]) % 2 == 1


def filling_columns(index: FrameIndex) -> int:
    """Return the number of additional columns in a native frame's bytes; see :func:`shared_chroma_bits`."""
    rows, columns, bits = (int(index.options[name]) for name in ("rows", "columns", "bits_allocated"))
    return int(uneven_columns(index) and index.frame_bits == rows * (columns + 1) * 2 * bits)


def available_native(index: FrameIndex) -> int:
    """Return the number of declared frames that the value holds whole."""
    return min(index.number_of_frames, index.value_length * 8 // index.frame_bits)


def _hint(file: BinaryIO, index: FrameIndex) -> str:
    """Return a hint for the message if a native value begins like encapsulated data."""
    items = bytes(read_range(file, index.value_offset, 4)) in _ITEM_TAGS
    return "; the pixel data begin with an item, as encapsulated pixel data do" if items else ""


def swaps_bits(index: FrameIndex) -> bool:
    """Return whether single bits were written as big endian 16-bit words."""
    return index.options["bits_allocated"] == 1 and swaps_pairs(index, {})


def swaps_pairs(index: FrameIndex, options: Mapping[str, Any]) -> bool:
    """Return whether bytes or single bits were written as big endian 16-bit words, with swapped bytes in each pair."""
    if options.get("be_swap_ow"):
        return True
    stored = index.options
    return (
        index.transfer_syntax_uid == syntaxes.BIG_ENDIAN
        and int(stored["bits_allocated"]) in _LESS_THAN_A_WORD
        and stored["pixel_keyword"] == "PixelData"
        and stored.get("pixel_vr") == "OW"
    )


def read_native(file: BinaryIO, index: FrameIndex, frame: int, *, swap: bool, view: bool) -> Bytes:
    """Return the bytes of one frame as if it were the only one: starting at a byte, with unswapped pairs.

    Parameters
    ----------
    swap : bool
        See :func:`swaps_pairs`.
    view : bool
        Return read-only bytes, if possible without a copy; else writeable ones.

    Raises
    ------
    PixelDataError
        If the file ends before the frame.
    """
    ((offset, length),) = index.ranges(frame)
    lead = (offset - index.value_offset) % 2 if swap else 0
    start, wanted = offset - lead, lead + length
    if swap:
        wanted += wanted % 2
    left = index.value_offset + index.value_length - start
    data = (view_range if view else read_range)(file, start, min(wanted, left))
    if len(data) < wanted:
        raise PixelDataError(
            f"There is insufficient pixel data to contain {frame + 1} frames: {max(len(data) - lead, 0)} of {length} "
            "bytes",
            reason="pixel_data_too_short",
            frame=frame,
        )
    if swap:
        data = data.view("u2").byteswap().view("u1")[lead : lead + length]
    return _aligned(data, frame * index.frame_bits % 8, index.frame_bits)


def _aligned(data: Bytes, skip: int, bits: int) -> Bytes:
    """Return `bits` bits from bit `skip` on, packed from the first bit of the first byte on."""
    if not skip:
        return data
    unpacked = np.unpackbits(data, bitorder="little", count=skip + bits)
    return np.packbits(unpacked[skip:], bitorder="little")
