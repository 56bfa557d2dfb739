"""Codestreams of every kind that the codecs serve, made with imagecodecs' encoders, and files around them."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image
from pydicom import uid

from support.dicom_bytes import encapsulated_file, encapsulated_value

ROWS, COLUMNS = 48, 40


@dataclass(frozen=True)
class Stream:
    """One encoded frame, what the header says of it, and what it should decode to."""

    name: str
    syntax: str
    codestream: bytes
    pixels: np.ndarray
    """What was encoded."""
    attributes: dict[str, Any] = field(default_factory=dict)
    apart: int = 0
    """By how much decoded pixels may differ from :attr:`pixels`."""

    def file(self, codestream: bytes | None = None, **attributes: Any) -> io.BytesIO:
        """A DICOM file of this one frame."""
        data = self.codestream if codestream is None else codestream
        values = self.attributes | attributes
        return io.BytesIO(
            encapsulated_file(encapsulated_value([data + b"\0" * (len(data) % 2)]), self.syntax, **values)
        )


def image(bits: int, *, signed: bool = False, samples: int = 1, noise: float = 0.02) -> np.ndarray:
    """A smooth image; with noise it holds the largest and the smallest value of `bits`, too."""
    rng = np.random.default_rng(bits)
    y, x = np.mgrid[:ROWS, :COLUMNS]
    planes = [np.sin(x / (7 + 3 * k) + k) * np.cos(y / (9 - 2 * k)) for k in range(samples)]
    smooth = np.stack(planes, -1) * 0.55 + rng.normal(0, noise, (ROWS, COLUMNS, samples))
    if noise:
        smooth.flat[:2] = (-1, 1)
    levels = np.clip(np.round((smooth + 1) / 2 * (2**bits - 1)), 0, 2**bits - 1).astype(np.int64)
    size = 1 if bits <= 8 else 2 if bits <= 16 else 4
    pixels = (levels - 2 ** (bits - 1)).astype(f"i{size}") if signed else levels.astype(f"u{size}")
    return pixels if samples > 1 else pixels[..., 0]


def described(pixels: np.ndarray, bits: int, **others: Any) -> dict[str, Any]:
    """Attributes of pixels as they are."""
    samples = pixels.shape[2] if pixels.ndim == 3 else 1
    values: dict[str, Any] = {
        "rows": pixels.shape[0],
        "columns": pixels.shape[1],
        "bits": 8 * pixels.dtype.itemsize,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
    }
    if samples > 1:
        values |= {"SamplesPerPixel": samples, "PlanarConfiguration": 0, "PhotometricInterpretation": "RGB"}
    return values | others


def unsigned(pixels: np.ndarray, bits: int) -> np.ndarray:
    """Two's complement in the lowest `bits`: how signed pixels lie in codestreams that know no sign."""
    return (pixels.astype(np.int64) & (2**bits - 1)).astype(f"u{pixels.dtype.itemsize}")


def rle(pixels: np.ndarray, bits: int | None = None) -> bytes:
    """RLE Lossless: segments of the most significant bytes first, plane by plane."""
    planes = np.moveaxis(pixels, -1, 0) if pixels.ndim == 3 else pixels[None]
    if bits == 1:
        parts = [np.packbits(plane, bitorder="little") for plane in planes]
    else:
        size = pixels.dtype.itemsize
        parts = [
            np.ascontiguousarray(plane).astype(f">{plane.dtype.kind}{size}").view("u1").reshape(-1, size)[:, byte]
            for plane in planes
            for byte in range(size)
        ]
    segments = [imagecodecs.packbits_encode(np.ascontiguousarray(part)) for part in parts]
    padded = [segment + b"\0" * (len(segment) % 2) for segment in segments]
    offsets = 64 + np.cumsum([0, *map(len, padded)])[:-1]
    return struct.pack("<16L", len(padded), *offsets, *[0] * (15 - len(padded))) + b"".join(padded)


