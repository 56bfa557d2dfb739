"""All transfer syntaxes (PS3.5 section 10, PS3.6 table A-1) in one place: their names, and how frames are encoded."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple

IMPLICIT: Final = "1.2.840.10008.1.2"
EXPLICIT: Final = "1.2.840.10008.1.2.1"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
ENCAPSULATED_UNCOMPRESSED: Final = "1.2.840.10008.1.2.1.98"
DEFLATED_FRAMES: Final = "1.2.840.10008.1.2.8.1"
JPEG_BASELINE: Final = "1.2.840.10008.1.2.4.50"
JPEG_EXTENDED: Final = "1.2.840.10008.1.2.4.51"
JPEG_LOSSLESS: Final = "1.2.840.10008.1.2.4.57"
JPEG_LOSSLESS_SV1: Final = "1.2.840.10008.1.2.4.70"
JPEG_LS_LOSSLESS: Final = "1.2.840.10008.1.2.4.80"
JPEG_LS_NEAR_LOSSLESS: Final = "1.2.840.10008.1.2.4.81"
JPEG_2000_LOSSLESS: Final = "1.2.840.10008.1.2.4.90"
JPEG_2000: Final = "1.2.840.10008.1.2.4.91"
JPEG_2000_PART_2_LOSSLESS: Final = "1.2.840.10008.1.2.4.92"
JPEG_2000_PART_2: Final = "1.2.840.10008.1.2.4.93"
HTJ2K_LOSSLESS: Final = "1.2.840.10008.1.2.4.201"
HTJ2K_LOSSLESS_RPCL: Final = "1.2.840.10008.1.2.4.202"
HTJ2K: Final = "1.2.840.10008.1.2.4.203"
RLE_LOSSLESS: Final = "1.2.840.10008.1.2.5"
JPEG_XL_LOSSLESS: Final = "1.2.840.10008.1.2.4.110"
JPEG_XL_RECOMPRESSED: Final = "1.2.840.10008.1.2.4.111"
JPEG_XL: Final = "1.2.840.10008.1.2.4.112"


class Family(Enum):
    """How the frames are encoded."""

    NATIVE = "native"
    """Not at all: the pixel data are one value without items. In all other families each frame is one item, or several."""
    UNCOMPRESSED = "uncompressed"
    """Items that each hold a frame of native data, as it is or deflated (PS3.5 A.4.11, A.4.14)."""
    JPEG = "JPEG"
    JPEG_LS = "JPEG-LS"
    JPEG_2000 = "JPEG 2000"
    PART_2 = "JPEG 2000 Part 2"
    """A codestream's components are many frames; not decoded."""
    HTJ2K = "HTJ2K"
    JPEG_XL = "JPEG XL"
    RLE = "RLE"
    OTHER = "other"
    """Video, references to other places, and retired syntaxes; not decoded."""


class Syntax(NamedTuple):
    """A transfer syntax."""

    uid: str
    name: str
    """PS3.6 table A-1."""
    family: Family
    lossy: bool = False
    """Whether it may hold lossy frames."""
    keyword: str = ""
    """PS3.6 table A-1; only for syntaxes newer than pydicom's dictionary."""


