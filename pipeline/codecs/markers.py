"""Headers of JPEG and JPEG-LS codestreams, as far as they are needed before decoding.

ITU-T T.81 Annex B (JPEG), ITU-T T.87 Annex C (JPEG-LS), JFIF 1.02, and Adobe Technical Note 5116 (APP14).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from pipeline.codecs.frame import FrameRequest
from pipeline.errors import PixelDataError
from pipeline.model import syntaxes

SOF_JPEG_LS: Final = 0xF7
END: Final = b"\xff\xd9"
"""The end-of-image marker, which can't occur within a scan's data (T.81 B.1.1.5, T.87 A.1)."""
_SOS, _EOI, _APP14, _DHT, _DRI, _LSE, _COM = 0xDA, 0xD9, 0xEE, 0xC4, 0xDD, 0xF8, 0xFE
SOI: Final = b"\xff\xd8"
"""The start-of-image marker."""
_NUMBER_OF_LINES: Final = b"\xff\xdc\x00\x04"
# T.81 B.1.1.4: markers without a segment.
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD8)})
# T.81 table B.1: start of frame, all codes of this range except DHT (C4), JPG (C8) and DAC (CC).
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {SOF_JPEG_LS}
_APPLICATIONS: Final = range(0xE0, 0xF0)
_LOSSLESS: Final = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
_PROGRESSIVE: Final = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_ARITHMETIC: Final = frozenset(range(0xC9, 0xD0)) - {0xCC}
_RGB_IDS: Final = (b"RGB", b"rgb")
_RGB_SAMPLES = 3
_FIXED = 6  # bytes of a frame header before its components (T.81 B.2.2), without the length
_PRESETS = 1  # the kind of JPEG-LS parameters (T.87 C.2.4.1) that every decoder supports
_ADOBE_TRANSFORM = 11  # where APP14 holds the colour transform


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """Content of the markers before the first scan's data.

    ``adobe_transform`` is None without an Adobe marker (0: none or RGB, 1: YCbCr). ``sampling`` holds a byte for each
    component. For the first scan, ``scan_components`` holds each component's id and tables, ``scan_parameters`` the last three
    bytes of the scan's header (T.81 B.2.3, T.87 C.2.3), and ``scan`` the start of its data. ``huffman`` holds the payloads of
    the segments with Huffman tables. ``has_fill`` means that there are bytes between the segments, on which pydicom's parser
    fails; ``is_usual`` that every decoder of JPEG-LS supports all segments.
    """

    process: int
    precision: int
    rows: int
    columns: int
    component_ids: bytes
    adobe_transform: int | None
    scan: int
    sampling: bytes = b""
    scan_components: bytes = b""
    scan_parameters: bytes = b""
    huffman: tuple[bytes, ...] = ()
    has_restarts: bool = False
    is_jfif: bool = False
    has_fill: bool = False
    is_usual: bool = True

    @property
    def is_lossless(self) -> bool:
        """Whether the process is one of JPEG's lossless ones (T.81 Annex H)."""
        return self.process in _LOSSLESS

    @property
    def is_arithmetic(self) -> bool:
        """Whether the process uses arithmetic coding instead of Huffman codes."""
        return self.process in _ARITHMETIC

    @property
    def is_progressive(self) -> bool:
        """Whether each scan refines the picture, so that any number of scans yields a picture."""
        return self.process in _PROGRESSIVE

    @property
    def interleave(self) -> int:
        """JPEG-LS's ILV of the first scan: 0 by plane, 1 by line, 2 by sample; 0 in JPEG."""
        return self.scan_parameters[1] if self.process == SOF_JPEG_LS else 0

    @property
    def has_rgb_ids(self) -> bool:
        """Whether the components are named R, G and B."""
        return self.component_ids in _RGB_IDS


class _Latest(threading.local):
    """Cache of the last header and its bytes, because most frames of an image begin with the same bytes."""

    data = b""
    header: JpegHeader | None = None


_latest = _Latest()


def read_jpeg_header(data: bytes) -> JpegHeader:
    """Read the markers of a JPEG or JPEG-LS codestream up to its first scan.

    Raises
    ------
    PixelDataError
        If the data don't start like such a codestream, or end before the first scan.
    """
    if _latest.header is None or not data.startswith(_latest.data):
        header = _read_header(data)
        _latest.header, _latest.data = header, data[: header.scan]
    return _latest.header


