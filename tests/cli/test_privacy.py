"""No patient in logs, on the screen, in reports, in the ledger: not of good files, and not of damaged ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from pydicom import dcmread
from pydicom.data import get_testdata_file

import pipeline
from pipeline.cli import main
from pipeline.errors import OutputError, foreign_text
from support.dicom_bytes import EXPLICIT, PIXEL_DATA, attributes, element, header, meta, native_file

PATIENT = {
    "PatientName": "Unmistakable^Zaphod",
    "PatientID": "PID-4711-Slartibart",
    "PatientBirthDate": "19011231",
    "PatientAddress": "Nowhere-Lane 42",
    "OtherPatientNames": "Beeblebrox^Arthur",
    "ReferringPhysicianName": "Marvin^Robot",
    "PatientComments": "Confidential-Remark",
    "InstitutionName": "Hospital-Of-Secrets",
}
SECRETS = [*PATIENT.values(), "Unmistak", "UNMISTAK", "Zaphod", "Beeblebrox", "Slartibart"]
INSPECTED = ("02001000.dcm", "08001600.dcm", "28000400.dcm", "two-names.dcm", "text-1.dcm")
"""Those with a name where ``inspect`` shows what is in the header."""


def here(*arguments: str) -> str:
    """Run the command in this process, as loud as it gets; return all that it prints."""
    done = CliRunner().invoke(main, [*arguments, "-v", "-v"], env={"COLUMNS": "300"})
    assert done.exit_code in {0, 1}, done.output
    return done.output


def elsewhere(*arguments: str) -> str:
    """The same in a process of its own, with what libraries and worker processes print."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    command = [sys.executable, "-m", "pipeline.cli", *arguments, "-v", "-v"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode in {0, 1}, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good file, and files with all kinds of damage, each of the same patient."""
    root = tmp_path_factory.mktemp("privacy")
    source = root / "in"
    source.mkdir()
    ds = dcmread(get_testdata_file("CT_small.dcm", download=False))
    for keyword, value in PATIENT.items():
        setattr(ds, keyword, value)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.5"
    ds.save_as(source / "good.dcm")
    data = (source / "good.dcm").read_bytes()
    (source / "cut.dcm").write_bytes(data[:-5000])
    (source / "cut-in-header.dcm").write_bytes(data[: data.index(b"Zaphod") + 3])
    name = data.index(b"Unmistakable")
    (source / "wrong-length.dcm").write_bytes(data[: name - 2] + b"\xff\x7f" + data[name:])
    # a name where a date, a number or the like belongs
    numbers = (b"\x28\x00\x10\x00US", b"\x28\x00\x00\x01US", b"\x28\x00\x03\x01US", b"\x20\x00\x32\x00DS")
    for tag in (
        *(b"\x10\x00\x30\x00DA", b"\x20\x00\x13\x00IS", b"\x28\x00\x30\x00DS", b"\x28\x00\x53\x10DS", *numbers),
        *(b"\x28\x00\x04\x00CS", b"\x02\x00\x10\x00UI", b"\x08\x00\x16\x00UI", b"\x08\x00\x05\x00CS"),
    ):
        at = data.index(tag) + 6
        length = int.from_bytes(data[at : at + 2], "little")
        (source / f"{tag[:4].hex()}.dcm").write_bytes(data[:at] + b"\x0c\x00UNMISTAKABLE" + data[at + 2 + length :])
    (source / "two-names.dcm").write_bytes(native_file(bytes(16), PhotometricInterpretation="Zaphod\\Unmistakable"))
    texts = (element(0x00280010, "LO", "Unmistakable"), element(0x00280008, "LO", "Zaphod\\Beeblebrox"))
    for number, text in enumerate(texts):
        missing = "Rows" if number == 0 else "NumberOfFrames"
        values = {name: value for name, value in attributes().items() if name != missing}
        data = header(values) + text + element(PIXEL_DATA, "OW", bytes(16))
        (source / f"text-{number}.dcm").write_bytes(meta(EXPLICIT) + data)
    (source / "no-dicom.dcm").write_bytes(b"Unmistakable^Zaphod " * 50)
    return root


