"""The one table of transfer syntaxes, against pydicom's dictionary."""

from __future__ import annotations

import re
from pathlib import Path

import pydicom.uid
import pytest
from pydicom.uid import UID, UID_dictionary

from pipeline import codecs
from pipeline.model import syntaxes

NEWER = {syntax.uid for syntax in syntaxes.SYNTAXES if syntax.keyword}
SOURCES = sorted((Path(__file__).parents[2] / "pipeline").rglob("*.py"))


def test_all_of_pydicoms_are_there_under_their_names() -> None:
    named = {uid: entry[0] for uid, entry in UID_dictionary.items() if entry[1] == "Transfer Syntax"}
    assert named == {uid: syntax.name for uid, syntax in syntaxes.BY_UID.items()}


@pytest.mark.parametrize("uid", [*syntaxes.BY_UID, "1.2.840.10008.5.1.4.1.1.2", "1.2.3", "no UID", ""])
def test_encodings_are_those_that_pydicom_knows(uid: str) -> None:
    try:
        expected = (UID(uid).is_implicit_VR, UID(uid).is_little_endian, UID(uid).is_encapsulated)
    except ValueError:
        expected = (False, True, True)
    assert (*syntaxes.encoding_of(uid), syntaxes.is_encapsulated(uid)) == expected


def test_families_are_those_that_pydicom_knows() -> None:
    family = syntaxes.Family
    assert syntaxes.of_families(family.JPEG) == set(pydicom.uid.JPEGTransferSyntaxes)
    assert syntaxes.of_families(family.JPEG_LS) == set(pydicom.uid.JPEGLSTransferSyntaxes)
    assert set(pydicom.uid.JPEG2000TransferSyntaxes) == syntaxes.ANY_JPEG_2000
    assert syntaxes.of_families(family.RLE) == set(pydicom.uid.RLETransferSyntaxes)
    undecoded = syntaxes.of_families(family.NATIVE, family.PART_2)
    assert codecs.fast_transfer_syntaxes == {syntax.uid for syntax in syntaxes.SYNTAXES} - undecoded


def test_lossless_ones_are_called_so() -> None:
    called = {
        syntax.uid for syntax in syntaxes.SYNTAXES if re.search("Lossless|RLE|Little|Big|Deflated|Recomp", syntax.name)
    }
    assert called - {syntaxes.JPEG_LS_NEAR_LOSSLESS} == {syntax.uid for syntax in syntaxes.SYNTAXES if not syntax.lossy}
    assert all(syntaxes.BY_UID[uid].lossy for uid in syntaxes.LOSSY_JPEG | syntaxes.LOSSY_JPEG_2000)


def test_no_other_module_writes_one_down() -> None:
    found = [path.name for path in SOURCES if re.search(r"1\.2\.840\.10008\.1\.2(?![0-9])", path.read_text("utf-8"))]
    assert found == ["syntaxes.py"]
    named = [
        path.name
        for path in SOURCES
        if re.search(r"from pydicom\.uid import (?!UID$)", path.read_text("utf-8"), re.MULTILINE)
    ]
    assert named == []
