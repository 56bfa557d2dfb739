"""Transfer syntaxes of the current standard (PS3.6 table A-1) that pydicom doesn't know, or knows no decoder of."""

from __future__ import annotations

from typing import Final

from pydicom._uid_dict import UID_dictionary

ENCAPSULATED_UNCOMPRESSED: Final = "1.2.840.10008.1.2.1.98"
DEFLATED_FRAMES: Final = "1.2.840.10008.1.2.8.1"
UNCOMPRESSED: Final = frozenset({ENCAPSULATED_UNCOMPRESSED, DEFLATED_FRAMES})
"""Encapsulated data whose frames are those of native data inside."""
JPEG_XL: Final = ("1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.111", "1.2.840.10008.1.2.4.112")

_NEWER: Final = {
    "1.2.840.10008.1.2.4.110": ("JPEG XL Lossless", "JPEGXLLossless"),
    "1.2.840.10008.1.2.4.111": ("JPEG XL JPEG Recompression", "JPEGXLJPEGRecompression"),
    "1.2.840.10008.1.2.4.112": ("JPEG XL", "JPEGXL"),
    DEFLATED_FRAMES: ("Deflated Image Frame Compression", "DeflatedImageFrameCompression"),
}

# pydicom takes a UID that its dictionary lacks for no transfer syntax at all, and offers no way to add one. Those of
# later versions stay as they are.
for _uid, (_name, _keyword) in _NEWER.items():
    UID_dictionary.setdefault(_uid, (_name, "Transfer Syntax", "", "", _keyword))