@pytest.mark.parametrize(("command", "cluster"), [(here, "synchronous"), (elsewhere, "local")])
def test_no_patient_is_told_of(folder: Path, command: Callable[..., str], cluster: str) -> None:
    out = folder / f"out-{cluster}"
    where = ("--cluster", cluster, "--workers", "1")
    told = command("convert", str(folder / "in"), str(out), *where)
    told += command("verify", str(out), "--source", *where)
    for path in (out, folder / "in", *(folder / "in").iterdir()):
        told += "" if path.name in INSPECTED else here("inspect", str(path))
    written = [out / name for name in ("report.json", "report.html", "run.yaml", "verify.json")]
    written += (path for path in (out / "ledger").iterdir() if path.suffix == ".jsonl")
    told += "\n".join(path.read_text("utf-8") for path in written)
    told += str(pq.read_table(out / "catalog.parquet", columns=["reason", "message", "assumptions"]).to_pylist())
    assert "cut.dcm" in told
    assert "pixel_data_too_short" in told
    assert [secret for secret in SECRETS if secret in told] == []


def test_a_changed_header_is_told_without_its_values(folder: Path) -> None:
    out, good = str(folder / "out-changed"), folder / "in" / "good.dcm"
    here("convert", str(good), out, "--cluster", "synchronous")
    before = good.read_bytes()
    good.write_bytes(before.replace(b"Beeblebrox", b"BEEBLEBROX"))
    try:
        told = here("verify", out, "--source", "--cluster", "synchronous")
    finally:
        good.write_bytes(before)
    assert "header_differs" in told
    assert [secret for secret in (*SECRETS, "BEEBLEBROX") if secret in told] == []


def test_names_of_folders_and_files_are_on_the_terminal_only(tmp_path: Path) -> None:
    source, out = tmp_path / "Beeblebrox" / "Zaphod 1901", tmp_path / "Slartibart-out"
    files = {
        "Zaphod-cut.dcm": native_file(bytes(16), rows=5),
        "good.dcm": native_file(bytes(16)),
        "Zaphod.txt": b"no DICOM",
    }
    source.mkdir(parents=True)
    for name, data in files.items():
        (source / name).write_bytes(data)
    convert = ("convert", str(source), str(out), "--cluster", "synchronous")
    assert str(source / "Zaphod-cut.dcm") in here(*convert)
    texts = [(out / name).read_text("utf-8") for name in ("report.json", "report.html")]
    assert [secret for secret in (*SECRETS, "1901") for text in texts if secret in text] == []
    (failure,) = json.loads(texts[0])["failures"]
    assert pipeline.open(out).catalog.source[failure["catalog_row"]] == str(source / "Zaphod-cut.dcm")
    assert f"row {failure['catalog_row']}<" in texts[1]
    here(*convert, "--set", "report.paths=true")
    for name in ("report.json", "report.html"):
        assert str(source / "Zaphod-cut.dcm") in (out / name).read_text("utf-8")
        assert str(out) in (out / name).read_text("utf-8")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("bad value 'DOE^JANE' and \"secret\"", "ValueError: bad value … and …"),
        ("The file's value 'DOE' isn't 'secret'", "ValueError: The file's value … isn't …"),
        ("Unable to convert 'D' DOE secret' to 'DA' object", "ValueError: Unable to convert …"),
        ("no such key: b'DOE sec", "ValueError: no such key: …"),
        (
            "invalid literal for int() with base 10: b'DOE\\'secret'",
            "ValueError: invalid literal for int() with base 10: …",
        ),
        ("expected 5, got 'O'Hara, DOE and secret", "ValueError: expected 5, got …"),
        ('value "DOE\nsecret" ends', "ValueError: value … ends"),
        ("3 of 4 bytes, isn't enough", "ValueError: 3 of 4 bytes, isn't enough"),
        ("", "ValueError"),
    ],
)
def test_what_other_code_quotes_is_left_out(text: str, told: str) -> None:
    assert foreign_text(ValueError(text)) == told


def test_errors_of_ours_are_told_whole() -> None:
    assert foreign_text(OutputError("'out' is full")) == "OutputError: 'out' is full"
