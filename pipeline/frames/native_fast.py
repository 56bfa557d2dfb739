"""Fast path for native frames that need no conversion: read directly into the caller's array, without pydicom.

pydicom handles all other frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt
from pydicom.pixels.decoders import base

from pipeline.codecs import RGB_OPTION, SampleBits
from pipeline.frames.byte_sources import fill_range
from pipeline.model import FrameIndex, syntaxes

Array = npt.NDArray[Any]

_LITTLE_ENDIAN: Final = syntaxes.NATIVE - {syntaxes.BIG_ENDIAN}
_NUMBERS: Final = ("rows", "columns", "samples_per_pixel", "bits_allocated", "bits_stored", "pixel_representation")
_UNDERSTOOD: Final = frozenset(
    {
        *_NUMBERS,
        *("photometric_interpretation", "planar_configuration", "pixel_keyword", "pixel_vr", "high_bit"),
        *("number_of_frames", "raw", "validate", "as_rgb", "view_only", RGB_OPTION),
    }
)
_ONE_SAMPLE: Final = frozenset({"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"})
_PROCESSORS: Final = tuple(base.PROCESSORS)


@dataclass(frozen=True, slots=True)
class PlainFrames:
    """The native frames of one instance that need no conversion."""

    index: FrameIndex
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    bits: SampleBits
    photometric_interpretation: str

    def read_into(self, file: BinaryIO, frame: int, out: Array) -> bool:
        """Read a frame into `out`; return False if it doesn't fit or is missing; then `out` may hold anything."""
        if out.shape != self.shape or out.dtype != self.dtype or not out.flags.c_contiguous:
            return False
        ((offset, length),) = self.index.ranges(frame)
        if length != out.nbytes or not fill_range(file, offset, out.reshape(-1).view(np.uint8).data):
            return False
        self.bits.correct(out)
        return True


def plain_frames(index: FrameIndex, options: Mapping[str, Any]) -> PlainFrames | None:
    """Return the fast path for the frames of `index`; None if pydicom must decode them.

    Parameters
    ----------
    index : FrameIndex
    options : Mapping[str, Any]
        pydicom's decoding options, and ``raw``.
    """
    numbers = [value for name in _NUMBERS if isinstance(value := options.get(name), int)]
    if index.transfer_syntax_uid not in _LITTLE_ENDIAN or len(numbers) < len(_NUMBERS):
        return None
    if not _UNDERSTOOD.issuperset(options) or tuple(base.PROCESSORS) != _PROCESSORS:
        return None
    rows, columns, samples, allocated, stored, representation = numbers
    itemsize = allocated // 8
    interpretation = str(options.get("photometric_interpretation"))
    if options.get("pixel_keyword") != "PixelData" or allocated not in {8, 16, 32} or representation not in {0, 1}:
        return None
    if not 0 < stored <= allocated or index.frame_bits != rows * columns * samples * allocated:
        return None
    colour = interpretation == "RGB" and samples == 3 and options.get("planar_configuration") == 0  # noqa: PLR2004  red, green, blue
    if not colour and not (samples == 1 and interpretation in _ONE_SAMPLE):
        return None
    shape = (rows, columns, samples) if colour else (rows, columns)
    bits = SampleBits.of(allocated, stored, representation, options.get("high_bit"))
    return PlainFrames(index, shape, np.dtype(f"<{'ui'[representation]}{itemsize}"), bits, interpretation)
