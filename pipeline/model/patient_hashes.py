"""Who a file is of, without saying it: keyed hashes that can be compared, of values that can't be read back."""

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
"""What the hashes in :attr:`Instance.patient` are of, in their order. A name has three: PS3.5 6.2.1.2 lets it be written in
letters, in ideographs and by its sound. The last three tell studies and series apart where a file lacks their UIDs."""
_ABSENT = bytes(PATIENT_HASH_BYTES)


def pack_patient(hashes: list[bytes]) -> bytes:
    """Return hashes of the :data:`PATIENT_ATTRIBUTES` as one value; an empty one stands for an attribute that isn't there."""
    return b"".join(one or _ABSENT for one in hashes).rstrip(b"\0")


def unpack_patient(patient: bytes) -> tuple[bytes, ...]:
    """Return the hash of each of the :data:`PATIENT_ATTRIBUTES`, empty where it isn't there."""
    whole = patient.ljust(PATIENT_HASH_BYTES * len(PATIENT_ATTRIBUTES), b"\0")
    parts = (whole[start : start + PATIENT_HASH_BYTES] for start in range(0, len(whole), PATIENT_HASH_BYTES))
    return tuple(b"" if part == _ABSENT else part for part in parts)
