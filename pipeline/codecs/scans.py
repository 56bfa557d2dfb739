"""Completeness of JPEG scans, because libjpeg fills missing parts with grey and only warns.

The reliable check is to decode again with other bits after the data: a picture that depends on them is incomplete. Cheaper checks
are tried first: the last pixel of a lossy picture that was cut short is grey; the last samples of a lossless picture, encoded
again, must be the last bits of the scan.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from operator import mul
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.codecs.entropy import Codes, count_bits, ends_with, huffman_tables, last_codes
from pipeline.codecs.markers import END, JpegHeader, has_end, segments
from pipeline.errors import CutShortError

Array = npt.NDArray[Any]

_MARKER: Final = re.compile(rb"\xff+[^\x00\xff]")
_RESTARTS: Final = range(0xD0, 0xD8)
_OTHER_BITS: Final = b"\xe7\x3c" * 32
"""Bits that are inserted at the end of a scan's data. libjpeg otherwise reads missing bits as 0, which gives another picture."""
_LUMA: Final = (0.299, 0.587, 0.114)
_NEARLY: Final = 3
"""Grey levels of rounding errors in a colour conversion."""
_ONE_TO_ONE, _END_OF_BLOCK, _AC = b"\x11", 0, 1 << 4
_SMALL: Final = 1 << 14
"""Pixels of a picture that is so small that its last blocks are a considerable part."""
_SELECTIONS: Final = range(1, 8)
_SPARE: Final = 16
"""Bytes that an encoder may append to a picture's last bits."""


def require_complete(data: bytes, header: JpegHeader, decoded: Array, decode: Callable[[bytes], Array]) -> None:
    """Refuse a picture whose scan ends before the picture is complete.

    Parameters
    ----------
    data : bytes
        The codestream.
    header : JpegHeader
    decoded : numpy.ndarray
        The decoded picture, ``(rows, columns)`` or ``(rows, columns, components)``, in the codestream's colours or as RGB.
    decode : callable
        Decodes a codestream like libjpeg.

    Raises
    ------
    CutShortError
        If the scan is too short, or a lossless scan has data left over. A lossy picture that lacks only a part of its last
        blocks may go unnoticed.
    """
    if header.is_arithmetic:  # encoders may omit zeros at the end (T.81 D.1.8), so libjpeg doesn't warn
        if not has_end(data, header):
            raise CutShortError("the codestream is cut short: no end-of-image marker")
        return
    end = data.rfind(END, header.scan)
    whole = header.scan_components[::2] == header.component_ids and not header.is_progressive and end >= 0
    reaches = _lossless_reaches if header.is_lossless else _lossy_reaches
    if whole and reaches(data, end, header, decoded):
        return
    if not np.array_equal(decode(with_other_ends(data, header)), decode(data)):
        raise CutShortError("the codestream is cut short: its data end before its picture does")
    if whole and header.is_lossless:
        _require_used(data, header, decoded)


def with_other_ends(data: bytes, header: JpegHeader) -> bytes:
    """Return the codestream with other bits before each marker that ends entropy-coded data."""
    at, pieces = 0, []
    for end in _ends(data, header):
        # A byte FF without its 00 only occurs where the data were cut.
        pieces += [data[at:end], b"\0" * data.endswith(b"\xff", at, end), _OTHER_BITS]
        at = end
    return b"".join([*pieces, data[at:]])


def _ends(data: bytes, header: JpegHeader) -> Iterator[int]:
    """Yield the end of the data of each scan and restart interval."""
    at: int = header.scan
    while found := _MARKER.search(data, at):
        yield found.start()
        at = found.end()
        if data[at - 1] == END[1]:
            return
        if data[at - 1] not in _RESTARTS:  # another scan, with tables and other segments before it
            for _, _, at in segments(data, found.start()):  # noqa: B007  the last one's end
                pass
    yield len(data) - (len(data) % 2 == 0 and data.endswith(b"\0") and data[-2:-1] != b"\xff")


def _lossy_reaches(data: bytes, end: int, header: JpegHeader, decoded: Array) -> bool:
    """Return whether the last pixel isn't grey and the scan ends with the end of a block; False for small pictures."""
    if header.rows * header.columns <= _SMALL:
        return False
    last = decoded[-1, -1].tolist()
    samples = last if isinstance(last, list) else [last]
    luma = sum(map(mul, samples, _LUMA)) if len(samples) == len(_LUMA) else samples[0]
    grey = 1 << (header.precision - 1)
    if abs(samples[0] - grey) <= _NEARLY or abs(luma - grey) <= _NEARLY:
        return False
    codes = huffman_tables(header.huffman).get(_AC | header.scan_components[-1] & 0x0F, {})
    return _END_OF_BLOCK in codes and ends_with(data, end, codes[_END_OF_BLOCK], padding="1")


def _lossless_reaches(data: bytes, end: int, header: JpegHeader, decoded: Array) -> bool:
    """Return whether the scan's last bits encode the last samples."""
    tables = _tables(header)
    if not tables or header.has_restarts:
        return False
    bits = last_codes(*_coded(header, decoded, tables))
    return bool(bits) and ends_with(data, end, bits)


def _require_used(data: bytes, header: JpegHeader, decoded: Array) -> None:
    """Refuse a lossless picture that needs fewer data than the scan holds: it isn't the encoded picture."""
    tables = _tables(header)
    if not tables or header.has_restarts:
        return
    end = next(_ends(data, header))
    scan = data[header.scan : end].replace(b"\xff\x00", b"\xff").rstrip(b"\0\xff")
    left = len(scan) - count_bits(*_coded(header, decoded, tables)) // 8
    if left > _SPARE:
        raise CutShortError(
            f"the codestream is damaged: {left} bytes of its scan are left over when the picture is complete"
        )


def _tables(header: JpegHeader) -> list[Codes]:
    """Return each component's Huffman codes; empty if samples aren't in the order of pixels."""
    known = huffman_tables(header.huffman)
    tables = [known.get(choice >> 4, {}) for choice in header.scan_components[1::2]]
    usual = len(tables) == 1 or header.sampling == _ONE_TO_ONE * len(tables)
    return tables if usual and header.scan_parameters[0] in _SELECTIONS else []


def _coded(header: JpegHeader, decoded: Array, tables: list[Codes]) -> tuple[Array, list[Codes], int, int]:
    """Return the encoded samples, the tables, the predictor, and the prediction of the first sample."""
    selection, _, shift = header.scan_parameters
    shift &= 0x0F
    pixels = decoded.reshape(*decoded.shape[:2], len(tables)).view(f"u{decoded.dtype.itemsize}")
    return pixels >> shift if shift else pixels, tables, selection, 1 << (header.precision - shift - 1)
