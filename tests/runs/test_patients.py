"""Files of several patients under the same UIDs, or without any: converted, continued and opened."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline import catalog, runs
from pipeline.config import Cluster, from_dict
from pipeline.runs import scan_phase
from pipeline.storage import OutputDir
from support.converted_folders import Converted, convert, invoke
from support.dicom_bytes import native_file
from support.identical_results import assert_identical

NO_UIDS = {"StudyInstanceUID": None, "SeriesInstanceUID": None}
CONSTANT = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4"}
HERE = Cluster(kind="synchronous")
NOTE = "not in one image with all files of its Series Instance UID: these differ in "
FIRST = {"PatientID": "TEST0", "StudyDate": "20240101"}
SECOND = {"PatientID": "TEST1", "StudyDate": "20240102"}


def pixels(number: int) -> np.ndarray:
    return np.arange(number, number + 16, dtype=np.uint8).reshape(4, 4)


def one(number: int, **values: Any) -> bytes:
    """Return a slice with different pixels from all others."""
    values = {"SOPInstanceUID": f"1.2.9.{number}", "InstanceNumber": number} | values
    geometry = {"ImagePositionPatient": f"0\\0\\{number}", "ImageOrientationPatient": "1\\0\\0\\0\\1\\0"}
    return native_file(pixels(number).tobytes(), **geometry, **values)


def mixed(first: Mapping[str, Any] = FIRST, second: Mapping[str, Any] = SECOND, **all_have: Any) -> dict[str, bytes]:
    """Six slices, alternately of two patients."""
    return {f"p{n % 2}_{n}": one(n, **(second if n % 2 else first), **all_have) for n in range(6)}


def images(found: Converted) -> dict[str, set[str]]:
    """The names of the files of each image."""
    members: dict[str, set[str]] = {}
    for name, row in found.rows.items():
        members.setdefault(row["image"].rsplit("/", 1)[1], set()).add(name)
    return members


def check(found: Converted) -> None:
    for name in found.rows:
        np.testing.assert_array_equal(found.frames(name)[0], pixels(int(name.rsplit("_", 1)[-1])))


EVENS, ODDS = {"p0_0", "p0_2", "p0_4"}, {"p1_1", "p1_3", "p1_5"}


@pytest.mark.parametrize(
    ("first", "second", "uids", "differing"),
    [
        (FIRST, SECOND, NO_UIDS, "Patient ID, Study Date"),
        (FIRST, SECOND, CONSTANT, "Patient ID"),
        ({"PatientName": "Doe^John"}, {"PatientName": "Doe^Jane"}, CONSTANT, "Patient's Name"),
        ({"PatientBirthDate": "19700101"}, {"PatientBirthDate": "1971.01.01"}, CONSTANT, "Patient's Birth Date"),
        (
            {"PatientID": "1", "IssuerOfPatientID": "A"},
            {"PatientID": "1", "IssuerOfPatientID": "B"},
            CONSTANT,
            "Issuer of Patient ID",
        ),
        ({"AccessionNumber": "1"}, {"AccessionNumber": "2"}, NO_UIDS, "Accession Number"),
        ({"SeriesNumber": "1"}, {"SeriesNumber": "2"}, CONSTANT | {"SeriesInstanceUID": ""}, "Series Number"),
    ],
)
def test_each_patient_gets_an_image_and_each_row_says_why(tmp_path: Path, first, second, uids, differing) -> None:
    found = convert(tmp_path / "in", mixed(first, second, **uids))
    assert images(found) == {"stack-1": EVENS, "stack-2": ODDS}
    check(found)
    assert all(row["assumptions"].endswith(NOTE + differing) for row in found.rows.values())
    remark = f"6 files could be in one image with others by their Series Instance UID, but differ in {differing} and"
    assert unescape(found.told).count(remark) == 2, "on the terminal and in the report"
    (told,) = json.loads((found.out / "report.json").read_text())["remarks"]
    assert told.startswith(remark)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (FIRST | {"PatientName": "Doe^John"}, {"PatientID": " test0", "PatientName": "DOE^JOHN^^"}),
        (FIRST, {}),
        ({"AccessionNumber": "1"}, {"AccessionNumber": "2"}),  # one study may have several
    ],
)
def test_files_of_one_patient_stay_together(tmp_path: Path, first, second) -> None:
    found = convert(tmp_path / "in", mixed(first, second, **CONSTANT))
    assert images(found) == {"stack-1": EVENS | ODDS}
    check(found)
    assert not any(row["assumptions"] for row in found.rows.values())
    assert "could be in one image" not in found.told


def test_a_file_that_fits_to_both_goes_with_neither(tmp_path: Path) -> None:
    found = convert(tmp_path / "in", mixed(**CONSTANT) | {"x_6": one(6, **CONSTANT), "x_7": one(7, **CONSTANT)})
    assert images(found) == {"stack-1": EVENS, "stack-2": ODDS, "stack-3": {"x_6", "x_7"}}
    check(found)


def test_one_sop_instance_uid_for_all_and_copies(tmp_path: Path) -> None:
    files = mixed(**CONSTANT, SOPInstanceUID="1.2.9")
    found = convert(tmp_path / "in", files | {"copy_0": files["p0_0"]})
    copies = [name for name, row in found.rows.items() if row["reason"] == "duplicate"]
    assert len(copies) == 1
    assert {copies[0]} <= {"copy_0", "p0_0"}
    del found.rows[copies[0]]
    assert all(len(members) == 1 for members in images(found).values()), "files that share a UID are stored apart"
    check(found)


def test_with_an_image_per_file_nothing_is_kept_apart(tmp_path: Path) -> None:
    found = convert(tmp_path / "in", mixed(**CONSTANT), "--set", "output.grouping=instance")
    assert len(images(found)) == 6
    assert not any(row["assumptions"] for row in found.rows.values())


def test_planning_reports_it_beforehand(tmp_path: Path) -> None:
    found = convert(tmp_path / "in", mixed(**CONSTANT))
    told = invoke("plan", str(found.out / "run.yaml"))
    assert "6 files could be in one image with others" in told.output
    assert told.output.count("stack-") == 2


def test_stored_hashes_cannot_be_read_back(tmp_path: Path) -> None:
    secrets = ("Unmistakable^Zaphod", "PID-4711", "Issuer-0815", "19011231")
    first = dict(zip(("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate"), secrets, strict=True))
    found = convert(tmp_path / "in", mixed(first, SECOND, **CONSTANT), "--set", "metadata.header=none")
    tables = [path for path in (found.out / "plan").rglob("*.parquet") if path.parent.name != "segments"]
    assert len(tables) > 5
    kept = "".join(str(pq.read_table(path).to_pylist()) for path in tables)
    kept += (found.out / "plan" / "plan.json").read_text()
    kept += "".join(path.read_text() for path in (found.out / "ledger").glob("*.jsonl"))
    assert [secret for text in secrets for secret in (text, text.casefold()) if secret in kept] == []
    assert not (found.out / "plan" / "scanned").exists()


def test_every_output_has_a_salt_of_its_own_and_the_same_result(tmp_path: Path) -> None:
    found, other = convert(tmp_path / "in", mixed(**CONSTANT)), tmp_path / "other"
    pipeline.convert(found.folder, other, cluster={"kind": "threads", "workers": 2})
    assert_identical(found.out, other)
    facts = [catalog.read_facts(OutputDir.of(out)) for out in (found.out, other)]
    assert facts[0]["salt"] != facts[1]["salt"]
    assert {len(bytes.fromhex(fact["salt"])) for fact in facts} == {16}
    kept = [
        {instance.patient for instance in catalog.read_plan(OutputDir.of(out)).instances} for out in (found.out, other)
    ]
    assert len(kept[0]) == len(kept[1]) == 2
    assert kept[0].isdisjoint(kept[1])


def test_jobs_of_an_array_leave_the_same(tmp_path: Path) -> None:
    whole = convert(tmp_path / "in", mixed(**CONSTANT))
    values = {"source": {"paths": [str(whole.folder)]}, "output": {"path": str(tmp_path / "array")}}
    parts = runs.init(from_dict(values | {"cluster": {"kind": "synchronous"}}), partitions=2)
    for number in range(len(parts)):
        runs.convert_partition(tmp_path / "array", number)
    runs.finalize(tmp_path / "array", cluster=HERE)
    assert_identical(whole.out, tmp_path / "array")


def test_files_that_come_later_are_compared_with_those_that_are_there(tmp_path: Path) -> None:
    files = mixed(**CONSTANT)
    first = convert(tmp_path / "in", {name: files[name] for name in ("p0_0", "p0_2")})
    stored = {path: path.stat().st_mtime_ns for path in (first.out / "images.zarr").rglob("stack-1/pixels/c/**/*")}
    grown = convert(first.folder, {name: files[name] for name in ODDS})
    assert images(grown) == {"stack-1": {"p0_0", "p0_2"}, "stack-2": ODDS}
    assert {path: path.stat().st_mtime_ns for path in stored} == stored
    whole = convert(first.folder, {"p0_4": files["p0_4"]})
    assert images(whole) == {"stack-1": EVENS, "stack-2": ODDS}
    check(whole)
    assert convert(first.folder, {}).result.output.count("Nothing was written") == 1


def test_a_plan_of_an_earlier_version_takes_no_more_files(tmp_path: Path) -> None:
    files = mixed(**CONSTANT)
    first = convert(tmp_path / "in", {name: files[name] for name in EVENS})
    seal = first.out / "plan" / "plan.json"
    facts = json.loads(seal.read_text())
    del facts["facts"]["salt"]
    seal.write_text(json.dumps(facts))
    assert convert(first.folder, {}).result.exit_code == 0
    refused = convert(first.folder, {"p1_1": files["p1_1"]}).result
    assert refused.exit_code == 2
    assert "which kept nothing that tells patients apart: files can't be added" in refused.stderr


@pytest.mark.parametrize("lost", [False, True])
def test_a_scan_that_goes_on_compares_with_what_it_has_read(tmp_path: Path, lost, monkeypatch) -> None:
    monkeypatch.setattr(scan_phase, "BATCHES", ((1, 1000),))
    result, left = scan_phase._result, [3]

    def interrupted(*given):
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        return result(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan_phase, "_result", interrupted)
        first = convert(tmp_path / "in", mixed(**CONSTANT))
    assert first.result.exit_code == 130
    salt = first.out / "plan" / "scanned" / "salt"
    assert len(salt.read_bytes()) == 16
    if lost:
        salt.unlink()
    found = convert(first.folder, {})
    assert images(found) == {"stack-1": EVENS, "stack-2": ODDS}
    assert ("had been read by an earlier scan" in found.result.output + found.result.stderr) == (not lost)


def test_a_folder_that_is_opened_without_converting_it(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("pipeline.access.dicom_folders.BATCH", 2)
    found = convert(tmp_path / "in", mixed(**CONSTANT))
    opened = pipeline.open_dicom(found.folder)
    assert sorted(len(opened[name].sop_instance_uid) for name in opened) == [3, 3]