def grey_streams() -> list[Stream]:
    """Greys of several depths in all lossless families."""
    streams = []
    for bits, signed in ((8, False), (8, True), (10, False), (12, False), (12, True), (16, False), (16, True)):
        pixels = image(bits, signed=signed)
        plain, whole = unsigned(pixels, bits), pixels.view(f"u{pixels.dtype.itemsize}")
        made = {
            ("rle", uid.RLELossless): rle(pixels),
            ("jpeg-ls", uid.JPEGLSLossless): imagecodecs.jpegls_encode(whole),
            ("jpeg-lossless", uid.JPEGLosslessSV1): lossless_jpeg(plain, bits, 1),
            ("jpeg-lossless-predictor-6", uid.JPEGLossless): lossless_jpeg(plain, bits, 6),
            ("jpeg-2000", uid.JPEG2000Lossless): jpeg2000(pixels, bits),
            ("jpeg-2000-without-sign", uid.JPEG2000Lossless): jpeg2000(plain, bits),
            ("jpeg-2000-in-jp2", uid.JPEG2000Lossless): jpeg2000(pixels, bits, codecformat="JP2"),
            ("htj2k", uid.HTJ2KLossless): imagecodecs.htj2k_encode(pixels, reversible=True),
            ("htj2k-rpcl", uid.HTJ2KLosslessRPCL): imagecodecs.htj2k_encode(pixels, reversible=True),
        }
        sign = "signed" if signed else "unsigned"
        values = described(pixels, bits)
        streams += [
            Stream(f"{name}-{bits}-{sign}", syntax, codestream, pixels, values)
            for (name, syntax), codestream in made.items()
        ]
    wide = image(20)
    mask = (image(8) > 128).astype(np.uint8)
    return [
        *streams,
        Stream("rle-32-unsigned", uid.RLELossless, rle(wide), wide, described(wide, 20)),
        Stream("rle-1", uid.RLELossless, rle(mask, 1), mask, described(mask, 1) | {"bits": 1}),
    ]


def unused_bits() -> list[Stream]:
    """Greys whose unused high bits hold something, or whose container is wider than the codestream's."""
    pixels = image(12)
    dirty = pixels | np.uint16(0xA000)
    signed, narrow = image(12, signed=True), image(8)
    below = (signed.astype(np.int64) & 0xFFF | 0x3000).astype(np.uint16)
    wide = described(narrow.astype(np.uint16), 8)
    return [
        Stream("rle-dirty", uid.RLELossless, rle(dirty), pixels, described(pixels, 12)),
        Stream("rle-dirty-signed", uid.RLELossless, rle(below), signed, described(signed, 12)),
        Stream("jpeg-lossless-dirty", uid.JPEGLosslessSV1, lossless_jpeg(dirty, 16, 1), pixels, described(pixels, 12)),
        Stream("jpeg-lossless-8-in-16", uid.JPEGLosslessSV1, lossless_jpeg(narrow, 8, 1), narrow, wide),
        Stream("jpeg-ls-8-in-16", uid.JPEGLSLossless, imagecodecs.jpegls_encode(narrow), narrow, wide),
        Stream("jpeg-2000-8-in-16", uid.JPEG2000Lossless, jpeg2000(narrow, 8), narrow, wide),
    ]


def colour_streams() -> list[Stream]:
    """Colour in all lossless families."""
    pixels, deep = image(8, samples=3), image(16, samples=3)
    rgb, deep_rgb = described(pixels, 8), described(deep, 16)
    planar = rgb | {"PlanarConfiguration": 1}
    transformed = rgb | {"PhotometricInterpretation": "YBR_RCT"}
    return [
        Stream("rle-rgb", uid.RLELossless, rle(pixels), pixels, rgb),
        Stream("rle-rgb-planar", uid.RLELossless, rle(pixels), pixels, planar),
        Stream("rle-rgb-16", uid.RLELossless, rle(deep), deep, deep_rgb),
        Stream("jpeg-ls-rgb", uid.JPEGLSLossless, imagecodecs.jpegls_encode(pixels), pixels, rgb),
        Stream("jpeg-ls-rgb-16", uid.JPEGLSLossless, imagecodecs.jpegls_encode(deep), deep, deep_rgb),
        Stream("jpeg-lossless-rgb", uid.JPEGLosslessSV1, lossless_jpeg(pixels, 8, 1), pixels, rgb),
        Stream("jpeg-2000-rgb", uid.JPEG2000Lossless, jpeg2000(pixels, 8, mct=False), pixels, rgb),
        Stream("jpeg-2000-rgb-16", uid.JPEG2000Lossless, jpeg2000(deep, 16, mct=False), deep, deep_rgb),
        Stream("jpeg-2000-rct", uid.JPEG2000Lossless, jpeg2000(pixels, 8), pixels, transformed),
        Stream("htj2k-rgb", uid.HTJ2KLossless, imagecodecs.htj2k_encode(pixels, reversible=True), pixels, transformed),
    ]


