"""``verify`` notices changes to a result, says where they are, and accepts an unchanged result."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr
from click.testing import CliRunner
from pydicom.data import get_testdata_file

import pipeline
from campaigns import rot
from pipeline.catalog import read_plan
from pipeline.cli import main
from pipeline.errors import OutputError
from pipeline.output import ledger
from pipeline.storage import OutputDir
from pipeline.verify import CODES, Verification, verify

FILES = ("CT_small.dcm", "rtdose_rle.dcm", "JPEG2000.dcm", "liver_1frame.dcm")


def check(out: Path, **options: object) -> Verification:
    return verify(out, cluster={"kind": "synchronous"}, **options)


def told(found: Verification) -> set[tuple[str, str]]:
    return {(problem.code, Path(problem.where).name) for problem in found.problems}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verify")
    (folder / "in").mkdir()
    for name in FILES:
        shutil.copy(get_testdata_file(name, download=False), folder / "in")
    shutil.copy(folder / "in" / "CT_small.dcm", folder / "in" / "copy.dcm")
    (folder / "in" / "notes.txt").write_text("not an image")
    pipeline.convert([folder / "in"], folder / "out", cluster={"kind": "synchronous"}, output={"shard": "2 kB"})
    return folder / "out"


@pytest.fixture
def out(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "out"))


@pytest.fixture
def undigested(out: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A result without known digests, so that only the files' contents can be compared."""
    read = ledger.read

    def without_digests(*args: object) -> ledger.Finished:
        found = read(*args)
        results = {
            task: replace(result, regions=tuple(replace(region, digest="") for region in result.regions))
            for task, result in found.results.items()
        }
        now = dict.fromkeys(found.files, (0, ""))
        return replace(found, results=results, image_digests={}, files=now)

    monkeypatch.setattr(ledger, "read", without_digests)
    monkeypatch.setattr("pipeline.verify.verification.check_sealed", lambda *_: ())
    return out


def image_of(out: Path, name: str) -> Path:
    rows = pq.read_table(out / "catalog.parquet", columns=["source", "image"]).to_pylist()
    return out / "images.zarr" / next(row["image"] for row in rows if row["source"].endswith(name))


def test_an_untouched_result_is_sound(original: Path) -> None:
    found = check(original)
    assert found.problems == []
    assert (found.exit_code, found.images, found.frames) == (0, 4, 18)


def test_in_worker_processes_too(original: Path) -> None:
    found = verify(original, cluster={"kind": "local", "workers": 1})
    assert (found.problems, found.images, found.frames) == ([], 4, 18)


def test_rot_in_short(tmp_path: Path) -> None:
    sources = [Path(get_testdata_file(name, download=False)) for name in FILES]
    rot.make_result(tmp_path / "out", sources)
    tally = rot.run_trials(tmp_path / "out", 24, seed=7)
    assert tally.missed == tally.false_alarms == []
    assert tally.trials.total() == 24


def test_a_changed_pixel_is_told_with_its_frame(undigested: Path) -> None:
    pixels = zarr.open_array(image_of(undigested, "rtdose_rle.dcm") / "pixels", mode="r+")
    pixels[7, 3, 3] = pixels[7, 3, 3] + 1
    (problem,) = check(undigested).problems
    assert (problem.code, problem.frames) == ("frame_differs", range(7, 8))
    assert problem.where.endswith("/pixels/c/1/0/0")


def test_only_the_frames_of_a_damaged_chunk_are_unreadable(undigested: Path) -> None:
    shard = image_of(undigested, "rtdose_rle.dcm") / "pixels" / "c" / "0" / "0" / "0"
    data = bytearray(shard.read_bytes())
    data[0] ^= 0xFF  # the first chunk begins with blosc's version
    shard.write_bytes(data)
    (problem,) = check(undigested).problems
    assert (problem.code, problem.frames) == ("frame_unreadable", range(1))


def test_a_changed_value_of_a_frame_is_noticed_by_its_meaning(undigested: Path) -> None:
    image = image_of(undigested, "rtdose_rle.dcm")
    numbers = zarr.open_array(image / "frame_number", mode="r+")
    numbers[4] = 99
    found = check(undigested)
    assert told(found) == {("metadata_differ", "frame_number")}
    assert "1 frame(s) have other values" in found.problems[0].message
    assert "first frame 4" in found.problems[0].message


def test_a_changed_attribute_is_named_but_not_its_value(undigested: Path) -> None:
    image = image_of(undigested, "CT_small.dcm")
    text = (image / "zarr.json").read_text()
    group = json.loads(text)
    group["attributes"]["RescaleIntercept"] = -1023.0
    group["consolidated_metadata"]["metadata"]["pixels"]["shape"][0] = 2
    (image / "zarr.json").write_text(json.dumps(group))
    found = check(undigested)
    assert {problem.code for problem in found.problems} == {"metadata_differ"}
    messages = " ".join(problem.message for problem in found.problems)
    assert "RescaleIntercept" in messages
    assert "1023" not in messages
    assert "the metadata of pixels differ from those in the group" in messages


