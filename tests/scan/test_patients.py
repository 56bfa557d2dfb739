"""What the scan keeps of a file's patient: hashes that agree where people would, and that say nothing."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from pipeline.config import from_dict
from pipeline.model.patient_hashes import PATIENT_ATTRIBUTES, PATIENT_HASH_BYTES, unpack_patient
from pipeline.scan import find_files, make_salt, scan_batch
from pipeline.storage import OutputDir
from support.dicom_bytes import BIG, IMPLICIT, native_file

UIDS = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4"}
LATIN, JAPANESE, UTF8 = "ISO_IR 100", "\\\\ISO 2022 IR 87", "ISO_IR 192"
SALT = b"of these tests"


def patients(folder: Path, *files: dict, salt: bytes = SALT, **sections) -> list[bytes]:
    """Return what is kept of each file, given as its attributes."""
    folder.mkdir(exist_ok=True)
    for number, values in enumerate(files):
        syntax = values.pop("syntax", None)
        data = native_file(bytes(16), **({"syntax": syntax} if syntax else {}), **UIDS | values)
        (folder / f"{number:03}").write_bytes(data)
    config = from_dict({"source": {"paths": [str(folder)]}, "output": {"path": str(folder / "out")}, **sections})
    found = scan_batch(list(find_files([str(folder)])), config, OutputDir.of(folder.with_name("out")), 0, salt=salt)
    assert len(found.instances) == len(files)
    return [one.patient for one in sorted(found.instances, key=lambda one: one.source)]


SAME = {
    "an ID": [
        *({"PatientID": "abc 12"}, {"PatientID": " ABC 12 "}, {"PatientID": b"Abc 12\0"}, {"PatientID": "abc  12"}),
        *({"PatientID": "abc 12", "syntax": BIG}, {"PatientID": "abc 12", "syntax": IMPLICIT}),
    ],
    "a name": [
        {"PatientName": name}
        for name in ("Doe^John", "DOE^JOHN", " doe ^ john ", "Doe^John^^^", "Doe^John^^^==", "Doe^^John", b"Doe^John\0")
    ],
    "a name in other character sets": [
        {"SpecificCharacterSet": LATIN, "PatientName": "Müller^Äöß".encode("latin-1")},
        {"SpecificCharacterSet": UTF8, "PatientName": "Müller^Äöß".encode()},
        {"SpecificCharacterSet": UTF8, "PatientName": "MU\u0308LLER^a\u0308o\u0308ß".encode()},
    ],
    "a name in ideographs": [
        {"SpecificCharacterSet": UTF8, "PatientName": "Yamada^Tarou=山田^太郎".encode()},
        {
            "SpecificCharacterSet": JAPANESE,
            "PatientName": b"Yamada^Tarou=" + "山田".encode("iso2022_jp") + b"^" + "太郎".encode("iso2022_jp"),
        },
        {"SpecificCharacterSet": UTF8, "PatientName": "\uff39\uff21\uff2d\uff21\uff24\uff21^Tarou=山田^太郎=".encode()},
    ],
    "a birth date": [{"PatientBirthDate": date} for date in ("19700102", "1970.01.02", "1970-01-02", b"19700102\0\0")],
    "nobody": [
        *({}, {"PatientID": ""}, {"PatientID": "  "}, {"PatientName": "^^^^"}, {"PatientName": "=="}),
        *({"PatientBirthDate": ""}, {"PatientBirthDate": "00000000"}, {"IssuerOfPatientID": "somebody"}),
        *({"StudyDate": "20240101"}, {"AccessionNumber": "A1"}, {"SeriesNumber": "3"}),
    ],
}
OTHERS = {
    "an ID": [{"PatientID": name} for name in ("1", "01", "2", "1\\\\2", "l")],
    "an issuer": [{"PatientID": "1", "IssuerOfPatientID": name} for name in ("A", "B")],
    "a name": [{"PatientName": name} for name in ("Doe^John", "Doe^Jon", "Doe^John^M", "John^Doe", "Doe John")],
    "an ideographic name": [
        {"SpecificCharacterSet": UTF8, "PatientName": f"Yamada={written}={sound}".encode()}
        for written, sound in (("山田", "やまだ"), ("山多", "やまだ"), ("山田", "やまた"))
    ],
    "a birth date": [{"PatientBirthDate": date} for date in ("19700102", "19700201", "1970", "not known")],
}


@pytest.mark.parametrize("kind", SAME)
def test_spellings_of_one_value_agree(tmp_path: Path, kind: str) -> None:
    found = patients(tmp_path / "in", *SAME[kind])
    assert len(set(found)) == 1
    assert (found[0] == b"") == (kind == "nobody")


@pytest.mark.parametrize("kind", OTHERS)
def test_other_values_contradict_each_other(tmp_path: Path, kind: str) -> None:
    found = [unpack_patient(one) for one in patients(tmp_path / "in", *OTHERS[kind])]
    for one, other in combinations(found, 2):
        assert any(a and b and a != b for a, b in zip(one, other, strict=True))


def test_where_the_uids_are_missing_dates_and_numbers_tell_too(tmp_path: Path) -> None:
    values = {"StudyDate": "2024.01.01", "AccessionNumber": "a 1", "SeriesNumber": "3"}
    none, study, series, both = (
        [place for place, one in enumerate(unpack_patient(patient)) if one]
        for patient in patients(
            tmp_path / "in",
            dict(values),
            values | {"StudyInstanceUID": ""},
            values | {"SeriesInstanceUID": None},
            values | {"StudyInstanceUID": None, "SeriesInstanceUID": None},
        )
    )
    names = [[PATIENT_ATTRIBUTES[place] for place in places] for places in (none, study, series, both)]
    assert names == [
        [],
        ["Study Date", "Accession Number"],
        ["Series Number"],
        ["Study Date", "Accession Number", "Series Number"],
    ]


def test_settings_of_what_is_collected_do_not_matter(tmp_path: Path) -> None:
    values = {"PatientID": "1", "PatientName": "Doe"}
    plain = patients(tmp_path / "in", dict(values))
    sections = {"metadata": {"header": "none", "keywords": ["PatientName"]}, "select": {"where": {"Modality": "OT"}}}
    assert patients(tmp_path / "in", dict(values), **sections) == plain


def test_a_value_that_cannot_be_converted_is_compared_by_its_bytes(tmp_path: Path) -> None:
    one, other, same = patients(
        tmp_path / "in",
        *({"SeriesInstanceUID": None, "SeriesNumber": text, "PatientID": "1"} for text in ("x", "y", "x")),
    )
    assert one == same != other


def test_hashes_say_nothing_and_agree_under_one_salt_only(tmp_path: Path) -> None:
    values = {"PatientID": "4711", "PatientName": "4711", "PatientBirthDate": "19700102"}
    (one,), (again,) = (patients(tmp_path / "in", dict(values)) for _ in range(2))
    salted = {patients(tmp_path / "in", dict(values), salt=make_salt())[0] for _ in range(3)}
    assert one == again
    assert len(salted | {one}) == 4
    parts = [part for part in unpack_patient(one) if part]
    assert len({*parts}) == 3, "one value in two attributes has two hashes"
    assert all(len(part) == PATIENT_HASH_BYTES for part in parts)
    assert len({patients(tmp_path / "in", dict(values), salt=b"")[0] for _ in range(2)}) == 2, "never without a salt"


def test_one_patient_is_one_object(tmp_path: Path) -> None:
    found = patients(tmp_path / "in", *({"PatientID": "1"} for _ in range(5)))
    assert len({id(one) for one in found}) == 1