SYNTAXES: Final = (
    Syntax(IMPLICIT, "Implicit VR Little Endian", Family.NATIVE),
    Syntax(EXPLICIT, "Explicit VR Little Endian", Family.NATIVE),
    Syntax(DEFLATED, "Deflated Explicit VR Little Endian", Family.NATIVE),
    Syntax(BIG_ENDIAN, "Explicit VR Big Endian", Family.NATIVE),
    Syntax(ENCAPSULATED_UNCOMPRESSED, "Encapsulated Uncompressed Explicit VR Little Endian", Family.UNCOMPRESSED),
    Syntax(
        DEFLATED_FRAMES,
        "Deflated Image Frame Compression",
        Family.UNCOMPRESSED,
        keyword="DeflatedImageFrameCompression",
    ),
    Syntax(JPEG_BASELINE, "JPEG Baseline (Process 1)", Family.JPEG, lossy=True),
    Syntax(JPEG_EXTENDED, "JPEG Extended (Process 2 and 4)", Family.JPEG, lossy=True),
    Syntax(JPEG_LOSSLESS, "JPEG Lossless, Non-Hierarchical (Process 14)", Family.JPEG),
    Syntax(
        JPEG_LOSSLESS_SV1,
        "JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14 [Selection Value 1])",
        Family.JPEG,
    ),
    Syntax(JPEG_LS_LOSSLESS, "JPEG-LS Lossless Image Compression", Family.JPEG_LS),
    Syntax(JPEG_LS_NEAR_LOSSLESS, "JPEG-LS Lossy (Near-Lossless) Image Compression", Family.JPEG_LS, lossy=True),
    Syntax(JPEG_2000_LOSSLESS, "JPEG 2000 Image Compression (Lossless Only)", Family.JPEG_2000),
    Syntax(JPEG_2000, "JPEG 2000 Image Compression", Family.JPEG_2000, lossy=True),
    Syntax(
        JPEG_2000_PART_2_LOSSLESS, "JPEG 2000 Part 2 Multi-component Image Compression (Lossless Only)", Family.PART_2
    ),
    Syntax(JPEG_2000_PART_2, "JPEG 2000 Part 2 Multi-component Image Compression", Family.PART_2, lossy=True),
    Syntax(HTJ2K_LOSSLESS, "High-Throughput JPEG 2000 Image Compression (Lossless Only)", Family.HTJ2K),
    Syntax(
        HTJ2K_LOSSLESS_RPCL,
        "High-Throughput JPEG 2000 with RPCL Options Image Compression (Lossless Only)",
        Family.HTJ2K,
    ),
    Syntax(HTJ2K, "High-Throughput JPEG 2000 Image Compression", Family.HTJ2K, lossy=True),
    Syntax(RLE_LOSSLESS, "RLE Lossless", Family.RLE),
    Syntax(JPEG_XL_LOSSLESS, "JPEG XL Lossless", Family.JPEG_XL, keyword="JPEGXLLossless"),
    Syntax(JPEG_XL_RECOMPRESSED, "JPEG XL JPEG Recompression", Family.JPEG_XL, keyword="JPEGXLJPEGRecompression"),
    Syntax(JPEG_XL, "JPEG XL", Family.JPEG_XL, lossy=True, keyword="JPEGXL"),
)
"""Syntaxes that hold still pictures, with all pixel data in the file."""
_OTHERS: Final[Mapping[str, str]] = {
    "1.2.840.10008.1.2.4.52": "JPEG Extended (Process 3 and 5)",
    "1.2.840.10008.1.2.4.53": "JPEG Spectral Selection, Non-Hierarchical (Process 6 and 8)",
    "1.2.840.10008.1.2.4.54": "JPEG Spectral Selection, Non-Hierarchical (Process 7 and 9)",
    "1.2.840.10008.1.2.4.55": "JPEG Full Progression, Non-Hierarchical (Process 10 and 12)",
    "1.2.840.10008.1.2.4.56": "JPEG Full Progression, Non-Hierarchical (Process 11 and 13)",
    "1.2.840.10008.1.2.4.58": "JPEG Lossless, Non-Hierarchical (Process 15)",
    "1.2.840.10008.1.2.4.59": "JPEG Extended, Hierarchical (Process 16 and 18)",
    "1.2.840.10008.1.2.4.60": "JPEG Extended, Hierarchical (Process 17 and 19)",
    "1.2.840.10008.1.2.4.61": "JPEG Spectral Selection, Hierarchical (Process 20 and 22)",
    "1.2.840.10008.1.2.4.62": "JPEG Spectral Selection, Hierarchical (Process 21 and 23)",
    "1.2.840.10008.1.2.4.63": "JPEG Full Progression, Hierarchical (Process 24 and 26)",
    "1.2.840.10008.1.2.4.64": "JPEG Full Progression, Hierarchical (Process 25 and 27)",
    "1.2.840.10008.1.2.4.65": "JPEG Lossless, Hierarchical (Process 28)",
    "1.2.840.10008.1.2.4.66": "JPEG Lossless, Hierarchical (Process 29)",
    "1.2.840.10008.1.2.4.94": "JPIP Referenced",
    "1.2.840.10008.1.2.4.95": "JPIP Referenced Deflate",
    "1.2.840.10008.1.2.4.100": "MPEG2 Main Profile / Main Level",
    "1.2.840.10008.1.2.4.100.1": "Fragmentable MPEG2 Main Profile / Main Level",
    "1.2.840.10008.1.2.4.101": "MPEG2 Main Profile / High Level",
    "1.2.840.10008.1.2.4.101.1": "Fragmentable MPEG2 Main Profile / High Level",
    "1.2.840.10008.1.2.4.102": "MPEG-4 AVC/H.264 High Profile / Level 4.1",
    "1.2.840.10008.1.2.4.102.1": "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.1",
    "1.2.840.10008.1.2.4.103": "MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1",
    "1.2.840.10008.1.2.4.103.1": "Fragmentable MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1",
    "1.2.840.10008.1.2.4.104": "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video",
    "1.2.840.10008.1.2.4.104.1": "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video",
    "1.2.840.10008.1.2.4.105": "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video",
    "1.2.840.10008.1.2.4.105.1": "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video",
    "1.2.840.10008.1.2.4.106": "MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2",
    "1.2.840.10008.1.2.4.106.1": "Fragmentable MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2",
    "1.2.840.10008.1.2.4.107": "HEVC/H.265 Main Profile / Level 5.1",
    "1.2.840.10008.1.2.4.108": "HEVC/H.265 Main 10 Profile / Level 5.1",
    "1.2.840.10008.1.2.4.204": "JPIP HTJ2K Referenced",
    "1.2.840.10008.1.2.4.205": "JPIP HTJ2K Referenced Deflate",
    "1.2.840.10008.1.2.6.1": "RFC 2557 MIME encapsulation",
    "1.2.840.10008.1.2.6.2": "XML Encoding",
    "1.2.840.10008.1.2.7.1": "SMPTE ST 2110-20 Uncompressed Progressive Active Video",
    "1.2.840.10008.1.2.7.2": "SMPTE ST 2110-20 Uncompressed Interlaced Active Video",
    "1.2.840.10008.1.2.7.3": "SMPTE ST 2110-30 PCM Digital Audio",
    "1.2.840.10008.1.20": "Papyrus 3 Implicit VR Little Endian",
}
BY_UID: Final[Mapping[str, Syntax]] = {syntax.uid: syntax for syntax in SYNTAXES} | {
    uid: Syntax(uid, name, Family.OTHER) for uid, name in _OTHERS.items()
}


