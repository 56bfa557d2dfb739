"""The bits of a decoded word that are the sample: one rule (PS3.5 8.1.1) for native frames and all codecs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.errors import CodestreamError

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Coded:
    """Format of an encoding's samples."""

    precision: int = 0
    """Bits of the codestream's samples; 0 if the codestream holds the words of Bits Allocated."""
    is_signed: bool = False
    """Whether the codestream declares signed samples."""
    is_exact: bool = True
    """Whether samples are decoded without loss; else they may slightly exceed the range of Bits Stored."""
    sign_by_precision: bool = False
    """Whether the sign of samples that the codestream doesn't declare signed is the highest bit of the precision: in JPEG-LS,
    which has no signs, and in JPEG 2000, as in pydicom."""


WORDS: Final = Coded()
"""Native data, and encodings of their bytes: RLE, deflate."""


@dataclass(frozen=True, slots=True)
class SampleBits:
    """Position of samples in their words, and their sign."""

    stored: int
    """Bits Stored."""
    high: int
    """High Bit: the sample's highest bit."""
    signed: bool
    """Pixel Representation."""

    @classmethod
    def of(cls, allocated: int, stored: int, representation: int, high: int | None = None) -> SampleBits:
        """Return the position by the attributes; single bits are unpacked to bytes, which need no correction."""
        if allocated == 1:
            return cls(8, 7, signed=False)
        return cls(stored, stored - 1 if high is None else high, bool(representation))

    def correct(self, words: Array, coded: Coded = WORDS) -> Array:
        """Return the samples of decoded words, moved to the lowest bits, with their sign.

        Other bits of a word may hold anything, such as overlays, and are dropped.

        Parameters
        ----------
        words : numpy.ndarray
            Decoded words of any byte order; changed in place if writeable.
        coded : Coded
            Format of the words' encoding.

        Raises
        ------
        CodestreamError
            If High Bit isn't Bits Stored - 1, and the codestream's precision is neither that of a sample nor that of a word.
        """
        kind = "i" if self.signed else "u"
        array = words if words.dtype.kind == kind else words.view(words.dtype.str.replace(words.dtype.kind, kind))
        container = 8 * array.dtype.itemsize
        shift, bits = self._lowest(coded.precision), self.stored
        if coded.sign_by_precision and not shift:
            if coded.is_signed == self.signed:
                if coded.precision <= bits:
                    return array
                if not coded.is_exact:
                    return self._clipped(array)
            else:
                bits = min(bits, coded.precision)
        if not shift and bits >= container:
            return array
        array = array if array.flags.writeable else array.copy()
        if not (self.signed or shift):
            np.bitwise_and(array, array.dtype.type((1 << bits) - 1), out=array)
            return array
        np.left_shift(array, container - shift - bits, out=array)
        np.right_shift(array, container - bits, out=array)
        return array

    def _lowest(self, precision: int) -> int:
        """Return the position of a sample's lowest bit in a decoded word.

        Usually a codestream holds samples without the shift that High Bit declares. If whole words were encoded, the
        codestream's precision covers High Bit.
        """
        shift = self.high - self.stored + 1
        if not shift or 0 < precision <= self.stored:
            return 0
        if 0 < precision <= self.high:
            raise CodestreamError(
                f"the codestream's samples have {precision} bits, neither the {self.stored} of Bits Stored nor all those "
                f"of words up to High Bit {self.high}"
            )
        return shift

    def _clipped(self, array: Array) -> Array:
        """Clip samples that lossy coding has moved beyond their range, so that they don't wrap around."""
        array = array if array.flags.writeable else array.copy()
        least = -(1 << (self.stored - 1)) if self.signed else 0
        return np.clip(array, least, least + (1 << self.stored) - 1, out=array)
