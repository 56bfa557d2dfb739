"""Mutants of DICOM files: bit flips, cuts, splices and header edits, each the same for the same seed."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence

HEADER_BYTES = 4096
HALF, MOSTLY = 0.5, 0.6
INTERESTING = (0, 1, 2, 3, 7, 8, 12, 16, 24, 32, 64, 255, 256, 4095, 32767, 32768, 65534, 65535)
US_TAGS = {
    "SamplesPerPixel": 0x00280002,
    "PlanarConfiguration": 0x00280006,
    "Rows": 0x00280010,
    "Columns": 0x00280011,
    "BitsAllocated": 0x00280100,
    "BitsStored": 0x00280101,
    "HighBit": 0x00280102,
    "PixelRepresentation": 0x00280103,
}
TEXT_TAGS = {
    "NumberOfFrames": (0x00280008, (b"0", b"-1", b"2", b"9", b"99", b"2147483647", b"99999999999", b"1.5", b"x", b"")),
    "PhotometricInterpretation": (
        0x00280004,
        (b"RGB", b"MONOCHROME1", b"PALETTE COLOR", b"YBR_FULL", b"YBR_FULL_422", b"YBR_ICT", b"?", b""),
    ),
    "TransferSyntaxUID": (
        0x00020010,
        tuple(
            f"1.2.840.10008.1.2{end}".encode()
            for end in ("", ".1", ".2", ".1.99", ".4.50", ".4.70", ".4.80", ".4.90", ".5")
        ),
    ),
}


def flip(data: bytearray, _: Sequence[bytes], random_: random.Random) -> bytearray:
    """Flip up to 16 bits, anywhere or in the header."""
    end = len(data) if random_.random() < HALF else min(len(data), HEADER_BYTES)
    for _ in range(random_.choice((1, 1, 2, 4, 16))):
        data[random_.randrange(end)] ^= 1 << random_.randrange(8)
    return data


def cut(data: bytearray, _: Sequence[bytes], random_: random.Random) -> bytearray:
    """Cut the end off, or a piece out."""
    start = random_.randrange(len(data))
    stop = len(data) if random_.random() < MOSTLY else start + random_.choice((1, 2, 8, 64, 500))
    del data[start:stop]
    return data


def splice(data: bytearray, others: Sequence[bytes], random_: random.Random) -> bytearray:
    """Put a piece of this or another file somewhere, over existing bytes or between them."""
    other = random_.choice(others) if random_.random() < MOSTLY else bytes(data)
    begin = random_.randrange(len(other))
    piece = other[begin : begin + random_.choice((2, 4, 8, 32, 256, 2000))]
    at = random_.randrange(len(data))
    data[at : at + (len(piece) if random_.random() < MOSTLY else 0)] = piece
    return data


def edit(data: bytearray, _: Sequence[bytes], random_: random.Random) -> bytearray:
    """Change the value of an attribute that decoding depends on."""
    if random_.random() < MOSTLY:
        name = random_.choice(sorted(US_TAGS))
        value = random_.choice(INTERESTING)
        return _edit_us(data, US_TAGS[name], value) or flip(data, (), random_)
    tag, values = TEXT_TAGS[random_.choice(sorted(TEXT_TAGS))]
    return _edit_text(data, tag, random_.choice(values)) or flip(data, (), random_)


def relength(data: bytearray, _: Sequence[bytes], random_: random.Random) -> bytearray:
    """Change the length of an element or item whose tag can be found."""
    tags = (b"\xfe\xff\x00\xe0", b"\xe0\x7f\x10\x00", b"\x28\x00", b"\x08\x00", b"SQ\0\0", b"OB\0\0", b"OW\0\0")
    at = data.find(random_.choice(tags), random_.randrange(len(data)))
    if at < 0 or at + 8 > len(data):
        return flip(data, (), random_)
    length = random_.choice((0, 1, 7, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF, random_.randrange(2**16)))
    struct.pack_into("<L", data, at + 4, length)
    return data


def _edit_us(data: bytearray, tag: int, value: int) -> bytearray | None:
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    for form, offset in ((head + b"US\x02\x00", 8), (head + b"\x02\x00\x00\x00", 8)):
        if (at := data.find(form)) >= 0 and at + offset + 2 <= len(data):
            struct.pack_into("<H", data, at + offset, value)
            return data
    return None


def _edit_text(data: bytearray, tag: int, value: bytes) -> bytearray | None:
    """Replace a short text element, including its length."""
    at = data.find(struct.pack("<HH", tag >> 16, tag & 0xFFFF))
    if at < 0 or at + 8 > len(data) or not data[at + 4 : at + 6].isalpha():
        return None
    (length,) = struct.unpack_from("<H", data, at + 6)
    value += (b"\0" if data[at + 4 : at + 6] == b"UI" else b" ") * (len(value) % 2)
    data[at + 6 : at + 8 + length] = struct.pack("<H", len(value)) + value
    return data


KINDS: dict[str, Callable[[bytearray, Sequence[bytes], random.Random], bytearray]] = {
    "flip": flip,
    "cut": cut,
    "splice": splice,
    "edit": edit,
    "relength": relength,
}


def mutant(number: int, seed: int, files: Sequence[bytes]) -> tuple[str, bytes]:
    """Return the kind and the bytes of one mutant that equals none of `files`."""
    random_ = random.Random(f"{seed}-{number}")  # noqa: S311  not a secret
    kind = sorted(KINDS)[number % len(KINDS)]
    data = bytearray(random_.choice(files))
    changes = random_.choice((1, 1, 1, 2))
    while changes > 0 or bytes(data) in files:  # a change may change nothing
        data = KINDS[kind](data, files, random_) or bytearray(b"\0")
        changes -= 1
    return kind, bytes(data)
