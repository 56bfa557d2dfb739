"""Who a file is of, as keyed hashes: enough to tell two patients apart, and nothing that names them.

Files of different patients come under one Series Instance UID where somebody removed the UIDs, or wrote the same ones into
all files. What is left then are Patient ID, name and birth date; where the UIDs aren't there at all, also the dates and
numbers of study and series. The plan needs to know whether they differ, never what they are.
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
"""What is read of a header for this."""
_NAME_GROUPS = 3
_DATE = re.compile(r"([0-9]{4})[-./: ]?([0-9]{2})[-./: ]?([0-9]{2})")
_KEPT = 1024
"""Patients of which the hashes are kept, for the next file that is theirs."""


def make_salt() -> bytes:
    """Return a new random key for :func:`patient_of`: hashes can be compared under the same one only."""
    return token_bytes(SALT_BYTES)


def patient_of(values: Mapping[str, Any], salt: bytes, *, study: bool, series: bool) -> bytes:
    """Return the hashes of what tells a file's patient, see :class:`pipeline.model.Instance`.

    Values are compared as people read them: without regard to case, to the spaces around them and to how wide or how composed
    their letters are (Unicode's NFKC). Names (PS3.5 6.2.1) without their empty components; dates in the form of today's DA and
    in that of ACR-NEMA (PS3.5 6.2). An issuer counts only beside the ID that it issued.

    Parameters
    ----------
    values : mapping
        Keyword → plain value, of the :data:`KEYWORDS`; a value that can't be converted as its text.
    salt : bytes
        The key.
    study, series : bool
        Whether the file has a Study and a Series Instance UID: where it has, these tell studies and series apart.
    """
    left_out = (*(_STUDY if study else ()), *(_SERIES if series else ()))
    return _hashes(salt, tuple("" if keyword in left_out else joined(values.get(keyword)) for keyword in KEYWORDS))


@lru_cache(_KEPT)
def _hashes(salt: bytes, texts: tuple[str, ...]) -> bytes:
    number, issuer, name, birth_date, study_date, *others = texts
    number = _plain(number)
    told = (number, _plain(issuer) if number else "", *_name(name), _date(birth_date), _date(study_date))
    return pack_patient([_hash(salt, place, text) for place, text in enumerate((*told, *map(_plain, others)))])


def _hash(salt: bytes, place: int, text: str) -> bytes:
    if not text:
        return b""
    return blake2b(
        text.encode("utf-8", "surrogatepass"), digest_size=PATIENT_HASH_BYTES, key=salt, person=bytes([place])
    ).digest()


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().replace("\0", " ").split())


def _name(text: str) -> list[str]:
    """Return a name's component groups: alphabetic, ideographic, phonetic, each without empty components."""
    groups = ["^".join(filter(None, map(_plain, group.split("^")))) for group in text.split("=", _NAME_GROUPS - 1)]
    return groups + [""] * (_NAME_GROUPS - len(groups))


def _date(text: str) -> str:
    """Return a date as DA has it, a text that is none as it is; nothing of zeros, which stand for a date that isn't known."""
    found = _DATE.fullmatch(_plain(text))
    date = "".join(found.groups()) if found else _plain(text)
    return date if date.strip("0") else ""