def of_families(*families: Family) -> frozenset[str]:
    """Return the UIDs of all transfer syntaxes of the given families."""
    return frozenset(syntax.uid for syntax in SYNTAXES if syntax.family in families)


NATIVE: Final = of_families(Family.NATIVE)
UNCOMPRESSED: Final = of_families(Family.UNCOMPRESSED)
"""Encapsulated syntaxes whose items hold native frames."""
ANY_JPEG_2000: Final = of_families(Family.JPEG_2000, Family.HTJ2K, Family.PART_2)
ONE_FRAGMENT: Final = UNCOMPRESSED | of_families(Family.RLE)
"""Syntaxes whose frames must each be one fragment (PS3.5 A.4)."""
LOSSY_JPEG: Final = frozenset({JPEG_BASELINE, JPEG_EXTENDED})
"""Syntaxes whose decoders may differ by a grey level or two (PS3.5 8.2.1, ITU-T T.83)."""
LOSSY_JPEG_2000: Final = frozenset({JPEG_2000, HTJ2K})
"""Syntaxes whose decoders differ by one in a few pixels, even between builds of one library (ITU-T T.803)."""


def is_encapsulated(uid: str) -> bool:
    """Return whether the pixel data are items; True for an unknown UID."""
    return uid not in NATIVE


def encoding_of(uid: str) -> tuple[bool, bool]:
    """Return ``(implicit VR, little endian)`` of a transfer syntax; explicit and little if the UID is unknown.

    All transfer syntaxes but the first three of the standard are Explicit VR Little Endian (PS3.5 A.4).
    """
    return uid == IMPLICIT, uid != BIG_ENDIAN
