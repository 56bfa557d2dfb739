"""What storing takes, measured: so that a task is about a second of work whatever its codec.

The figures are processor time on one core of a server of 2024, with the default codec, from `scripts/bench costs`,
which prints them anew. They only say how much a task gets to do: what is stored doesn't depend on them.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.plan.memory import DEFLATED

NATIVE = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", DEFLATED})

NATIVE_NANOSECONDS = 1.5
"""For each byte of native pixel data: reading, checksum, compression, writing. The unit of all that follows."""
_JPEG2000, _HTJ2K, _LOSSLESS, _LS = 32.0, 3.0, 3.2, 6.7
WEIGHTS: Mapping[str, float] = {
    "1.2.840.10008.1.2.5": 1.7,
    "1.2.840.10008.1.2.4.50": 3.0,
    "1.2.840.10008.1.2.4.51": 3.0,
    "1.2.840.10008.1.2.4.57": _LOSSLESS,
    "1.2.840.10008.1.2.4.70": _LOSSLESS,
    "1.2.840.10008.1.2.4.80": _LS,
    "1.2.840.10008.1.2.4.81": _LS,
    "1.2.840.10008.1.2.4.90": _JPEG2000,
    "1.2.840.10008.1.2.4.91": 5.0,
    "1.2.840.10008.1.2.4.92": _JPEG2000,
    "1.2.840.10008.1.2.4.93": _JPEG2000,
    "1.2.840.10008.1.2.4.201": _HTJ2K,
    "1.2.840.10008.1.2.4.202": _HTJ2K,
    "1.2.840.10008.1.2.4.203": _HTJ2K,
}
"""Transfer syntax → how many native bytes a decoded byte costs as much as: decoding, and all that native ones cost too."""
OTHER_WEIGHT = 7.0
"""The same for compressed transfer syntaxes that weren't measured."""
INSTANCE_COST = 192 * 2**10
"""Opening a file and reporting on it takes about as long (0.3 ms) as storing this many bytes."""
IMAGE_COST = 6 * 2**20
"""The same for the files and metadata of an image (9 ms)."""


def weight(transfer_syntax_uid: str) -> float:
    """Return what a decoded byte costs, in native bytes."""
    return 1.0 if transfer_syntax_uid in NATIVE else WEIGHTS.get(transfer_syntax_uid, OTHER_WEIGHT)
