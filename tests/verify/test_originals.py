"""``verify --source``: stored data compared with the originals, decoded again by other decoders."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from pydicom import dcmread
from pydicom.data import get_testdata_file

import pipeline
from pipeline.cli import main
from pipeline.frames import DecodedFrame, FrameReader, SecondReader
from pipeline.verify import VERDICTS, Verification, file_verdicts, original_checks, verify, write

FILES = (
    *("CT_small.dcm", "rtdose_rle.dcm", "JPEG2000.dcm", "SC_rgb_jpeg_dcmtk.dcm", "liver_1frame.dcm"),
    *("image_dfl.dcm", "MR_small_jpeg_ls_lossless.dcm"),
)


def check(out: Path, **options: object) -> Verification:
    return verify(out, source=True, cluster={"kind": "synchronous"}, **options)


def verdicts(found: Verification) -> dict[str, dict]:
    return {Path(row["source"]).name: row for row in file_verdicts(found)}


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of originals in ``in``, converted into ``out``."""
    root = tmp_path_factory.mktemp("originals")
    (root / "in").mkdir()
    for name in FILES:
        shutil.copy(get_testdata_file(name, download=False), root / "in")
    pipeline.convert([root / "in"], root / "out", cluster={"kind": "synchronous"}, output={"shard": "2 kB"})
    return root


@pytest.fixture
def folder(converted: Path) -> Iterator[Path]:
    """The originals, which are restored afterwards."""
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (converted / "in").iterdir()}
    yield converted / "in"
    for path in (converted / "in").iterdir():
        path.unlink()
    for path, (data, time) in before.items():
        path.write_bytes(data)
        os.utime(path, ns=(time, time))


@pytest.fixture
def out(folder: Path) -> Path:
    return folder.parent / "out"


def edit(path: Path, offset: int = -40) -> None:
    """Change one byte of a file."""
    times = path.stat()
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x55
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_originals_that_are_equal_can_all_be_deleted(out: Path) -> None:
    found = check(out)
    assert found.problems == []
    assert (found.exit_code, found.deletable, found.files) == (0, len(FILES), len(FILES))
    rows = verdicts(found)
    assert {row["verdict"] for row in rows.values()} == {"equal"}
    assert rows["CT_small.dcm"]["compared_by"] == "pydicom"
    stored = pq.read_table(out / "catalog.parquet", columns=["source", "decoder"]).to_pylist()
    for row in stored:
        by, name = rows[Path(row["source"]).name]["compared_by"], Path(row["source"]).name
        if name in {"rtdose_rle.dcm", "JPEG2000.dcm", "SC_rgb_jpeg_dcmtk.dcm"}:
            assert by
            assert not row["decoder"].startswith(by), (name, "another decoder is there")


def test_originals_stored_nowhere_else_are_kept(folder: Path, tmp_path: Path) -> None:
    (folder / "notes.txt").write_text("not an image")
    shutil.copy(folder / "CT_small.dcm", folder / "copy.dcm")
    shutil.copy(folder / "JPEG2000.dcm", folder / "changed.dcm")
    out = tmp_path / "out"
    pipeline.convert([folder], out, cluster={"kind": "synchronous"})
    edit(folder / "changed.dcm")
    found = check(out)
    told = {name: row["verdict"] for name, row in verdicts(found).items()}
    assert told["notes.txt"] == told["changed.dcm"] == "not_stored"
    assert told["copy.dcm"] == "copy"
    assert (found.counts, found.exit_code) == ({}, 1)
    assert (found.deletable, found.files) == (len(FILES) + 1, len(FILES) + 3)


def test_a_missing_original_is_reported(folder: Path, out: Path) -> None:
    (folder / "CT_small.dcm").unlink()
    found = check(out)
    assert found.counts == {"source_gone": 1}
    assert found.exit_code == 1
    assert verdicts(found)["CT_small.dcm"]["verdict"] == "gone"
    assert found.deletable == len(FILES) - 1


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("CT_small.dcm", {"pixels_differ"}),
        ("liver_1frame.dcm", {"pixels_differ"}),
        ("rtdose_rle.dcm", {"pixels_differ", "decode_failed"}),
        ("JPEG2000.dcm", {"pixels_differ", "decode_failed"}),
    ],
)
def test_changed_pixels_are_noticed(folder: Path, out: Path, name: str, codes: set[str]) -> None:
    path = folder / name
    # liver_1frame.dcm and CT_small.dcm have elements behind their pixel data
    edit(path, -1000 if name in {"CT_small.dcm", "JPEG2000.dcm"} else -100)
    found = check(out)
    assert set(found.counts) <= codes
    assert found.counts.total() == 1
    (unsound,) = (row for row in verdicts(found).values() if row["verdict"] == "unsound")
    assert unsound["source"] == str(path)


