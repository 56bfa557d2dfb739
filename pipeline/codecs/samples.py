"""Which bits of a decoded word are the sample: one rule (PS3.5 8.1.1) for native frames and for those of all codecs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.errors import CodestreamError

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Coded:
    """What the samples of an encoding are."""

    precision: int = 0
    """Bits of the codestream's samples; 0 where it holds the words of Bits Allocated as they are."""
    is_signed: bool = False
    """Whether the codestream itself says that they have a sign."""
    is_exact: bool = True
    """Whether they are what was encoded; else they may lie a little beyond what Bits Stored can hold."""
    sign_by_precision: bool = False
    """Whether samples of a sign that isn't the codestream's have it in the highest bit of the precision: so in
    JPEG-LS, which knows no signs, and JPEG 2000, as pydicom has it."""


WORDS: Final = Coded()
"""Native data, and encodings that hold just their bytes: RLE, deflate."""


@dataclass(frozen=True, slots=True)
class SampleBits:
    """Where samples lie in their words, and whether they have a sign."""

    stored: int
    """Bits Stored."""
    high: int
    """High Bit: the sample's highest bit."""
    signed: bool
    """Pixel Representation."""

    @classmethod
    def of(cls, allocated: int, stored: int, representation: int, high: int | None = None) -> SampleBits:
        """Return what the attributes say; single bits are unpacked to bytes, which need nothing."""
        if allocated == 1:
            return cls(8, 7, signed=False)
        return cls(stored, stored - 1 if high is None else high, bool(representation))

    def correct(self, words: Array, coded: Coded = WORDS) -> Array:
        """Return the samples that lie in decoded words: moved to the lowest bits, with their sign.

        The bits beside a sample may hold anything, such as overlays, and never count.

        Parameters
        ----------
        words : numpy.ndarray
            As decoded, of any byte order; changed in place where it may be written.
        coded : Coded
            What the words come from.

        Raises
        ------
        CodestreamError
            High Bit isn't the highest bit of Bits Stored, and the codestream's precision is neither that of a sample
            nor that of a word.
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
        """Return the place of a sample's lowest bit in a word.

        A codestream holds the samples themselves, wherever High Bit says that they lie once they are in words, unless
        the words were encoded as they were: then its precision covers High Bit.
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
        """Keep what coding with loss has put beyond the range of samples from coming out at its other end."""
        array = array if array.flags.writeable else array.copy()
        least = -(1 << (self.stored - 1)) if self.signed else 0
        return np.clip(array, least, least + (1 << self.stored) - 1, out=array)
