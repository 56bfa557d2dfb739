"""DICOM keywords for rooms that don't import pydicom."""

from __future__ import annotations

import difflib
from functools import cache

from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword

from pipeline.errors import ConfigError

_INTEGER = {"IS", "US", "SS", "UL", "SL", "UV", "SV", "US or SS"}
_NUMBER = {"DS", "FL", "FD"}


@cache
def all_keywords() -> frozenset[str]:
    """Return every keyword of the data dictionary (PS3.6)."""
    return frozenset(entry[4] for entry in DicomDictionary.values() if entry[4])


def nearest_keywords(keyword: str, count: int = 3) -> list[str]:
    """Return the keywords that resemble a mistaken one, best first; empty if none does."""
    lowered = {known.lower(): known for known in all_keywords()}
    return [lowered[match] for match in difflib.get_close_matches(keyword.lower(), lowered, n=count, cutoff=0.75)]


def dictionary_keyword(keyword: str) -> tuple[str, str] | None:
    """Return a keyword's ``(value representation, value multiplicity)``; None if the keyword is unknown."""
    tag = tag_for_keyword(keyword)
    return None if tag is None else (dictionary_VR(tag), dictionary_VM(tag))


def keyword_kind(keyword: str) -> str:
    """Return the kind of a keyword's values: ``text``, ``integer`` or ``number``, with an ``s`` for several values.

    Raises
    ------
    ConfigError
        If the data dictionary has no such keyword.
    """
    entry = dictionary_keyword(keyword)
    if entry is None:
        close = " or ".join(nearest_keywords(keyword))
        raise ConfigError(f"{keyword!r} is no DICOM keyword" + (f"; did you mean {close}?" if close else ""))
    vr, multiplicity = entry
    kind = "integer" if vr in _INTEGER else "number" if vr in _NUMBER else "text"
    return kind if multiplicity == "1" or vr == "SQ" else f"{kind}s"
