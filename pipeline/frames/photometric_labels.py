"""Checks of Photometric Interpretation against the other Image Pixel attributes (PS3.3 C.7.6.3.1.2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pipeline.errors import InvalidAttributeError
from pipeline.model import syntaxes

SHARED_CHROMA: Final = "YBR_FULL_422"
"""Pairs of pixels share their chroma samples. Native data then hold fewer samples; in codestreams the codec handles it."""
_ONE_SAMPLE: Final = frozenset({"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"})
_FOUR_SAMPLES: Final = frozenset({"ARGB", "CMYK"})
_OF_JPEG_2000: Final = frozenset({"YBR_ICT", "YBR_RCT"})


def label_notes(uid: str, options: Mapping[str, Any]) -> Iterator[str]:
    """Yield notes on contradictions and how they are resolved."""
    samples, label = options["samples_per_pixel"], options["photometric_interpretation"]
    if samples == 1 and label not in _ONE_SAMPLE:
        yield f"Photometric Interpretation is {label}, but there is 1 sample per pixel: taken for grey levels"
    elif samples > 1 and (label in _ONE_SAMPLE or (label in _FOUR_SAMPLES and samples < 4)):  # noqa: PLR2004
        yield f"Photometric Interpretation is {label}, but there are {samples} samples per pixel: all of them are stored"
    elif label in _OF_JPEG_2000 and uid not in syntaxes.ANY_JPEG_2000:
        yield f"Photometric Interpretation is {label}, which only JPEG 2000 has: samples are stored unconverted"
    if is_native_422(uid, options) and options.get("planar_configuration"):
        yield f"Planar Configuration is 1, which {SHARED_CHROMA} can't have: taken for 0"


def check_labels(uid: str, options: Mapping[str, Any], source: str) -> None:
    """Refuse shared chroma for a single sample or an odd number of columns.

    Raises
    ------
    InvalidAttributeError
        For such attributes, reason ``contradictory_attributes``.
    """
    if not is_native_422(uid, options):
        return
    problem = ""
    if options["samples_per_pixel"] == 1:
        problem = "(0028,0002) 'Samples per Pixel' is 1"
    elif syntaxes.is_encapsulated(uid) and options["columns"] % 2:
        problem = f"(0028,0011) 'Columns' is {options['columns']}, which makes no pairs of pixels"
    if problem:
        raise InvalidAttributeError(
            f"(0028,0004) 'Photometric Interpretation' is {SHARED_CHROMA}, but {problem}",
            reason="contradictory_attributes",
            source=source,
        )


def is_native_422(uid: str, options: Mapping[str, Any]) -> bool:
    """Return whether pairs of pixels share their chroma samples in uncompressed data."""
    shared = options["photometric_interpretation"] == SHARED_CHROMA
    return shared and (not syntaxes.is_encapsulated(uid) or uid in syntaxes.UNCOMPRESSED)
