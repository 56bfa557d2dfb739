"""Huffman codes of JPEG scans (T.81 Annexes C, F.1 and H), as texts of 0 and 1, and re-encoding of pictures' ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Codes = Mapping[int, str]
"""Symbol → code."""

_COUNTS: Final = 17  # bytes before a table's symbols: class and destination, then how many codes of each length
_HALF, _WHOLE = 1 << 15, 1 << 16
_AGAIN: Final = 16
"""Number of samples that are encoded again: some hundred bits, which don't match a scan's end by chance."""
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
"""Predictors of T.81 table H.1, from the samples to the left (Ra), above (Rb), and above to the left (Rc)."""
_NO_BITS: Final = 16
"""The largest size of a difference; like size 0 it means a single difference, so no bits follow (T.81 table H.2)."""


@lru_cache(256)
def huffman_tables(payloads: Sequence[bytes]) -> Mapping[int, Codes]:
    """Return class << 4 | destination → codes of DHT segments (T.81 B.2.4.2, C.2)."""
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
    """Return whether a scan ends with the given bits, followed by fewer than eight padding bits.

    Parameters
    ----------
    data : bytes
    end : int
        End of the scan's data, where a marker begins.
    bits : str
        Text of 0 and 1.
    padding : str
        Allowed padding bits; the standard demands 1 (T.81 F.1.2.3).
    """
    # Fill bytes FF may precede the marker (T.81 B.1.1.2); each FF of the data is followed by a 00, which is dropped.
    last = data[max(end - len(bits) // 4 - 4, 0) : end].rstrip(b"\xff").replace(b"\xff\x00", b"\xff")
    text = format(int.from_bytes(last, "big"), f"0{8 * len(last)}b")
    ends = (len(text) - count for count in _PADDING)
    return any(text.endswith(bits, 0, stop) and not text[stop:].strip(padding) for stop in ends)


def last_codes(pixels: Array, tables: Sequence[Codes], selection: int, first: int) -> str:
    """Encode the last samples of a lossless picture again, from shortly before the last one that differs from its prediction.

    Parameters
    ----------
    pixels : numpy.ndarray
        ``(rows, columns, components)``, without the bits that a point transform has removed.
    tables : sequence of Codes
        Codes of each component.
    selection : int
        The predictor, from 1 to 7 (T.81 table H.1).
    first : int
        Prediction of the picture's first sample.

    Returns
    -------
    str
        The bits; empty if all samples equal their predictions, so that the bits would prove nothing.
    """
    start = max(_uniform_from(pixels) - 1, 0)
    found = differences(pixels[max(start - 1, 0) : start + 2], selection, None if start else first).reshape(-1)
    (unexpected,) = np.nonzero(found)
    if not unexpected.size:
        return ""
    components = len(tables)
    begin = max(int(unexpected[-1]) - _AGAIN, 0)
    bits = [
        _code(tables[number % components], difference)
        for number, difference in enumerate(found.tolist()[begin:], begin)
    ]
    pixel = "".join(codes.get(0, "") for codes in tables)
    rows = len(pixels) - min(start + 2, len(pixels))
    return "".join([*bits, pixel * (rows * int(pixels.shape[1]))])


def count_bits(pixels: Array, tables: Sequence[Codes], selection: int, first: int) -> int:
    """Return the number of bits of a whole lossless picture; parameters as for :func:`last_codes`."""
    found = np.abs(differences(pixels, selection, first))
    total = 0
    for component, codes in enumerate(tables):
        sizes = np.frexp(found[..., component].astype(np.float32))[1]  # T.81 table H.2: bits of the difference
        for size, count in enumerate(np.bincount(sizes.reshape(-1), minlength=1).tolist()):
            total += count * (len(codes.get(size, "")) + size % _NO_BITS)
    return total


def differences(pixels: Array, selection: int, first: int | None) -> Array:
    """Return samples minus predictions (T.81 H.1.2), from -32767 to 32768; if `first` is None, without the first row."""
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
    """Return the first row from which on all pixels equal the picture's last one."""
    last, start, count = pixels[-1, -1], len(pixels), 1
    while start:
        rows = (pixels[max(start - count, 0) : start] == last).all(axis=(1, 2))
        if not rows.all():
            return start - int(rows[::-1].argmin())
        start, count = max(start - count, 0), 2 * count
    return 0


def _code(codes: Codes, difference: int) -> str:
    """Return the code of one difference (T.81 H.1.2.2), or ``?``, which matches nothing, if it has no code."""
    size = abs(difference).bit_length()
    if size not in codes:
        return "?"
    if not size % _NO_BITS:
        return codes[size]
    return codes[size] + format(difference if difference > 0 else difference + (1 << size) - 1, f"0{size}b")