def lossy_streams() -> list[Stream]:
    """Lossy coding where decoders agree to the bit, or where the loss is bounded."""
    grey, deep, pixels = image(8), image(12), image(8, samples=3)
    ict = described(pixels, 8, PhotometricInterpretation="YBR_ICT")
    irreversible = {"reversible": False, "codecformat": "J2K", "numthreads": 1}
    return [
        Stream(
            "jpeg-ls-near",
            uid.JPEGLSNearLossless,
            imagecodecs.jpegls_encode(grey, level=3),
            grey,
            described(grey, 8),
            3,
        ),
        Stream(
            "jpeg-ls-near-12",
            uid.JPEGLSNearLossless,
            imagecodecs.jpegls_encode(deep, level=7),
            deep,
            described(deep, 12),
            7,
        ),
        Stream(
            "jpeg-2000-grey",
            uid.JPEG2000,
            imagecodecs.jpeg2k_encode(grey, level=40, **irreversible),
            grey,
            described(grey, 8),
            12,
        ),
        Stream(
            "jpeg-2000-ict", uid.JPEG2000, imagecodecs.jpeg2k_encode(pixels, level=40, **irreversible), pixels, ict, 16
        ),
        Stream(
            "htj2k-grey",
            uid.HTJ2K,
            imagecodecs.htj2k_encode(grey, level=0.002, reversible=False),
            grey,
            described(grey, 8),
            12,
        ),
        Stream(
            "jpeg-12",
            uid.JPEGExtended12Bit,
            imagecodecs.jpeg8_encode(deep, level=100, bitspersample=12),
            deep,
            described(deep, 12),
            4,
        ),
        Stream("jpeg-8", uid.JPEGBaseline8Bit, imagecodecs.jpeg8_encode(grey, level=100), grey, described(grey, 8), 2),
        Stream(
            "jpeg-8-extended",
            uid.JPEGExtended12Bit,
            imagecodecs.jpeg8_encode(grey, level=100),
            grey,
            described(grey, 8),
            2,
        ),
    ]


def newer_streams() -> list[Stream]:
    """Transfer syntaxes of the current standard that pydicom has no decoder of."""
    streams = []
    for bits, signed in ((8, False), (12, False), (12, True), (16, True), (20, False)):
        pixels = image(bits, signed=signed)
        sign, values = "signed" if signed else "unsigned", described(pixels, bits)
        streams += [
            Stream(f"uncompressed-{bits}-{sign}", UNCOMPRESSED, pixels.tobytes(), pixels, values),
            Stream(f"deflated-{bits}-{sign}", DEFLATED_FRAMES, deflated(pixels), pixels, values),
        ]
    for bits in (8, 12, 16):
        pixels = image(bits)
        codestream = imagecodecs.jpegxl_encode(pixels, lossless=True, bitspersample=bits, numthreads=1)
        streams.append(Stream(f"jpeg-xl-{bits}", JPEG_XL_LOSSLESS, codestream, pixels, described(pixels, bits)))
    pixels, mask = image(8, samples=3), (image(8) > 128).astype(np.uint8)[:, :37]
    rgb, bitmap = described(pixels, 8), described(mask, 1) | {"bits": 1}
    planar, packed = rgb | {"PlanarConfiguration": 1}, np.packbits(mask, bitorder="little")
    smooth = image(8, samples=3, noise=0)
    lossy = imagecodecs.jpegxl_encode(smooth, distance=0.5, numthreads=1)
    lossless = imagecodecs.jpegxl_encode(pixels, lossless=True, usecontainer=True, numthreads=1)
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    return [
        *streams,
        Stream("uncompressed-rgb", UNCOMPRESSED, pixels.tobytes(), pixels, rgb),
        Stream("deflated-rgb-planar", DEFLATED_FRAMES, deflated(planes), pixels, planar),
        Stream("uncompressed-1", UNCOMPRESSED, packed.tobytes(), mask, bitmap),
        Stream("deflated-1", DEFLATED_FRAMES, deflated(packed), mask, bitmap),
        Stream("jpeg-xl-rgb", JPEG_XL_LOSSLESS, lossless, pixels, rgb),
        Stream("jpeg-xl-lossy", JPEG_XL, lossy, smooth, rgb, 20),
    ]


