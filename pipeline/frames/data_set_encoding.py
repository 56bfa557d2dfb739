"""Transfer syntaxes: their names, and the recognition of undeclared encodings."""

from __future__ import annotations

import struct

from pydicom.datadict import dictionary_has_tag
from pydicom.uid import UID
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, VR

from pipeline.model import syntaxes

_VRS = {vr.value.encode() for vr in VR if len(vr.value) == 2}  # noqa: PLR2004  not "OB or OW" and the like
_LONG = {str(vr).encode() for vr in EXPLICIT_VR_LENGTH_32}
_UNDEFINED = 0xFFFFFFFF
_LAST_FIRST_GROUP = 0xFF
"""Highest group of a data set's first element: 0002, 0004, 0008, …"""


def transfer_syntax_name(uid: str) -> str:
    """Return the standard's name of a transfer syntax, or the UID itself without a name."""
    known = syntaxes.BY_UID.get(uid)
    return known.name if known else str(UID(uid).name) if uid else ""


def guess_syntax(head: bytes) -> str:
    """Return the transfer syntax UID of a data set that begins with `head` and declares none.

    The default is Implicit VR Little Endian (PS3.5 10.1). A value representation in the first element means explicit VR; a first
    group that is low only with swapped bytes means big endian.
    """
    if head[4:6] not in _VRS:
        return syntaxes.IMPLICIT
    return syntaxes.BIG_ENDIAN if head[1:2] and head[0] == 0 and head[1] else syntaxes.EXPLICIT


def looks_like_dicom(head: bytes, size: int) -> bool:
    """Return whether a file without preamble begins like a DICOM data set.

    Parameters
    ----------
    head : bytes
        The file's beginning, some hundreds of bytes.
    size : int
        Bytes in the whole file.
    """
    layouts = ((False, "<"), (False, ">"), (True, "<"))
    return any(_plausible(head, size, implicit=implicit, order=order) for implicit, order in layouts)


def _plausible(head: bytes, size: int, *, implicit: bool, order: str) -> bool:
    """Return whether the first two elements have known tags in rising order and lengths that fit into the file."""
    first = _element(head, 0, implicit=implicit, order=order)
    if first is None or not _fits(*first[1:], size) or first[0] >> 16 > _LAST_FIRST_GROUP:
        return False
    tag, value, length = first
    if not (dictionary_has_tag(tag) or (tag & 0xFFFF == 0 and length == struct.calcsize("<L"))):
        return False
    if length == _UNDEFINED or value + length + 8 > min(len(head), size):
        return True
    # The file meta information is explicit, the data set after it may be implicit; the command set is always implicit.
    second = _element(head, value + length, implicit=implicit, order=order)
    return second is not None and second[0] > tag and _fits(*second[1:], size)


def _element(head: bytes, start: int, *, implicit: bool, order: str) -> tuple[int, int, int] | None:
    """Return ``(tag, value offset, length)``; None if `head` is too short or the VR is unknown."""
    if len(head) < start + 12:
        return None
    group, element, length = struct.unpack_from(f"{order}HHL", head, start)
    tag = group << 16 | element
    if implicit:
        return tag, start + 8, length
    vr = head[start + 4 : start + 6]
    if vr not in _VRS:
        return None
    if vr in _LONG:
        return tag, start + 12, struct.unpack_from(f"{order}L", head, start + 8)[0]
    return tag, start + 8, struct.unpack_from(f"{order}H", head, start + 6)[0]


def _fits(value: int, length: int, size: int) -> bool:
    return length == _UNDEFINED or value + length <= size