def test_the_frame_that_differs_is_named(folder: Path, out: Path) -> None:
    source = folder / "rtdose_rle.dcm"
    ((offset, _),) = pipeline.build_index(source).ranges(7)
    edit(source, offset + 64 + 21)  # behind the 64 bytes of the RLE header (PS3.5 G.5)
    (problem,) = check(out).problems
    assert (problem.code, problem.frames) == ("pixels_differ", range(7, 8))


def test_a_changed_header_is_told_by_tag_and_not_by_value(folder: Path, out: Path) -> None:
    source = folder / "CT_small.dcm"
    times = source.stat()
    data = source.read_bytes()
    name = dcmread(source).PatientName
    assert data.count(str(name).encode()) == 1
    source.write_bytes(data.replace(str(name).encode(), str(name).encode().swapcase()))
    os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))
    (problem,) = check(out).problems
    assert problem.code == "header_differs"
    assert "00100010" in problem.message
    assert str(name).lower() not in problem.message.lower()


def test_a_file_that_was_only_touched_is_still_equal(folder: Path, out: Path) -> None:
    (folder / "CT_small.dcm").touch()
    found = check(out)
    assert found.exit_code == 0
    assert verdicts(found)["CT_small.dcm"]["note"] == "changed or touched since it was converted"


@pytest.mark.parametrize("size", [0, 100, 3000, 30_000])
def test_a_cut_original_is_a_problem_and_no_crash(folder: Path, out: Path, size: int) -> None:
    with (folder / "CT_small.dcm").open("r+b") as file:
        file.truncate(size)
    found = check(out)
    assert found.counts["source_changed"] == 1
    assert verdicts(found)["CT_small.dcm"]["verdict"] == "unsound"
    assert found.deletable == len(FILES) - 1


def test_wrong_pixels_stored_with_right_checksums_are_noticed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wrong(FrameReader):
        def read_into(self, frame: int, out: np.ndarray) -> DecodedFrame:
            decoded = super().read_into(frame, out)
            out ^= 1
            return decoded

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.tasks.convert_frames.FrameReader", Wrong)
        pipeline.convert([folder / "rtdose_rle.dcm"], out, cluster={"kind": "synchronous"})
    assert verify(out, cluster={"kind": "synchronous"}).exit_code == 0
    (problem,) = check(out).problems
    assert (problem.code, problem.frames) == ("pixels_differ", range(15))


def test_a_decoder_that_disagrees_makes_the_file_unsound(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decode = SecondReader.otherwise
    monkeypatch.setattr(SecondReader, "otherwise", lambda *given: (array + 1 for array in decode(*given)))
    found = check(out)
    disagreeing = {Path(problem.where).name for problem in found.problems}
    # the others are lossy, or nothing else that is installed decodes them
    assert disagreeing == {"CT_small.dcm", "rtdose_rle.dcm", "liver_1frame.dcm"}
    assert set(found.counts) == {"decoders_disagree"}


def test_large_instances_are_compared_in_pieces(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(original_checks, "TASK_BYTES", 1000)  # rtdose_rle.dcm has 15 frames of 400 bytes
    found = check(out)
    assert found.exit_code == 0
    assert found.compared_frames == found.frames


def test_a_sample_of_files(out: Path) -> None:
    found = check(out, sample=2)
    assert (found.files, found.deletable, found.exit_code) == (2, 2, 0)
    assert len(found.compared) == 2


def test_the_command_leaves_a_table_of_verdicts(folder: Path, out: Path) -> None:
    arguments = ["verify", str(out), "--source", "--cluster", "synchronous"]
    good = CliRunner().invoke(main, arguments)
    assert good.exit_code == 0, good.output
    assert f"{len(FILES)} of {len(FILES)} files can be deleted" in good.stdout
    edit(folder / "CT_small.dcm", -1000)
    bad = CliRunner().invoke(main, arguments)
    assert bad.exit_code == 1
    assert f"{len(FILES) - 1} of {len(FILES)} files can be deleted; 1 problem found" in bad.stdout
    rows = pq.read_table(out / "verify.parquet").to_pylist()
    assert [Path(row["source"]).name for row in rows if not row["deletable"]] == ["CT_small.dcm"]
    assert {row["verdict"] for row in rows} <= set(VERDICTS)
    summary = json.loads((out / "verify.json").read_text("utf-8"))
    assert (summary["deletable"], summary["files"], summary["exit_code"]) == (len(FILES) - 1, len(FILES), 1)
    assert verify(out, cluster={"kind": "synchronous"}).exit_code == 0, "its own files are no strangers"


def test_verdicts_that_cannot_be_written_are_an_error(out: Path) -> None:
    with pytest.raises(pipeline.errors.OutputError, match="can't be written"):
        write(check(out), out.parent / "in" / "CT_small.dcm")