UNCOMPRESSED = "1.2.840.10008.1.2.1.98"
DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
JPEG_XL_LOSSLESS = "1.2.840.10008.1.2.4.110"
JPEG_XL = "1.2.840.10008.1.2.4.112"


def deflated(pixels: np.ndarray) -> bytes:
    """Raw deflate, by Python's own zlib."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(pixels.tobytes()) + packer.flush()


def lossless_jpeg(pixels: np.ndarray, bits: int, predictor: int) -> bytes:
    """JPEG lossless with one of its predictors."""
    space = {"colorspace": "RGB", "outcolorspace": "RGB"} if pixels.ndim == 3 else {}
    return imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=predictor, bitspersample=bits, **space)


def jpeg2000(pixels: np.ndarray, bits: int, codecformat: str = "J2K", **options: Any) -> bytes:
    """JPEG 2000 with the reversible wavelet, a bare codestream unless told otherwise."""
    return imagecodecs.jpeg2k_encode(
        pixels, level=0, codecformat=codecformat, reversible=True, bitspersample=bits, numthreads=1, **options
    )


def tile(
    *, stored: str = "YCBCR", subsampling: str = "420", jfif: bool = False, adobe: int | None = None, ids: bytes = b""
) -> bytes:
    """A tile of baseline JPEG, colour stored as YCbCr or RGB, with just these marks of it."""
    stream = imagecodecs.jpeg8_encode(
        image(8, samples=3), level=95, colorspace="RGB", outcolorspace=stored, subsampling=subsampling
    )
    kept, at = [], 2
    while stream[at + 1] not in (0xC0, 0xC1):
        length = 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
        kept += [stream[at : at + length]] if stream[at + 1] not in (0xE0, 0xEE) else []
        at += length
    frame = bytearray(stream[at:])
    for number in range(3):
        before = frame[10 + 3 * number]
        frame[10 + 3 * number] = after = ids[number] if ids else number + 1
        scan = 2 + int.from_bytes(frame[2:4], "big")
        while frame[scan + 1] != 0xDA:
            scan += 2 + int.from_bytes(frame[scan + 2 : scan + 4], "big")
        place = scan + 5 + 2 * number
        assert frame[place] == before
        frame[place] = after
    marks = [b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"] if jfif else []
    marks += [b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([adobe])] if adobe is not None else []
    return b"\xff\xd8" + b"".join(marks + kept) + bytes(frame)


END = b"\xff\xd9"
"""The marker that JPEG, JPEG-LS and JPEG 2000 end with."""


def scan_start(codestream: bytes) -> int:
    """Where the data of a JPEG's first scan begin."""
    at = 2
    while codestream[at + 1] != 0xDA:
        at += 2 + int.from_bytes(codestream[at + 2 : at + 4], "big")
    return at + 2 + int.from_bytes(codestream[at + 2 : at + 4], "big")


def with_tile_length(codestream: bytes, length: int | None = None) -> bytes:
    """JPEG 2000 of one tile-part that was cut: with a length that fits, and an end."""
    start = codestream.index(b"\xff\x90\x00\x0a")
    told = len(codestream) - start if length is None else length
    return codestream[: start + 6] + told.to_bytes(4, "big") + codestream[start + 10 :] + END


def shared_chroma(planes: list[np.ndarray], sampling: list[tuple[int, int]]) -> bytes:
    """JPEG 2000 of three components, each encoded on its own, of which a sample stands for so many pixels.

    Without decomposition and with one layer, there is one packet for each, and packets don't depend on each other.
    """
    made = []
    for plane in planes:
        stream = io.BytesIO()
        Image.fromarray(plane).save(stream, "JPEG2000", no_jp2=True, num_resolutions=1, irreversible=False)
        made.append(stream.getvalue())
    first = made[0]
    start = first.index(b"\xff\x90\x00\x0a")
    packets = b"".join(stream[stream.index(b"\xff\x93") + 2 : -2] for stream in made)
    formats = b"".join(bytes((7, across, down)) for across, down in sampling)
    size = (38 + 3 * 3).to_bytes(2, "big") + first[6:40] + (3).to_bytes(2, "big") + formats
    end_of_size = 4 + int.from_bytes(first[4:6], "big")
    tile = b"\xff\x90\x00\x0a\x00\x00" + (14 + len(packets)).to_bytes(4, "big") + b"\x00\x01\xff\x93"
    return first[:4] + size + first[end_of_size:start] + tile + packets + END
