"""Keyed hashes of patients: they distinguish patients without identifying them.

If somebody removed UIDs, or wrote the same UIDs into all files, files of different patients share a Series Instance UID. Patient
ID, name and birth date then distinguish patients; without UIDs, dates and numbers of study and series do too. The plan only
needs to know whether these values differ, never the values.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from secrets import token_bytes
from typing import Any

from pipeline.model import PATIENT_HASH_BYTES, pack_patient
from pipeline.scan.columns import joined

SALT_BYTES = 16
_PATIENT = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate")
_STUDY = ("StudyDate", "AccessionNumber")
_SERIES = ("SeriesNumber",)
KEYWORDS = (*_PATIENT, *_STUDY, *_SERIES)
"""Keywords whose values are hashed."""
_NAME_GROUPS = 3
_DATE = re.compile(r"([0-9]{4})[-./: ]?([0-9]{2})[-./: ]?([0-9]{2})")
_KEPT = 1024
"""Number of patients whose hashes are cached for their next files."""


def make_salt() -> bytes:
    """Return a new random key for :func:`patient_of`; only hashes with the same key can be compared."""
    return token_bytes(SALT_BYTES)


def patient_of(values: Mapping[str, Any], salt: bytes, *, study: bool, series: bool) -> bytes:
    """Return the hashes of the values that distinguish a file's patient, see :class:`pipeline.model.Instance`.

    Values are compared as people read them: ignoring case, surrounding spaces, and the width and composition of letters
    (Unicode's NFKC). Empty components of names (PS3.5 6.2.1) don't count; dates in the forms of DA and of ACR-NEMA (PS3.5 6.2) are
    equal. An issuer counts only together with an ID.

    Parameters
    ----------
    values : mapping
        Keyword → plain value, for the :data:`KEYWORDS`; a value that can't be converted is given as text.
    salt : bytes
        The key.
    study, series : bool
        Whether the file has a Study and a Series Instance UID, which then distinguish studies and series.
    """
    left_out = (*(_STUDY if study else ()), *(_SERIES if series else ()))
    return _hashes(salt, tuple("" if keyword in left_out else joined(values.get(keyword)) for keyword in KEYWORDS))


@lru_cache(_KEPT)
def _hashes(salt: bytes, texts: tuple[str, ...]) -> bytes:
    number, issuer, name, birth_date, study_date, *others = texts
    number = _plain(number)
    patient = (number, _plain(issuer) if number else "", *_name(name), _date(birth_date), _date(study_date))
    return pack_patient([_hash(salt, field, text) for field, text in enumerate((*patient, *map(_plain, others)))])


def _hash(salt: bytes, field: int, text: str) -> bytes:
    if not text:
        return b""
    return blake2b(
        text.encode("utf-8", "surrogatepass"), digest_size=PATIENT_HASH_BYTES, key=salt, person=bytes([field])
    ).digest()


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().replace("\0", " ").split())


def _name(text: str) -> list[str]:
    """Return a name's component groups: alphabetic, ideographic, phonetic, each without empty components."""
    groups = ["^".join(filter(None, map(_plain, group.split("^")))) for group in text.split("=", _NAME_GROUPS - 1)]
    return groups + [""] * (_NAME_GROUPS - len(groups))


def _date(text: str) -> str:
    """Return a date in the form of DA, another text unchanged, and an empty text for zeros, which mean an unknown date."""
    match = _DATE.fullmatch(_plain(text))
    date = "".join(match.groups()) if match else _plain(text)
    return date if date.strip("0") else ""
