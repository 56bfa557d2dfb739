"""The headers of JPEG and JPEG-LS codestreams: what must be known before a frame is decoded.

ITU-T T.81 Annex B (JPEG), ITU-T T.87 Annex C (JPEG-LS), JFIF 1.02, and Adobe Technical Note 5116 (APP14).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from pydicom.uid import JPEGBaseline8Bit

from pipeline.codecs.frame import FrameRequest
from pipeline.errors import PixelDataError

SOF_JPEG_LS: Final = 0xF7
_SOI, _SOS, _APP14, _TEM = 0xD8, 0xDA, 0xEE, 0x01
_END: Final = b"\xff\xd9"
# T.81 table B.1: start of frame, all but DHT (C4), JPG (C8) and DAC (CC) of the same range.
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {SOF_JPEG_LS}
_APPLICATIONS: Final = range(0xE0, 0xF0)
_LOSSLESS: Final = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
_ARITHMETIC: Final = frozenset(range(0xC9, 0xD0)) - {0xCC}
_RGB_IDS: Final = (b"RGB", b"rgb")
_RGB_SAMPLES = 3
_FIXED = 6  # bytes of a frame header before its components (T.81 B.2.2), without the length
_ADOBE_TRANSFORM = 11  # where APP14 holds the colour transform


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """What the markers before the first scan's data say.

    ``adobe_transform`` is None without an Adobe marker (0: none or RGB, 1: YCbCr); ``interleave`` is JPEG-LS's ILV
    of the first scan (0 by plane, 1 by line, 2 by sample), 0 in JPEG; ``scan`` is where that scan's data start;
    ``has_fill`` says that fill bytes or a TEM marker stand before it, which pydicom's own parser stumbles over.
    """

    process: int
    precision: int
    rows: int
    columns: int
    component_ids: bytes
    adobe_transform: int | None
    interleave: int
    scan: int
    is_jfif: bool = False
    has_fill: bool = False

    @property
    def is_lossless(self) -> bool:
        """Whether the process is one of JPEG's lossless ones (T.81 Annex H)."""
        return self.process in _LOSSLESS

    @property
    def is_arithmetic(self) -> bool:
        """Whether entropy is coded arithmetically, not by Huffman."""
        return self.process in _ARITHMETIC

    @property
    def has_rgb_ids(self) -> bool:
        """Whether the components are named R, G and B."""
        return self.component_ids in _RGB_IDS


class _Latest(threading.local):
    """The header that was read last, and its bytes: the frames of an image mostly begin with the very same ones."""

    data = b""
    header: JpegHeader | None = None


_latest = _Latest()


def read_jpeg_header(data: bytes) -> JpegHeader:
    """Read the markers of a JPEG or JPEG-LS codestream up to its first scan.

    Raises
    ------
    PixelDataError
        The data don't start as such a codestream, or end before the first scan.
    """
    if _latest.header is None or not data.startswith(_latest.data):
        header = _read_header(data)
        _latest.header, _latest.data = header, data[: header.scan]
    return _latest.header


def _read_header(data: bytes) -> JpegHeader:
    adobe: int | None = None
    frame: tuple[int, bytes] | None = None
    applications: dict[int, bytes] = {}  # of several equal markers the last one counts, as in pydicom
    expected, has_fill = 2, False
    for marker, payload, end in _segments(data):
        has_fill |= end != expected + 4 + len(payload)
        expected = end
        if marker == _APP14 and payload.startswith(b"Adobe") and len(payload) > _ADOBE_TRANSFORM:
            adobe = payload[_ADOBE_TRANSFORM]
        if marker in _APPLICATIONS and frame is None:
            applications[marker] = payload
        elif marker in _FRAMES and frame is None:
            frame = marker, payload
        elif marker == _SOS:
            if frame is None:
                break
            is_jfif = any(text.startswith(b"JFIF") for text in applications.values())
            return replace(_header(*frame, adobe, payload, end), is_jfif=is_jfif, has_fill=has_fill)
    raise PixelDataError("the codestream ends before its first scan")


def require_end(data: bytes, header: JpegHeader) -> None:
    """Refuse JPEG or JPEG-LS data cut short: the end-of-image marker must follow the first scan.

    libjpeg fills what is missing with grey and only warns, which its Python wrapper doesn't show; CharLS may search for
    the end forever. The marker can't occur within a scan's data (T.81 B.1.1.5, T.87 A.1), and whatever follows it,
    padding or rubbish, does no harm.
    """
    if data.rfind(_END, header.scan) < 0:
        raise PixelDataError("the codestream is cut short: no end-of-image marker")


def conformed(header: JpegHeader, request: FrameRequest) -> str:
    """Return the Photometric Interpretation that pydicom reads out of a codestream, where `request` asks for it.

    Components named R, G and B are RGB; a JFIF marker means YCbCr.

    Raises
    ------
    PixelDataError
        The codestream is one that pydicom's parser doesn't get through.
    """
    declared = request.photometric_interpretation
    if not request.conform:
        return declared
    if header.has_fill:
        raise PixelDataError("there are fill bytes before the codestream's first scan")
    if len(header.component_ids) != _RGB_SAMPLES:
        return declared
    if header.has_rgb_ids and declared != "RGB":
        return "RGB"
    if header.is_jfif and "YBR" not in declared:
        return "YBR_FULL_422" if request.transfer_syntax_uid == JPEGBaseline8Bit else "YBR_FULL"
    return declared


def _header(marker: int, frame: bytes, adobe: int | None, scan: bytes, end: int) -> JpegHeader:
    count = frame[5] if len(frame) >= _FIXED else 0
    if not count or len(frame) < _FIXED + 3 * count or len(scan) < 4 + 2 * scan[0]:
        raise PixelDataError("the codestream's frame or scan header is damaged")
    return JpegHeader(
        process=marker,
        precision=frame[0],
        rows=int.from_bytes(frame[1:3], "big"),
        columns=int.from_bytes(frame[3:5], "big"),
        component_ids=frame[_FIXED : _FIXED + 3 * count : 3],
        adobe_transform=adobe,
        interleave=scan[2 + 2 * scan[0]] if marker == SOF_JPEG_LS else 0,
        scan=end,
    )


def _segments(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Marker, payload and end of each segment, up to the first scan's header."""
    if data[:2] != bytes((0xFF, _SOI)):
        raise PixelDataError("the data aren't a JPEG codestream: no start-of-image marker")
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:  # noqa: PLR2004  every marker starts so
            raise PixelDataError(f"the codestream is damaged: no marker at byte {at}")
        marker = data[at + 1]
        if marker == 0xFF:  # noqa: PLR2004  any number of fill bytes may precede a marker (T.81 B.1.1.2)
            at += 1
            continue
        if marker == _TEM:
            at += 2
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if length < 2 or at + 2 + length > len(data):  # noqa: PLR2004  the length counts itself
            raise PixelDataError(f"the codestream is cut short or damaged in the segment at byte {at}")
        start, at = at + 4, at + 2 + length
        yield marker, data[start:at], at
        if marker == _SOS:
            return
