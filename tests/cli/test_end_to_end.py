"""The commands on real files: what they leave, print and return."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import zarr
from click.testing import CliRunner, Result
from pydicom.pixels import iter_pixels

import pipeline
from pipeline.catalog import open_catalog
from pipeline.cli import main
from pipeline.config import load
from pipeline.executors.clusters import address
from pipeline.storage import OutputDir
from support.stored_frames import stored_frames

GOOD = ("CT_small.dcm", "MR_small.dcm", "JPEG2000.dcm", "rtdose_rle.dcm", "SC_rgb_rle_2frame.dcm")


@dataclass(frozen=True)
class Place:
    """A source folder, and where results go."""

    folder: Path
    out: Path

    def convert(self, *options: str) -> Result:
        return invoke("convert", str(self.folder), str(self.out), "--cluster", "synchronous", *options)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, env={"COLUMNS": "180"})


def tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def good(tmp_path: Path, pydicom_folder: Path) -> Place:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in GOOD:
        shutil.copy(pydicom_folder / name, folder)
    return Place(folder, tmp_path / "out")


@pytest.fixture
def mixed(good: Place, pydicom_folder: Path) -> Place:
    """Some files that are no images, one that is cut, and a copy."""
    (good.folder / "notes.txt").write_text("not DICOM", "utf-8")
    shutil.copy(pydicom_folder / "rtplan.dcm", good.folder)
    shutil.copy(good.folder / "CT_small.dcm", good.folder / "copy.dcm")
    (good.folder / "cut.dcm").write_bytes((good.folder / "MR_small.dcm").read_bytes()[:-3000])
    return good


def test_convert_leaves_the_whole_result_and_says_how_to_open_it(good: Place) -> None:
    result = good.convert()
    assert result.exit_code == 0, result.output
    assert {path.name for path in good.out.iterdir()} >= {
        *("images.zarr", "catalog.parquet", "plan", "ledger", "report.json", "report.html", "run.yaml"),
    }
    assert "5 converted, 0 failed, 0 rejected, 0 skipped" in result.stdout
    assert f"images = dcm2zarr.open({str(good.out)!r})" in result.stdout
    assert "Exit code 0: nothing failed." in result.stdout
    for phase in ("scan done", "5 files", "convert done", "frames"):
        assert phase in result.stderr
    assert load(good.out / "run.yaml").source.paths == (str(good.folder),)
    assert json.loads((good.out / "report.json").read_text("utf-8"))["status"]["converted"] == 5


def test_the_stored_pixels_are_pydicoms(good: Place) -> None:
    good.convert("-q")
    catalog = pipeline.open(good.out).catalog.set_index("source")
    for name in GOOD:
        row = catalog.loc[str(good.folder / name)]
        pixels = zarr.open_array(good.out / "images.zarr" / row.image / "pixels", mode="r")
        start = int(row.frame_start)
        stored = stored_frames(pixels, slice(start, start + int(row.num_frames)))
        np.testing.assert_array_equal(stored, np.stack(list(iter_pixels(good.folder / name))), strict=True)


def test_a_failure_is_exit_code_1_with_its_reason_and_advice(mixed: Place) -> None:
    result = mixed.convert()
    assert result.exit_code == 1, result.output
    assert "5 converted, 1 failed, 2 rejected, 1 skipped" in result.stdout
    for told in ("pixel_data_too_short", "not_dicom", "no_pixel_data", "duplicate", str(mixed.folder / "cut.dcm")):
        assert told in result.stdout
    assert "Exit code 1: 1 of 9 files could not be stored" in result.stdout
    html = (mixed.out / "report.html").read_text("utf-8")
    assert "pixel_data_too_short" in html
    assert str(mixed.folder) not in html


def test_no_patient_is_named_anywhere_but_in_the_catalog(good: Place) -> None:
    result = good.convert("-v")
    files = [path for path in good.out.iterdir() if path.suffix in {".json", ".html", ".yaml"}]
    assert len(files) == 3
    told = "\n".join([result.output, *(path.read_text("utf-8") for path in files)])
    headers = "\n".join(open_catalog(OutputDir.of(good.out), ["header"])["header"].to_pylist())
    assert "CompressedSamples" in headers, "or this test shows nothing"
    assert "CompressedSamples" not in told


def test_an_earlier_result_is_only_replaced_when_asked(good: Place) -> None:
    assert good.convert("-q").exit_code == 0
    before = tree(good.out / "images.zarr")
    assert good.convert("-q").exit_code == 0
    assert tree(good.out / "images.zarr") == before
    refused = good.convert("-q", "--frames", "::2")
    assert refused.exit_code == 2
    assert 'select.frames was null and is "::2" now' in refused.stderr
    assert "--overwrite" in refused.stderr
    assert tree(good.out / "images.zarr") == before
    assert good.convert("-q", "--overwrite", "--frames", "::2").exit_code == 0
    assert tree(good.out / "images.zarr") != before
    assert good.convert("-q", "--overwrite").exit_code == 0
    assert tree(good.out / "images.zarr") == before


def test_selection_by_options(mixed: Place) -> None:
    result = mixed.convert(
        "--where", "Modality=CT", "--where", "Modality=RTDOSE", "--frames", "::2", "--keyword", "KVP"
    )
    assert "not_selected" in result.stdout
    catalog = pipeline.open(mixed.out).catalog
    converted = catalog[catalog.status == "converted"]
    assert set(converted.modality) == {"CT", "RTDOSE"}
    assert converted[converted.source.str.endswith("rtdose_rle.dcm")].num_frames.item() == 8
    assert "KVP" in catalog.columns


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--keyword", "Modalty"], "'Modalty' is not a DICOM keyword"),
        (["--where", "PatientId=1"], "'PatientId' is not a DICOM keyword"),
        (["--set", "output.codec.name=blosk"], "blosk"),
        (["--set", "output.codec.clevl=3"], "clevl"),
        (["--plugin", "no-such-plugin"], "no-such-plugin"),
        (["--cluster", "tcp://127.0.0.1:1"], "no Dask scheduler answers"),
    ],
)
def test_what_cannot_be_carried_out_is_told_and_leaves_no_images(
    good: Place, options: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(address, "CONNECT_SECONDS", 1)
    result = good.convert(*options)
    assert result.exit_code == (3 if "--cluster" in options else 2), result.output
    assert told in result.stderr
    assert not list(good.out.glob("images.zarr/*/*/*"))


def test_run_and_convert_give_the_same_bytes(good: Place, tmp_path: Path) -> None:
    good.convert("-q", "--frames", "::2")
    text = "source: {paths: [in]}\nselect: {frames: '::2'}\noutput: {path: other}\ncluster: {kind: threads}\n"
    (tmp_path / "run.yaml").write_text(text, "utf-8")
    result = invoke("run", str(tmp_path / "run.yaml"), "--set", "cluster.workers=2")
    assert result.exit_code == 0, result.output
    assert tree(tmp_path / "other" / "images.zarr") == tree(good.out / "images.zarr")


def test_the_run_file_repeats_the_run(good: Place, tmp_path: Path) -> None:
    good.convert("-q", "--where", "StudyID=1CT1", "--set", "output.codec.clevel=3")
    result = invoke("run", str(good.out / "run.yaml"), "--set", f"output.path={tmp_path / 'again'}", "-q")
    assert result.exit_code == 0, result.output
    assert tree(tmp_path / "again" / "images.zarr") == tree(good.out / "images.zarr")


def test_plan_says_what_would_be_done_and_writes_nothing(mixed: Place, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(
        f"source: {{paths: ['{mixed.folder}']}}\noutput: {{path: out}}\ncluster: {{kind: synchronous}}\n", "utf-8"
    )
    before = tree(tmp_path)
    result = invoke("plan", str(tmp_path / "run.yaml"))
    assert tree(tmp_path) == before
    assert not mixed.out.exists()
    assert result.exit_code == 1, result.output  # one file would fail
    for told in ("1×128×128", "15×10×10", "int16", "to convert", "pixel_data_too_short", "duplicate", "task"):  # noqa: RUF001
        assert told in result.stdout
    assert "Memory of the largest task: " in result.stdout
    assert "5 images of 20 frames" in result.stdout
    dry = mixed.convert("--dry-run")
    assert dry.stdout == result.stdout
    assert not mixed.out.exists()


def test_files_that_need_too_much_memory_fail_with_the_numbers(good: Place) -> None:
    result = good.convert("--dry-run", "--set", "limits.task_memory=300 kB")
    assert result.exit_code == 1, result.output
    assert "task_memory_exceeded" in result.stdout
    assert f"would fail: {good.folder / 'JPEG2000.dcm'}" in result.stdout
    assert "more than limits.task_memory allows (300000 bytes)" in result.stdout.replace("\n", " ")
    assert "4 images" in result.stdout


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("CT_small.dcm", ("Explicit VR Little Endian", "128 × 128 int16", "native", "none needed")),  # noqa: RUF001
        ("rtdose_rle.dcm", ("RLE Lossless", "10 × 10 uint32", "15", "Fragments", "Decoder", "imagecodecs")),  # noqa: RUF001
        ("SC_rgb_rle_2frame.dcm", ("RLE Lossless", "basic offset table", "100 × 100 × 3 uint8", "RGB")),  # noqa: RUF001
    ],
)
def test_inspect_a_file(pydicom_folder: Path, name: str, told: tuple[str, ...]) -> None:
    result = invoke("inspect", str(pydicom_folder / name))
    assert result.exit_code == 0, result.output
    for text in told:
        assert text in result.stdout
    assert "CompressedSamples" not in result.output, "a patient's name"


def test_values_that_pydicom_complains_about_stay_out_of_the_output(pydicom_folder: Path) -> None:
    command = [sys.executable, "-m", "pipeline.cli", "inspect", str(pydicom_folder / "badVR.dcm"), "-v"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "invalid_attribute" in done.stdout
    assert done.stderr == ""


def test_inspect_files_that_are_no_images_or_damaged(mixed: Place) -> None:
    for name in ("notes.txt", "rtplan.dcm"):
        result = invoke("inspect", str(mixed.folder / name))
        assert result.exit_code == 0, result.output
        assert "leaves it alone" in result.stdout
    result = invoke("inspect", str(mixed.folder / "cut.dcm"))
    assert result.exit_code == 1
    assert "pixel_data_too_short" in result.stdout


def test_inspect_a_folder_and_a_result(mixed: Place) -> None:
    result = invoke("inspect", str(mixed.folder))
    assert result.exit_code == 1, result.output
    for text in ("9 files", "JPEG 2000", "RLE Lossless", "pixel_data_too_short", "1 would fail"):
        assert text in result.stdout
    mixed.convert("-q")
    result = invoke("inspect", str(mixed.out))
    assert result.exit_code == 1, result.output
    for text in ("5 complete images", "15×10×10", "complete", "duplicate", "1 of 9 files failed"):  # noqa: RUF001
        assert text in result.stdout
    (mixed.out / "catalog.parquet").unlink()
    result = invoke("inspect", str(mixed.out))
    assert result.exit_code == 1
    assert "has not finished" in result.stdout


def test_names_that_are_not_utf_8(good: Place) -> None:
    name = os.fsdecode(b"caf\xe9.dcm")
    shutil.copy(good.folder / "CT_small.dcm", good.folder / name)
    (good.folder / os.fsdecode(b"\xff.dcm")).write_bytes(b"not DICOM")
    command = [
        sys.executable,
        "-m",
        "pipeline.cli",
        "convert",
        str(good.folder / name),
        str(good.folder),
        str(good.out),
    ]
    done = subprocess.run([*command, "--cluster", "synchronous"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "5 converted, 0 failed, 1 rejected, 1 skipped" in done.stdout