def _read_header(data: bytes) -> JpegHeader:
    adobe: int | None = None
    frame: tuple[int, bytes] | None = None
    applications: dict[int, bytes] = {}  # of several equal markers the last counts, as in pydicom
    huffman: list[bytes] = []
    expected, has_fill, has_restarts, is_usual = 2, False, False, True
    for marker, payload, end in segments(data):
        has_fill |= end != expected + 4 + len(payload)
        expected = end
        if marker == _APP14 and payload.startswith(b"Adobe") and len(payload) > _ADOBE_TRANSFORM:
            adobe = payload[_ADOBE_TRANSFORM]
        if marker in _APPLICATIONS and frame is None:
            applications[marker] = payload
        elif marker in _FRAMES and frame is None:
            frame = marker, payload
        elif marker == _DHT:
            huffman.append(payload)
        elif marker == _DRI:
            has_restarts = any(payload)
        elif marker == _SOS:
            if frame is None:
                break
            return replace(
                _header(*frame, payload, end),
                adobe_transform=adobe,
                huffman=tuple(huffman),
                has_restarts=has_restarts,
                is_jfif=any(text.startswith(b"JFIF") for text in applications.values()),
                has_fill=has_fill,
                is_usual=is_usual and not has_restarts,
            )
        elif marker != _COM and marker not in _APPLICATIONS:
            is_usual &= marker == _LSE and payload[:1] == bytes((_PRESETS,))
    raise PixelDataError("the codestream ends before its first scan")


def read_rows(data: bytes, header: JpegHeader) -> int:
    """Return the picture's rows; 0 in the frame header means that a segment after the first scan has them (T.81 B.2.5)."""
    at = -1 if header.rows else data.find(_NUMBER_OF_LINES, header.scan)
    return header.rows if at < 0 else int.from_bytes(data[at + 4 : at + 6], "big")


def has_end(data: bytes, header: JpegHeader) -> bool:
    """Return whether the end-of-image marker follows the first scan; bytes after the marker are harmless."""
    return data.rfind(END, header.scan) >= 0


def effective_interpretation(header: JpegHeader, request: FrameRequest) -> str:
    """Return the Photometric Interpretation that pydicom reads from a codestream, if `request` wants it, or the declared one.

    Components named R, G and B are RGB; a JFIF marker means YCbCr.

    Raises
    ------
    PixelDataError
        If pydicom's parser fails on the codestream.
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
        return "YBR_FULL_422" if request.transfer_syntax_uid == syntaxes.JPEG_BASELINE else "YBR_FULL"
    return declared


def _header(marker: int, frame: bytes, scan: bytes, end: int) -> JpegHeader:
    count = frame[5] if len(frame) >= _FIXED else 0
    if not count or len(frame) < _FIXED + 3 * count or len(scan) < 4 + 2 * scan[0]:
        raise PixelDataError("the codestream's frame or scan header is damaged")
    return JpegHeader(
        process=marker,
        precision=frame[0],
        rows=int.from_bytes(frame[1:3], "big"),
        columns=int.from_bytes(frame[3:5], "big"),
        component_ids=frame[_FIXED : _FIXED + 3 * count : 3],
        adobe_transform=None,
        scan=end,
        sampling=frame[_FIXED + 1 : _FIXED + 3 * count : 3],
        scan_components=scan[1 : 1 + 2 * scan[0]],
        scan_parameters=scan[1 + 2 * scan[0] : 4 + 2 * scan[0]],
    )


def segments(data: bytes, at: int | None = None) -> Iterator[tuple[int, bytes, int]]:
    """Yield marker, payload and end of each segment up to the next scan's header, or to the end of the image.

    Like libjpeg, skip all bytes between segments.

    Parameters
    ----------
    data : bytes
    at : int, optional
        Where to begin; at the start-of-image marker, which must be there, where nothing is given.

    Raises
    ------
    PixelDataError
        The data don't begin as JPEG, or end within a segment.
    """
    if at is None and data[:2] != SOI:
        raise PixelDataError("the data aren't a JPEG codestream: no start-of-image marker")
    at = 2 if at is None else at
    while 0 <= (at := data.find(b"\xff", at)) <= len(data) - 4:
        marker = data[at + 1]
        if marker in {0x00, 0xFF} or marker in _ALONE:  # fill bytes may precede a marker (T.81 B.1.1.2)
            at += 1 if marker == 0xFF else 2  # noqa: PLR2004
            continue
        if marker == _EOI:
            return
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if length < 2 or at + 2 + length > len(data):  # noqa: PLR2004  the length counts itself
            raise PixelDataError(f"the codestream is cut short or damaged in the segment at byte {at}")
        start, at = at + 4, at + 2 + length
        yield marker, data[start:at], at
        if marker == _SOS:
            return
