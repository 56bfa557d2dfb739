"""Header bombs: DICOM files that are small, or quickly made, but cost a reader a multiple of that.

Each is sound except for its bomb; `size` scales it, so that tests make small ones and set small limits.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from itertools import count, islice

from support.dicom_bytes import (
    DEFLATED,
    DELIMITER,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    PIXEL_DATA,
    UNDEFINED,
    attributes,
    element,
    header,
    item,
    meta,
)

SEQUENCE = 0x00081140
"""Referenced Image Sequence."""
PER_FRAME = 0x52009230
EMPTY_ITEM = item(b"")
_PIECE = 1 << 20


def image(*more: bytes, syntax: str = EXPLICIT, behind: bytes = b"", **values: object) -> bytes:
    """Return a whole native image of 4 by 4 bytes, with further elements in front of and behind its pixels."""
    pixels = element(PIXEL_DATA, "OB", bytes(16 * int(values.get("frames", 1))), syntax=syntax)
    return meta(syntax) + header(attributes(**values), syntax, more) + pixels + behind


def empty_items(size: int, syntax: str = EXPLICIT) -> bytes:
    """A sequence of defined length."""
    return image(element(SEQUENCE, "SQ", EMPTY_ITEM * size, syntax=syntax), syntax=syntax)


def empty_items_implicit(size: int) -> bytes:
    return empty_items(size, IMPLICIT)


def undefined_items(size: int) -> bytes:
    """A sequence up to its delimiter."""
    return image(element(SEQUENCE, "SQ", EMPTY_ITEM * size + DELIMITER, length=UNDEFINED))


def unknown_items(size: int) -> bytes:
    """A sequence hidden in a private element of value representation UN, of undefined length (PS3.5 6.2.2)."""
    creator = element(0x00090010, "LO", "SOMEBODY")
    return image(creator, element(0x00091001, "UN", EMPTY_ITEM * size + DELIMITER, length=UNDEFINED))


def private_items(size: int) -> bytes:
    """A private sequence of defined length."""
    creator = element(0x00090010, "LO", "SOMEBODY")
    return image(creator, element(0x00091001, "SQ", EMPTY_ITEM * size))


def frame_items(size: int) -> bytes:
    """Per-frame functional groups without frames."""
    return image(element(PER_FRAME, "SQ", EMPTY_ITEM * size))


def items_of_elements(size: int) -> bytes:
    """Items with contents."""
    inner = item(element(0x00081150, "UI", "1.2") + element(0x00081155, "UI", "1.2.3"))
    return image(element(SEQUENCE, "SQ", inner * (size // 3)))


def tiny_elements(size: int, syntax: str = EXPLICIT) -> bytes:
    """Empty elements, in private groups."""
    return image(b"".join(_tiny(size, 0x0009, syntax)), syntax=syntax)


def tiny_elements_implicit(size: int) -> bytes:
    return tiny_elements(size, IMPLICIT)


def tiny_elements_behind(size: int) -> bytes:
    """The same, behind the pixel data."""
    return image(behind=b"".join(_tiny(size, 0x7FE3, EXPLICIT)))


def tiny_elements_in_item(size: int) -> bytes:
    return image(element(SEQUENCE, "SQ", item(b"".join(_tiny(size, 0x0009, EXPLICIT)))))


def meta_elements(size: int) -> bytes:
    """File Meta Information that begins again and again."""
    data = image()
    return data[: len(meta(EXPLICIT))] + element(0x00020102, "OB", b"") * size + data[len(meta(EXPLICIT)) :]


def many_values(size: int) -> bytes:
    """One text of separators only."""
    return image(element(0x00091002, "UC", "\\" * size))


def many_numbers(size: int) -> bytes:
    """Many short elements with many numbers in each."""
    return image(
        element(0x00091002, "UN", b""), *(element(0x00091003 + i, "US", bytes(60000)) for i in range(size // 30000))
    )


def large_values(size: int) -> bytes:
    """Values of 32 MiB each, within the limits: nothing is wrong with them."""
    each = min(size, 32 << 20)
    return image(*(element(0x60110010 + number, "OB", bytes(each)) for number in range(size // each)))


def deep(size: int) -> bytes:
    """Sequences in sequences, each of undefined length."""
    opened = element(SEQUENCE, "SQ", b"", length=UNDEFINED) + item(b"", UNDEFINED)
    return image(opened * size + (struct.pack("<HHL", 0xFFFE, 0xE00D, 0) + DELIMITER) * size)


def deep_defined(size: int) -> bytes:
    """Sequences in sequences of defined lengths: the outermost value stays bytes until it is accessed."""
    parts = [
        element(SEQUENCE, "SQ", b"", length=20 * level + 8) + item(b"", 20 * level) for level in reversed(range(size))
    ]
    return image(b"".join(parts))


def fragments(size: int) -> bytes:
    """Encapsulated pixel data in empty fragments."""
    data = meta(JPEG) + header(attributes())
    head = element(PIXEL_DATA, "OB", item(b""), length=UNDEFINED)
    return data + head + EMPTY_ITEM * size + item(b"\xff\xd8\xff\xd9") + DELIMITER


def fragments_of_frames(size: int) -> bytes:
    """As many frames as fragments, each of two bytes."""
    data = meta(JPEG) + header(attributes(frames=size))
    return data + element(PIXEL_DATA, "OB", item(b""), length=UNDEFINED) + item(b"\xff\xd8") * size + DELIMITER


def deflated_behind(size: int) -> bytes:
    """A deflated image with zeros behind it."""
    return _deflated([image()[len(meta(EXPLICIT)) :], element(0x7FE10010, "OB", b"", length=size), *_zeros(size)])


def deflated_pixels(size: int) -> bytes:
    """Deflated pixel data that are longer than the frames need."""
    pixels = element(PIXEL_DATA, "OB", b"", length=size)
    return _deflated([header(attributes()), pixels, *_zeros(size)])


def deflated_elements(size: int) -> bytes:
    """Deflated elements of 32 MiB in front of the pixels."""
    each = 32 << 20
    parts: list[bytes] = [header(attributes())]
    for tag in islice(count(0x60110010), max(size // each, 1)):
        parts += [element(tag, "OB", b"", length=min(each, size)), *_zeros(min(each, size))]
    return _deflated([*parts, element(PIXEL_DATA, "OB", bytes(16))])


def deflated_items(size: int) -> bytes:
    return _deflated([empty_items(size)[len(meta(EXPLICIT)) :]])


def _tiny(size: int, group: int, syntax: str) -> Iterator[bytes]:
    """Yield elements without values, in order."""
    form = "<HHL" if syntax == IMPLICIT else "<HH2sH"
    for number in range(size):
        tag = (group + 2 * (number // 0xF000), 0x1000 + number % 0xF000)
        yield struct.pack(form, *tag, *((0,) if syntax == IMPLICIT else (b"LO", 0)))


def _zeros(size: int) -> Iterator[bytes]:
    for start in range(0, size, _PIECE):
        yield bytes(min(_PIECE, size - start))


def _deflated(parts: list[bytes]) -> bytes:
    squeeze = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return meta(DEFLATED) + b"".join([*map(squeeze.compress, parts), squeeze.flush()])


Bomb = Callable[[int], bytes]
BY_ITEMS: tuple[Bomb, ...] = (
    *(empty_items, empty_items_implicit, undefined_items, unknown_items, private_items, frame_items, items_of_elements),
    *(deflated_items,),
)
BY_ELEMENTS: tuple[Bomb, ...] = (
    tiny_elements,
    tiny_elements_implicit,
    tiny_elements_behind,
    tiny_elements_in_item,
    meta_elements,
)
BY_VALUES: tuple[Bomb, ...] = (many_values, many_numbers)
BY_DEPTH: tuple[Bomb, ...] = (deep, deep_defined)
BY_FRAGMENTS: tuple[Bomb, ...] = (fragments, fragments_of_frames)
BY_BYTES: tuple[Bomb, ...] = (deflated_behind, deflated_pixels, deflated_elements)
