"""``verify`` of a result in an object store, whose originals also lie in a store."""

from __future__ import annotations

import json
import shutil

import pytest
from click.testing import CliRunner
from pydicom.data import get_testdata_file

import pipeline
from pipeline.cli import main
from pipeline.verify import verify

FILES = ("CT_small.dcm", "rtdose_rle.dcm", "JPEG2000.dcm", "liver_1frame.dcm")
HERE = {"cluster": {"kind": "synchronous"}}


@pytest.fixture
def stored(s3):
    """Source and output of a conversion from store to store."""
    source, out = s3.url(), s3.url()
    for name in FILES:
        s3.put_file(f"{source}/{name}", get_testdata_file(name, download=False))
    s3.put_file(f"{source}/copy.dcm", get_testdata_file("CT_small.dcm", download=False))
    pipeline.convert(source, out, **HERE, output={"shard": "2 kB"}, storage=s3.options())
    return source, out


@pytest.fixture
def check(s3, stored):
    """Verify the result with the options in force here; the originals are reached with the run's."""

    def run(**options):
        with pipeline.storage_options(**s3.options()):
            return verify(stored[1], **HERE, **options)

    return run


def spoil(s3, url, position=-1):
    """Change one byte of an object."""
    folder, _, name = url.rpartition("/")
    data = bytearray(s3.read(folder)[name])
    data[position] ^= 1
    s3.put(url, bytes(data))


def test_by_its_url_with_its_originals(s3, stored, monkeypatch):
    _, out = stored
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{s3.port}")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    told = CliRunner().invoke(
        main, ["verify", out, "--source", "--trust-output", "--workers", "1"], env={"COLUMNS": "180"}
    )
    assert told.exit_code == 0, told.output
    assert "5 of 5 files can be deleted" in told.stdout
    assert f"{out}/verify.parquet" in told.stdout
    left = s3.read(out)
    assert json.loads(left["verify.json"])["verdicts"] == {"copy": 1, "equal": 4}
    # beside the result they don't count as something extra
    again = CliRunner().invoke(main, ["verify", out, "--cluster", "synchronous"])
    assert again.exit_code == 0, again.output


def test_damage_in_objects_is_found(s3, stored, check):
    _, out = stored
    names = sorted(name for name in s3.read(out) if "/pixels/c/" in name)
    spoil(s3, f"{out}/{names[0]}", 40)
    s3.delete(f"{out}/{names[1]}")
    s3.put(f"{out}/{names[2]}.bak", b"left behind")
    spoil(s3, f"{out}/report.json")
    found = {(problem.code, problem.where) for problem in check().problems}
    assert {
        ("changed_file", names[0]),
        ("missing_file", names[1]),
        ("extra_file", f"{names[2]}.bak"),
        ("changed_file", "report.json"),
    } <= found
    assert {code for code, _ in found} <= {
        "changed_file",
        "missing_file",
        "extra_file",
        "frame_differs",
        "frame_unreadable",
    }


def test_verdicts_on_the_originals(s3, stored, check, tmp_path):
    source, _ = stored
    for name in ("rtdose_rle.dcm", "copy.dcm"):
        s3.delete(f"{source}/{name}")
    spoil(s3, f"{source}/CT_small.dcm", -10_000)  # behind its pixels are other elements
    shutil.copy(get_testdata_file("JPEG2000.dcm", download=False), tmp_path)
    with (tmp_path / "JPEG2000.dcm").open("ab") as file:
        file.write(bytes(100))
    s3.put_file(f"{source}/JPEG2000.dcm", tmp_path / "JPEG2000.dcm")
    found = check(source=True, trusting=True)
    codes = {problem.where.rpartition("/")[2]: problem.code for problem in found.problems}
    assert codes == {"rtdose_rle.dcm": "source_gone", "CT_small.dcm": "pixels_differ", "JPEG2000.dcm": "source_changed"}
    assert found.verdicts == {"gone": 1, "unsound": 2, "equal": 1, "not_stored": 1}
    (note,) = found.notes.values()
    assert note == "changed or touched since it was converted", "of CT_small.dcm, by its ETag"
