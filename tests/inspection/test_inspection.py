"""What ``inspect`` and ``plan`` return: values with what the commands print, and no more than the gate lets through."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import dcm2zarr
from dcm2zarr import FileInspection, FolderInspection, OutputInspection, PlannedConversion
from pipeline.deid import Gate
from pipeline.errors import ConfigError, OutputError
from support.dicom_bytes import native_file

HERE = {"kind": "synchronous"}


@pytest.fixture
def folder(tmp_path: Path, pydicom_folder: Path) -> Path:
    """Three images, one of them cut, and a text."""
    place = tmp_path / "in"
    place.mkdir()
    for name in ("CT_small.dcm", "rtdose_rle.dcm"):
        shutil.copy(pydicom_folder / name, place / name)
    (place / "cut.dcm").write_bytes((pydicom_folder / "MR_small.dcm").read_bytes()[:-3000])
    (place / "notes.txt").write_text("not DICOM", "utf-8")
    return place


def test_a_file(pydicom_folder: Path):
    path = pydicom_folder / "rtdose_rle.dcm"
    found = dcm2zarr.inspect(path)
    assert isinstance(found, FileInspection)
    assert (found.path, found.transfer_syntax, found.number_of_frames) == (str(path), "RLE Lossless", 15)
    assert found.header["Modality"] == "RTDOSE"
    assert found.header["BitsAllocated"] == 32
    assert "PatientName" not in found.header
    assert found.format.frame_shape == (10, 10)
    assert found.index.ranges(3) == dcm2zarr.build_index(path).ranges(3)
    assert found.first_frame.decoder.startswith("imagecodecs ")
    assert (found.reason, found.exit_code, found.is_image, found.advice) == ("", 0, True, "")


def test_a_file_that_would_be_refused_tells_what_is_known_of_it(folder: Path):
    found = dcm2zarr.inspect(folder / "cut.dcm")
    assert (found.reason, found.exit_code, found.is_image) == ("pixel_data_too_short", 1, True)
    assert "less than expected" in found.message
    assert found.advice
    assert found.header["Modality"] == "MR"
    assert found.index is None
    text = dcm2zarr.inspect(folder / "notes.txt")
    assert (text.exit_code, text.is_image, text.header) == (0, False, {})
    assert "leaves it alone" in text.verdict


def test_a_folder(folder: Path):
    found = dcm2zarr.inspect(folder)
    assert isinstance(found, FolderInspection)
    assert (found.files, found.images, found.frames, found.series) == (4, 2, 16, 2)
    assert {(kind.modality, kind.frames) for kind in found.kinds} == {("CT", 1), ("RTDOSE", 15)}
    assert found.counts == {("failed", "pixel_data_too_short"): 1, ("rejected", "not_dicom"): 1}
    assert (found.failed, found.exit_code) == (1, 1)


def test_an_output(folder: Path, tmp_path: Path):
    out = tmp_path / "out"
    dcm2zarr.convert(folder, out, cluster=HERE)
    found = dcm2zarr.inspect(out)
    assert isinstance(found, OutputInspection)
    assert sorted(row.modality for row in found.images) == ["CT", "RTDOSE"]
    assert found.counts["converted", ""] == 2
    assert (found.finished, found.failed, found.exit_code) == (True, 1, 1)
    (out / "catalog.parquet").unlink()
    found = dcm2zarr.inspect(out)
    assert (found.finished, found.counts, found.exit_code) == (False, {}, 1)


def test_nothing_is_there(tmp_path: Path):
    with pytest.raises(ConfigError, match="no such file"):
        dcm2zarr.inspect(tmp_path / "nowhere")


def test_a_plan_is_what_is_then_done(folder: Path, tmp_path: Path):
    out = tmp_path / "out"
    planned = dcm2zarr.plan(folder, out, cluster=HERE, output={"shard": "1 kB"})
    assert isinstance(planned, PlannedConversion)
    assert not out.exists()
    summary = dcm2zarr.convert(folder, out, cluster=HERE, output={"shard": "1 kB"})
    images = dcm2zarr.open(out)
    assert [image.path for image in planned.images] == images.paths
    for image in planned.images:
        pixels = images[image.path].pixels
        assert (image.shape, image.dtype, image.axes) == (pixels.shape, str(pixels.dtype), pixels.dims)
    assert planned.frames == summary.totals.frames == 16
    assert planned.stored_bytes == summary.totals.decoded_bytes
    assert planned.counts[("to convert", "")] == summary.status_counts[("converted", "")]
    assert (planned.failed, planned.exit_code) == (1, 1)
    written = [path for path in (out / "images.zarr").rglob("pixels/c/**/*") if path.is_file()]
    assert planned.shards == len(written)
    assert 0 < planned.memory_bytes < planned.memory_allowed == 2**30


def test_a_plan_tells_what_it_refuses(folder: Path, tmp_path: Path):
    planned = dcm2zarr.plan([folder / "CT_small.dcm"], tmp_path / "out", cluster=HERE, limits={"task_memory": "50 kB"})
    (refused,) = planned.refused
    assert (refused.source, refused.reason) == (str(folder / "CT_small.dcm"), "task_memory_exceeded")
    assert (planned.images, planned.exit_code) == ((), 1)
    assert f"would fail: {refused.source}" in repr(planned)


def test_they_show_themselves_in_terminal_and_notebook(folder: Path, tmp_path: Path):
    out = tmp_path / "out"
    planned = dcm2zarr.plan(folder, out, cluster=HERE)
    dcm2zarr.convert(folder, out, cluster=HERE)
    for value, told in (
        (planned, ("RTDOSE", "15×10×10", "pixel_data_too_short", "1 would fail")),  # noqa: RUF001
        (dcm2zarr.inspect(folder), ("RLE Lossless", "10 × 10", "uint32", "pixel_data_too_short")),  # noqa: RUF001
        (dcm2zarr.inspect(folder / "rtdose_rle.dcm"), ("Transfer syntax", "RLE Lossless", "It can be converted.")),
        (dcm2zarr.inspect(out), ("2 complete images", "15 × 10 × 10", "converted")),  # noqa: RUF001
    ):
        for text in told:
            assert text in repr(value)
            assert text in value._repr_html_()
        assert "<table>" in value._repr_html_()


def test_what_others_wrote_is_shown_as_text(tmp_path: Path):
    path = tmp_path / "\x1b]0;<b>x.dcm"
    path.write_bytes(native_file(bytes(range(16)), Modality="<i>\x1b[31m"))
    for value in (
        dcm2zarr.inspect(path),
        dcm2zarr.inspect(tmp_path),
        dcm2zarr.plan(path, tmp_path / "o", cluster=HERE),
    ):
        for shown in (repr(value), value._repr_html_()):
            assert "\x1b" not in shown
        assert "<i>" not in value._repr_html_()
        assert "<b>" not in value._repr_html_()


def test_values_pass_the_gate(monkeypatch: pytest.MonkeyPatch, folder: Path):
    class Word(Gate):
        changes = True

        def value(self, element, value):  # noqa: ARG002
            return "WORD" if isinstance(value, str) else value

        def uid(self, uid):
            return uid

        def message(self, text, *, reason="", source=""):
            del text, reason, source
            return "MESSAGE"

    monkeypatch.setattr("pipeline.deid.gate.IDENTITY", Word())
    found = dcm2zarr.inspect(folder / "CT_small.dcm")
    assert {found.header[name] for name in ("Manufacturer", "Modality")} == {"WORD"}
    broken = dcm2zarr.inspect(folder / "cut.dcm")
    assert broken.message == "MESSAGE"


def test_verify_takes_what_yaml_takes(folder: Path, tmp_path: Path):
    out = tmp_path / "out"
    dcm2zarr.convert(folder, out, cluster=HERE)
    own = {"source": {"paths": [str(folder)]}, "output": {"path": str(out)}, "limits": {"frame": "2 GiB"}}
    yaml = tmp_path / "own.yaml"
    yaml.write_text(f"source: {{paths: ['{folder}']}}\noutput: {{path: '{out}'}}\n", "utf-8")
    for config in (own, yaml, str(yaml), None):
        assert dcm2zarr.verify(out, source=True, config=config, cluster=HERE).deletable == 2
    assert dcm2zarr.verify(out, cluster={**HERE, "task_work": "1 MiB"}).exit_code == 0
    with pytest.raises(ConfigError, match=r"cluster\.kind: .*'thread'"):
        dcm2zarr.verify(out, cluster={"kind": "thread"})
    with pytest.raises(ConfigError, match=r"limits\.fraem: .*frame"):
        dcm2zarr.verify(out, config={**own, "limits": {"fraem": 1}}, cluster=HERE)
    with pytest.raises(OutputError):
        dcm2zarr.status(folder)
    assert dcm2zarr.status(out).phase == "finished"
