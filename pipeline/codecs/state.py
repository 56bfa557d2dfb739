"""What all codecs share: the frame's buffer, and checks made before it is allocated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from pydicom.pixels.decoders.base import DecodeRunner

from pipeline.errors import PixelDataError

RGB_OPTION: Final = "rgb_from_codec"
"""Decoding option: true lets the codec itself convert 8-bit YCbCr of lossy JPEG to RGB, where ``as_rgb`` is set.

Off by default, since pydicom's ``raw`` isn't among the options that a plugin sees: who sets this promises not to ask
for raw pixels. Best used with one frame per call: pydicom warns about every later frame of a runner that holds a JFIF
marker, because the runner says RGB then.
"""


def frame_buffer(shape: Sequence[int], dtype: str) -> tuple[bytearray, np.ndarray[Any, np.dtype[Any]]]:
    """Allocate a zeroed buffer for one frame, and an array of `shape` and `dtype` that looks into it."""
    kind = np.dtype(dtype).newbyteorder("<")
    buffer = bytearray(int(np.prod(shape, dtype=np.int64)) * kind.itemsize)
    return buffer, np.frombuffer(buffer, kind).reshape(shape)


def require_size(runner: DecodeRunner, *, rows: int, columns: int, samples: int) -> None:
    """Refuse a codestream whose frame isn't the one that the attributes declare, before memory is taken for it."""
    seen = (rows, columns, samples)
    declared = (runner.rows, runner.columns, runner.samples_per_pixel)
    if seen != declared:
        raise PixelDataError(
            f"the codestream holds {rows} x {columns} pixels of {samples} samples, but Rows, Columns and Samples per "
            f"Pixel say {declared[0]} x {declared[1]} x {declared[2]}"
        )


def itemsize_of(precision: int, maximum: int = 16) -> int:
    """Bytes of the smallest container (1, 2 or 4) for `precision` bits, as pydicom's other plugins choose it."""
    if not 1 <= precision <= maximum:
        raise PixelDataError(f"the codestream's samples have {precision} bits; 1 to {maximum} can be decoded")
    return 1 if precision <= 8 else 2 if precision <= 16 else 4  # noqa: PLR2004  bits of the containers


def set_planar(runner: DecodeRunner, planar: int) -> None:
    """Tell pydicom the order of the returned samples: 0 by pixel, 1 by plane (PS3.3 C.7.6.3.1.3)."""
    if runner.samples_per_pixel > 1:
        runner.set_option("planar_configuration", planar)
