"""The patient of a file as keyed hashes: they can be compared, but the values can't be read back."""

from __future__ import annotations

PATIENT_HASH_BYTES = 8
"""Bytes of one hash."""
PATIENT_ATTRIBUTES = (
    "Patient ID",
    "Issuer of Patient ID",
    "Patient's Name",
    "Patient's Name",
    "Patient's Name",
    "Patient's Birth Date",
    "Study Date",
    "Accession Number",
    "Series Number",
)
"""The attributes that :attr:`Instance.patient` holds hashes of, in order. A name has three hashes: PS3.5 6.2.1.2 lets it be
written in letters, in ideographs and by its sound. The last three attributes tell studies and series apart in files without UIDs."""
_ABSENT = bytes(PATIENT_HASH_BYTES)


def pack_patient(hashes: list[bytes]) -> bytes:
    """Return hashes of the :data:`PATIENT_ATTRIBUTES` as one value; an empty hash stands for a missing attribute."""
    return b"".join(value or _ABSENT for value in hashes).rstrip(b"\0")


def unpack_patient(patient: bytes) -> tuple[bytes, ...]:
    """Return the hash of each of the :data:`PATIENT_ATTRIBUTES`; empty if the attribute is missing."""
    whole = patient.ljust(PATIENT_HASH_BYTES * len(PATIENT_ATTRIBUTES), b"\0")
    parts = (whole[start : start + PATIENT_HASH_BYTES] for start in range(0, len(whole), PATIENT_HASH_BYTES))
    return tuple(b"" if part == _ABSENT else part for part in parts)
