"""Recognition of fragments that begin a codestream, which distinguishes surplus frames from further pieces of one frame."""

from __future__ import annotations

import zlib
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from pipeline.frames.byte_sources import read_bytes
from pipeline.frames.items import Items
from pipeline.model import syntaxes

Numbers = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]

_SIGNATURES: dict[str, tuple[bytes, ...]] = {
    # Start of image, and the first byte of the next marker (ITU-T T.81 B.1.1.3, T.87 C.1.1).
    **dict.fromkeys(syntaxes.of_families(syntaxes.Family.JPEG, syntaxes.Family.JPEG_LS), (b"\xff\xd8\xff",)),
    # Start of codestream and SIZ (ITU-T T.800 A.4.1), or the signature box of a JP2 file (I.5.1).
    **dict.fromkeys(syntaxes.ANY_JPEG_2000, (b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ")),
    # A bare codestream, or the container's signature box (ISO/IEC 18181-2 9.1).
    **dict.fromkeys(syntaxes.of_families(syntaxes.Family.JPEG_XL), (b"\xff\x0a", b"\0\0\0\x0cJXL ")),
}
_RLE_HEADER, _RLE_SEGMENTS = 64, 15
_PIECE = 1 << 20


def begins_codestream(starts: Numbers, uid: str) -> Flags:
    """Return which byte sequences begin a codestream of a transfer syntax; all False without a known signature.

    Parameters
    ----------
    starts : numpy.ndarray of uint64
        Eight bytes each, as a little endian number.
    uid : str
        The transfer syntax.

    Returns
    -------
    numpy.ndarray of bool
        Of the same shape.
    """
    if uid == syntaxes.RLE_LOSSLESS:
        # The number of segments, and the offset of the first one, directly after the header (PS3.5 G.5).
        segments = starts & np.uint64(0xFFFFFFFF)
        return np.asarray((segments >= 1) & (segments <= _RLE_SEGMENTS) & (starts >> np.uint64(32) == _RLE_HEADER))
    found = np.zeros(starts.shape, np.bool_)
    for signature in _SIGNATURES.get(uid, ()):
        mask = np.uint64((1 << 8 * len(signature)) - 1)
        found |= starts & mask == np.uint64(int.from_bytes(signature, "little"))
    return found


def codestream_starts(file: BinaryIO, items: Items, uid: str, frame_bytes: int) -> Flags:
    """Return which fragments begin a codestream.

    Encapsulated uncompressed and deflated frames have no signature. The standard requires one fragment per frame
    (PS3.5 A.4), so if the first fragment is a whole frame, all others are taken as whole frames too.

    Parameters
    ----------
    file : BinaryIO
    items : Items
    uid : str
        The transfer syntax.
    frame_bytes : int
        Bytes of a frame without compression.

    Returns
    -------
    numpy.ndarray of bool, shape (fragments,)
    """
    found = begins_codestream(_first_bytes(file, items.offsets), uid)
    if uid == syntaxes.ENCAPSULATED_UNCOMPRESSED and len(items.lengths):
        found[:] = items.lengths[0] >= frame_bytes
    elif uid == syntaxes.DEFLATED_FRAMES and len(items.lengths):
        found[:] = _inflates(file, int(items.offsets[0]), int(items.lengths[0]))
    return found


def _first_bytes(file: BinaryIO, offsets: Numbers) -> Numbers:
    """Return the eight bytes at each offset as a little endian number, padded with zeros at the file's end."""
    expect = getattr(file, "expect", None)
    if expect is not None:
        expect([(offset, offset + 8) for offset in offsets.tolist()])
    return np.frombuffer(b"".join(read_bytes(file, at, 8).ljust(8, b"\0") for at in offsets.tolist()), "<u8")


def is_one_fragment_a_frame(uid: str) -> bool:
    """Return whether the standard requires one fragment per frame (PS3.5 A.4)."""
    return uid in syntaxes.ONE_FRAGMENT


def _inflates(file: BinaryIO, offset: int, length: int) -> bool:
    """Return whether a deflated stream ends within the bytes (RFC 1951)."""
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for start in range(offset, offset + length, _PIECE):
            pending = read_bytes(file, start, min(_PIECE, offset + length - start))
            while pending and not stream.eof:
                stream.decompress(pending, _PIECE)
                pending = stream.unconsumed_tail
    except zlib.error:
        return False
    return stream.eof