def test_changed_rows_are_noticed(undigested: Path) -> None:
    path = undigested / "catalog.parquet"
    table = pq.read_table(path)
    names = table["source"].to_pylist()

    def changed(column: str, name: str, value: object) -> pa.Table:
        values = table[column].to_pylist()
        values[next(i for i, source in enumerate(names) if source.endswith(name))] = value
        place = table.schema.get_field_index(column)
        return table.set_column(place, table.schema.field(column), pa.array(values, table.schema.field(column).type))

    for column, name, value in (
        ("frame_start", "CT_small.dcm", 5),
        ("num_frames", "rtdose_rle.dcm", 14),
        ("image", "JPEG2000.dcm", "elsewhere"),
        ("status", "JPEG2000.dcm", "skipped"),
        ("sop_instance_uid", "CT_small.dcm", "1.2.3"),
        ("decoder", "rtdose_rle.dcm", "magic 1"),
    ):
        pq.write_table(changed(column, name, value), path)
        (problem,) = check(undigested).problems
        assert problem.code == "row_differs", column
        assert name in problem.message
        assert column in problem.message
    pq.write_table(table.slice(0, len(table) - 1), path)
    assert {problem.code for problem in check(undigested).problems} == {"row_missing"}
    pq.write_table(changed("source", "CT_small.dcm", "/nowhere.dcm"), path)
    assert {problem.code for problem in check(undigested).problems} == {"row_missing", "row_extra"}


def test_a_changed_table_of_images_is_noticed(undigested: Path) -> None:
    path = undigested / "images.parquet"
    table = pq.read_table(path)
    assert check(undigested).problems == []
    for column in ("stored_bytes", "frames_missing"):
        place = table.schema.get_field_index(column)
        field = table.schema.field(column)
        pq.write_table(table.set_column(place, field, pa.array([9] * len(table), field.type)), path)
        assert told(check(undigested)) == {("changed_file", "images.parquet")}
    pq.write_table(table.slice(1), path)
    assert told(check(undigested)) == {("changed_file", "images.parquet")}
    path.write_bytes(b"PAR1")
    assert told(check(undigested)) == {("changed_file", "images.parquet")}


def test_a_missing_table_of_images_is_made_again(original: Path, out: Path) -> None:
    whole = pq.read_table(out / "images.parquet")
    (out / "images.parquet").unlink()
    assert told(check(out)) == {("missing_file", "images.parquet")}
    settings = {"cluster": {"kind": "synchronous"}, "output": {"shard": "2 kB"}}
    pipeline.convert([original.parent / "in"], out, **settings)
    assert pq.read_table(out / "images.parquet").equals(whole)
    assert check(out).problems == []


def test_a_run_that_did_not_end_is_reported(out: Path) -> None:
    last = max((out / "ledger").iterdir())
    *lines, end = last.read_bytes().splitlines(keepends=True)
    assert b'"kind":"files"' in end
    last.write_bytes(b"".join(lines))
    assert told(check(out)) == {("unfinished_run", "ledger")}


def test_data_behind_the_last_record_are_reported(out: Path) -> None:
    last = max(path for path in (out / "ledger").iterdir() if path.suffix == ".jsonl")
    with last.open("ab") as file:
        file.write(b"\0\0\0")
    assert told(check(out)) == {("ledger_damaged", last.name)}


def test_older_segments_are_sealed_too(original: Path, out: Path) -> None:
    source = original.parent / "in"
    shutil.rmtree(image_of(out, "CT_small.dcm"))  # or there would be nothing to do, and no second segment
    pipeline.convert([source], out, cluster={"kind": "synchronous"}, output={"shard": "2 kB"})
    first, *_ = segments = sorted(path for path in (out / "ledger").iterdir() if path.suffix == ".jsonl")
    assert len(segments) == 2
    assert check(out).problems == []
    with first.open("ab") as file:
        file.write(b"\0")
    assert told(check(out)) == {("changed_file", first.name)}


def test_an_unfinished_image_is_reported(out: Path) -> None:
    image = image_of(out, "CT_small.dcm")
    position = next(n for n, spec in enumerate(read_plan(OutputDir.of(out)).images) if spec.path.endswith(image.name))
    for segment in (out / "ledger").iterdir():
        lines = segment.read_bytes().splitlines(keepends=True)
        segment.write_bytes(b"".join(line for line in lines if b'"kind":"image","image":%d,' % position not in line))
    (image / "zarr.json").unlink()
    found = check(out)
    assert ("incomplete_image", image.name) in told(found)
    assert found.exit_code == 1


def test_a_lost_image_and_a_lost_catalog_are_reported(out: Path) -> None:
    image = image_of(out, "CT_small.dcm")
    shutil.rmtree(image)
    (out / "catalog.parquet").unlink()
    codes = {problem.code for problem in check(out).problems}
    assert codes >= {"missing_file", "catalog_unreadable", "metadata_unreadable"}


def test_a_sample_looks_at_that_many_frames_the_same_ones_for_a_seed(original: Path, monkeypatch) -> None:
    assert check(original, sample=5).frames == 5
    assert check(original, sample=1000).frames == 18
    from pipeline.verify import work  # noqa: PLC0415  only here

    chosen = []
    sample = work._sample
    monkeypatch.setattr(work, "_sample", lambda *args: chosen.append(sample(*args)) or chosen[-1])
    for seed in (3, 3, 4):
        check(original, sample=5, seed=seed)
    assert chosen[0] == chosen[1] != chosen[2]


def test_nothing_is_written(original: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in original.rglob("*")}
    check(original)
    assert {path: path.stat().st_mtime_ns for path in original.rglob("*")} == before


def test_a_folder_without_a_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="isn't the result of a conversion"):
        check(tmp_path)


def test_the_command_tells_and_exits(out: Path) -> None:
    arguments = ["verify", str(out), "--cluster", "synchronous"]
    good = CliRunner().invoke(main, arguments)
    assert (good.exit_code, "every file and frame is what was written" in good.stdout) == (0, True), good.output
    shard = next((image_of(out, "rtdose_rle.dcm") / "pixels").rglob("c/0/0/0"))
    shard.write_bytes(b"")
    bad = CliRunner().invoke(main, [*arguments, "-v"])
    assert bad.exit_code == 1
    for text in ("changed_file", "frame_unreadable", CODES["frame_unreadable"], "Exit code 1: 2 problems found"):
        assert text in bad.stdout
