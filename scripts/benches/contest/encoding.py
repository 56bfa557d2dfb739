"""The encoders of the inputs, and for each transfer syntax the best C decoder available, which the limit uses."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
from pydicom.uid import (
    JPEG2000,
    UID,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

Array = npt.NDArray[Any]

_QUALITY = 80
"""Quality of JPEG tiles, as scanners write them."""
_PSNR = 42
"""Quality of lossy JPEG 2000 tiles, in decibels."""


@dataclass(frozen=True, slots=True)
class Coding:
    """A transfer syntax with its encoder and its fastest decoder."""

    uid: UID
    encode: Callable[[Array], bytes]
    decode: Callable[[Any, Array], Any]
    """Encoded bytes and the array that the frame goes into."""
    photometric_interpretation: str = "MONOCHROME2"
    """Bits of the stored data."""


def _native(data: Any, out: Array) -> None:
    out[...] = np.frombuffer(data, out.dtype).reshape(out.shape)


def _rle_encode(frame: Array) -> bytes:
    """Encode by byte plane, the most significant first (PS3.5 Annex G)."""
    planes = frame.astype(frame.dtype.newbyteorder(">")).view(np.uint8).reshape(*frame.shape, frame.itemsize)
    segments = []
    for plane in range(frame.itemsize):
        # G.3.1: each row of pixels is encoded on its own
        rows = [imagecodecs.packbits_encode(row.tobytes()) for row in planes[..., plane]]
        data = b"".join(rows)
        segments.append(data + b"\0" * (len(data) % 2))
    offsets = np.cumsum([64, *map(len, segments[:-1])]).tolist()
    header = struct.pack("<16L", len(segments), *offsets, *[0] * (15 - len(segments)))
    return header + b"".join(segments)


def _rle_decode(data: Any, out: Array) -> None:
    imagecodecs.dicomrle_decode(data, out.dtype, out=out.reshape(-1).view(np.uint8))


CODINGS: dict[str, Coding] = {
    "native": Coding(ExplicitVRLittleEndian, lambda frame: frame.tobytes(), _native),
    "rle": Coding(RLELossless, _rle_encode, _rle_decode),
    "jpeg-lossless": Coding(
        JPEGLosslessSV1,
        lambda frame: imagecodecs.jpeg8_encode(frame, lossless=True, predictor=1, bitspersample=12),
        lambda data, out: imagecodecs.jpeg8_decode(data, out=out),
    ),
    "jpeg-ls": Coding(
        JPEGLSLossless, imagecodecs.jpegls_encode, lambda data, out: imagecodecs.jpegls_decode(data, out=out)
    ),
    "jpeg-2000-lossless": Coding(
        JPEG2000Lossless,
        lambda frame: imagecodecs.jpeg2k_encode(frame, codecformat="j2k", reversible=True, bitspersample=12),
        lambda data, out: imagecodecs.jpeg2k_decode(data, numthreads=1, out=out),
    ),
    "jpeg": Coding(
        JPEGBaseline8Bit,
        lambda frame: imagecodecs.jpeg8_encode(frame, _QUALITY, subsampling="422"),
        lambda data, out: imagecodecs.jpeg8_decode(data, colorspace="YCBCR", outcolorspace="RGB", out=out),
        "YBR_FULL_422",
    ),
    "jpeg-2000": Coding(
        JPEG2000,
        lambda frame: imagecodecs.jpeg2k_encode(frame, _PSNR, codecformat="j2k", reversible=False),
        lambda data, out: imagecodecs.jpeg2k_decode(data, numthreads=1, out=out),
        "YBR_ICT",
    ),
    "htj2k": Coding(
        HTJ2KLossless,
        lambda frame: imagecodecs.htj2k_encode(frame, reversible=True),
        lambda data, out: imagecodecs.htj2k_decode(data, planar=False, out=out),
        "YBR_RCT",
    ),
}
