"""Measured costs of storing frames, so that a task is about a second of work whatever its codec.

The figures are processor time on one core of a server of 2024, with the default codec; `scripts/bench costs` measures
them again. They only decide the size of tasks, not what is stored.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.model import syntaxes

NATIVE_NANOSECONDS = 1.5
"""Per byte of native pixel data: reading, checksum, compression, writing. The unit of all following costs."""
_JPEG2000, _HTJ2K, _LOSSLESS, _LS = 32.0, 3.0, 3.2, 6.7
WEIGHTS: Mapping[str, float] = {
    syntaxes.RLE_LOSSLESS: 1.7,
    syntaxes.JPEG_BASELINE: 3.0,
    syntaxes.JPEG_EXTENDED: 3.0,
    syntaxes.JPEG_LOSSLESS: _LOSSLESS,
    syntaxes.JPEG_LOSSLESS_SV1: _LOSSLESS,
    syntaxes.JPEG_LS_LOSSLESS: _LS,
    syntaxes.JPEG_LS_NEAR_LOSSLESS: _LS,
    syntaxes.JPEG_2000_LOSSLESS: _JPEG2000,
    syntaxes.JPEG_2000: 5.0,
    syntaxes.JPEG_2000_PART_2_LOSSLESS: _JPEG2000,
    syntaxes.JPEG_2000_PART_2: _JPEG2000,
    syntaxes.HTJ2K_LOSSLESS: _HTJ2K,
    syntaxes.HTJ2K_LOSSLESS_RPCL: _HTJ2K,
    syntaxes.HTJ2K: _HTJ2K,
}
"""Cost of a decoded byte, relative to a native one, by transfer syntax; includes the costs of a native byte."""
OTHER_WEIGHT = 7.0
"""Cost of a decoded byte of compressed transfer syntaxes that weren't measured."""
INSTANCE_COST = 192 * 2**10
"""Cost of opening a file and reporting on it (0.3 ms), as the number of native bytes stored in the same time."""
IMAGE_COST = 6 * 2**20
"""Cost of the files and metadata of an image (9 ms), in native bytes."""


def weight(transfer_syntax_uid: str) -> float:
    """Return the cost of a decoded byte, relative to a native one."""
    return 1.0 if transfer_syntax_uid in syntaxes.NATIVE else WEIGHTS.get(transfer_syntax_uid, OTHER_WEIGHT)
