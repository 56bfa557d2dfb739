"""Huffman codes of JPEG scans (T.81 Annexes C, F.1 and H), as texts of 0 and 1, and what of a picture is coded again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Codes = Mapping[int, str]
"""The code of each symbol."""

_COUNTS: Final = 17  # bytes before a table's symbols: class and destination, then how many codes of each length
_HALF, _WHOLE = 1 << 15, 1 << 16
_AGAIN: Final = 16
"""Samples that are coded again: some hundred bits, which aren't a scan's last ones by chance."""
_PADDING: Final = range(8)
_PREDICTORS: Final[Mapping[int, Callable[[Array, Array, Array], Array]]] = {
    1: lambda left, _above, _before: left,
    2: lambda _left, above, _before: above,
    3: lambda _left, _above, before: before,
    4: lambda left, above, before: left + above - before,
    5: lambda left, above, before: left + ((above - before) >> 1),
    6: lambda left, above, before: above + ((left - before) >> 1),
    7: lambda left, above, _before: (left + above) >> 1,
}
"""T.81 table H.1: from the sample to the left, the one above and the one before that."""
_NO_BITS: Final = 16
"""The largest size of a difference: like the size 0 it stands for one difference, and no bits follow (T.81 table H.2)."""


@lru_cache(256)
def huffman_tables(payloads: Sequence[bytes]) -> Mapping[int, Codes]:
    """Return the codes that DHT segments define (T.81 B.2.4.2, C.2), by class << 4 | destination."""
    tables: dict[int, Codes] = {}
    for payload in payloads:
        at = 0
        while at + _COUNTS <= len(payload):
            counts = payload[at + 1 : at + _COUNTS]
            end = at + _COUNTS + sum(counts)
            tables[payload[at]] = dict(zip(payload[at + _COUNTS : end], _canonical(counts), strict=False))
            at = end
    return tables


def _canonical(counts: bytes) -> Iterator[str]:
    code = 0
    for length, count in enumerate(counts, 1):
        for _ in range(count):
            yield format(code, f"0{length}b")
            code += 1
        code <<= 1


def ends_with(data: bytes, end: int, bits: str, padding: str = "01") -> bool:
    """Whether these are a scan's last bits, before the fewer than eight that fill its last byte.

    Parameters
    ----------
    data : bytes
    end : int
        Where the scan's data end, and a marker begins.
    bits : str
    padding : str
        What the last byte may be filled with; by the standard with 1 (T.81 F.1.2.3).
    """
    # Fill bytes FF may stand before the marker (T.81 B.1.1.2); each FF of the data is followed by a 00 that doesn't count.
    last = data[max(end - len(bits) // 4 - 4, 0) : end].rstrip(b"\xff").replace(b"\xff\x00", b"\xff")
    text = format(int.from_bytes(last, "big"), f"0{8 * len(last)}b")
    ends = (len(text) - count for count in _PADDING)
    return any(text.endswith(bits, 0, stop) and not text[stop:].strip(padding) for stop in ends)


def last_codes(pixels: Array, tables: Sequence[Codes], selection: int, first: int) -> str:
    """Code the last samples of a lossless picture again: from some before the last one that isn't as predicted.

    Parameters
    ----------
    pixels : numpy.ndarray
        ``(rows, columns, components)``, without the bits that a point transform has taken away.
    tables : sequence of Codes
        Of each component.
    selection : int
        The predictor, from 1 to 7 (T.81 table H.1).
    first : int
        What the picture's first sample is predicted to be.

    Returns
    -------
    str
        Empty where all samples are as predicted, and so nothing would be recognised.
    """
    start = max(_uniform_from(pixels) - 1, 0)
    found = differences(pixels[max(start - 1, 0) : start + 2], selection, None if start else first).reshape(-1)
    (unexpected,) = np.nonzero(found)
    if not unexpected.size:
        return ""
    components = len(tables)
    begin = max(int(unexpected[-1]) - _AGAIN, 0)
    bits = [
        _code(tables[place % components], difference) for place, difference in enumerate(found.tolist()[begin:], begin)
    ]
    pixel = "".join(codes.get(0, "") for codes in tables)
    rows = len(pixels) - min(start + 2, len(pixels))
    return "".join([*bits, pixel * (rows * int(pixels.shape[1]))])


def count_bits(pixels: Array, tables: Sequence[Codes], selection: int, first: int) -> int:
    """Return how many bits a whole lossless picture takes, coded with these tables; parameters as of `last_codes`."""
    found = np.abs(differences(pixels, selection, first))
    total = 0
    for component, codes in enumerate(tables):
        sizes = np.frexp(found[..., component].astype(np.float32))[1]  # T.81 table H.2: bits of the difference
        for size, count in enumerate(np.bincount(sizes.reshape(-1), minlength=1).tolist()):
            total += count * (len(codes.get(size, "")) + size % _NO_BITS)
    return total


def differences(pixels: Array, selection: int, first: int | None) -> Array:
    """Return samples minus predictions (T.81 H.1.2), from -32767 to 32768; without those of the first row if `first` is None."""
    values = pixels.astype(np.int32)
    left, above, before = values[1:, :-1], values[:-1, 1:], values[:-1, :-1]
    found = np.empty_like(values)
    found[1:, 1:] = values[1:, 1:] - _PREDICTORS[selection](left, above, before)
    found[1:, 0] = values[1:, 0] - values[:-1, 0]
    found[0, 1:] = values[0, 1:] - values[0, :-1]
    found[0, 0] = values[0, 0] - (first or 0)
    # T.81 H.1.2.1: modulo 65536.
    found = _HALF - ((_HALF - found) & (_WHOLE - 1))
    return found if first is not None else found[1:]


def _uniform_from(pixels: Array) -> int:
    """Return the first of the last rows that hold nothing but the last pixel's values."""
    last, start, count = pixels[-1, -1], len(pixels), 1
    while start:
        rows = (pixels[max(start - count, 0) : start] == last).all(axis=(1, 2))
        if not rows.all():
            return start - int(rows[::-1].argmin())
        start, count = max(start - count, 0), 2 * count
    return 0


def _code(codes: Codes, difference: int) -> str:
    """Return the code of one difference (T.81 H.1.2.2); one that no code is for matches nothing."""
    size = abs(difference).bit_length()
    if size not in codes:
        return "?"
    if not size % _NO_BITS:
        return codes[size]
    return codes[size] + format(difference if difference > 0 else difference + (1 << size) - 1, f"0{size}b")
