"""Files compared by content, because ``source.hash`` asks for it."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import zarr
from click.testing import CliRunner
from pydicom import dcmread

from pipeline.cli import main
from pipeline.config import from_dict
from pipeline.errors import OutputError
from pipeline.executors.executor import Synchronous
from pipeline.runs import array_jobs, conversion, digests, scan_phase, stages
from support import varied_files as files
from support.stored_frames import stored_frames
from support.varied_files import Place

HASH = {"source": {"hash": True}}
REFUSE = {"source": {"hash": True, "changed": "refuse"}}
OLD = (1_500_000_000 * 10**9,) * 2


@pytest.fixture
def place(tmp_path: Path, pydicom_folder: Path) -> Place:
    (tmp_path / "in").mkdir()
    for name in ("MR_small.dcm", "rtdose_rle.dcm"):
        shutil.copy(pydicom_folder / name, tmp_path / "in")
    (tmp_path / "in" / "notes.txt").write_text("not DICOM", "utf-8")
    return Place(tmp_path / "in", tmp_path / "out")


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of the files that tasks read as a whole, for whatever reason."""
    read: list[str] = []
    digest = digests.scan.digest
    monkeypatch.setattr(
        digests.scan, "digest", lambda source, *more: (read.append(Path(source).name), digest(source, *more))[1]
    )
    return read


def touch(path: Path) -> None:
    os.utime(path, ns=OLD)


def alter(path: Path) -> None:
    """Change the last pixel without changing anything that a listing shows."""
    info, data = path.stat(), bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (info.st_size, info.st_mtime_ns)


def sums(place: Place) -> dict[str, str | None]:
    return {Path(row["source"]).name: row["sha256"] for row in place.rows()}


def test_the_catalog_has_the_sum_of_each_file_that_holds_an_image(place: Place) -> None:
    place.convert(**HASH)
    expected = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in place.folder.glob("*.dcm")}
    assert sums(place) == expected | {"notes.txt": None}
    other = place.elsewhere("unasked")
    other.convert()
    assert set(sums(other).values()) == {None}
    assert other.pixels() == place.pixels()


def test_a_touched_file_is_unchanged(place: Place, hashed: list[str]) -> None:
    place.convert(**HASH)
    before = place.result()
    touch(place.folder / "MR_small.dcm")
    hashed.clear()
    place.convert(**HASH)
    assert sorted(hashed) == ["MR_small.dcm", "rtdose_rle.dcm"]
    assert place.result() == before
    hashed.clear()
    place.convert()
    assert hashed == ["MR_small.dcm"]
    assert place.result() == before


def test_a_change_that_keeps_size_and_time_is_refused_by_name(place: Place) -> None:
    place.convert(**HASH)
    before = place.result()
    alter(place.folder / "MR_small.dcm")
    arguments = ["convert", str(place.folder), str(place.out), "--set", "cluster.kind=synchronous"]
    arguments += ["--set", "output.shard=3000", "--set", "source.hash=true", "--set", "source.changed=refuse"]
    ended = CliRunner().invoke(main, arguments, env={"COLUMNS": "500"})
    assert ended.exit_code == 2
    text = " ".join(ended.output.split())
    assert "MR_small.dcm (other content with the same size and time of change)" in text
    assert "rtdose_rle.dcm" not in text
    with pytest.raises(OutputError) as caught:
        place.convert(**REFUSE)
    assert caught.value.reason == "source_changed"
    assert place.result() == before


def test_a_change_that_keeps_size_and_time_is_redone(place: Place) -> None:
    place.convert(**HASH)
    before = place.result()
    alter(place.folder / "MR_small.dcm")
    told = Told()
    place.convert(**HASH, progress=told)
    assert any("MR_small.dcm (other content with the same size and time of change)" in text for text in told.messages)
    assert place.result() != before
    [row] = [row for row in place.rows() if row["source"].endswith("MR_small.dcm")]
    assert row["sha256"] == hashlib.sha256((place.folder / "MR_small.dcm").read_bytes()).hexdigest()
    pixels = zarr.open_array(place.out / "images.zarr" / row["image"] / "pixels", mode="r")
    np.testing.assert_array_equal(stored_frames(pixels, 0), dcmread(row["source"]).pixel_array)


def test_without_hash_such_a_change_is_not_noticed(place: Place) -> None:
    place.convert()
    before = place.result()
    alter(place.folder / "MR_small.dcm")
    place.convert()
    assert place.result() == before


def test_touched_and_changed_is_refused(place: Place) -> None:
    place.convert(**HASH)
    alter(place.folder / "MR_small.dcm")
    touch(place.folder / "MR_small.dcm")
    with pytest.raises(OutputError, match=r"1 file\(s\) .*MR_small\.dcm \(other content\)"):
        place.convert(**REFUSE, cluster={"kind": "threads", "workers": 2})


class Told(stages.NullProgress):
    """Keeps the messages."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)


def test_turned_on_later_it_holds_for_what_is_scanned_from_then_on(place: Place, pydicom_folder: Path) -> None:
    place.convert()
    shutil.copy(pydicom_folder / "CT_small.dcm", place.folder)
    alter(place.folder / "MR_small.dcm")
    told = Told()
    place.convert(**HASH, progress=told)
    assert [text for text in told.messages if text.startswith("2 file(s) were scanned without source.hash")]
    assert {name for name, value in sums(place).items() if value} == {"CT_small.dcm"}
    alter(place.folder / "CT_small.dcm")
    with pytest.raises(OutputError, match=r"1 file\(s\) have changed.*CT_small\.dcm"):
        place.convert(**REFUSE)
    place.convert()


def test_results_from_before_there_were_sums_are_gone_on_from(place: Place) -> None:
    place.convert()
    for path in (*(place.out / "plan").rglob("segments/*.parquet"), place.out / "plan" / "1" / "instances.parquet"):
        pq.write_table(pq.read_table(path).drop_columns("sha256"), path)
    for name in ("catalog.parquet", "ledger"):
        path = place.out / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert place.convert(**HASH).count("converted") == 2
    assert set(sums(place).values()) == {None}


def test_unfinished_work_is_done_with_touched_files(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = place.elsewhere("whole")
    whole.convert(**HASH)
    with monkeypatch.context() as patch:
        patch.setattr(stages, "resume_conversion", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            place.convert(**HASH)
    touch(place.folder / "MR_small.dcm")
    summary = place.convert(**HASH)
    assert (summary.count("converted"), summary.count("failed")) == (2, 0)
    assert place.result() == whole.result()


def test_a_lost_shard_is_made_again_of_a_touched_file(place: Place) -> None:
    place.convert(**HASH)
    before = place.result()
    shard = min(path for path in (place.out / "images.zarr").rglob("pixels/c/*") if path.is_file() or path.is_dir())
    shutil.rmtree(shard)
    for path in place.folder.glob("*.dcm"):
        touch(path)
    place.convert(**HASH)
    assert place.result() == before


def test_a_change_between_rerun_and_task_is_still_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    convert = conversion.convert

    def late(task, job, **more):
        path = place.folder / "MR_small.dcm"
        if path.stat().st_mtime_ns != OLD[1]:
            alter(path)
            touch(path)
        return convert(task, job, **more)

    monkeypatch.setattr(conversion, "convert", late)
    place.convert(**HASH)
    reasons = {Path(row["source"]).name: row["reason"] for row in place.rows()}
    assert reasons["MR_small.dcm"] == "source_changed"
    assert reasons["rtdose_rle.dcm"] is None


def test_a_series_grows_with_touched_files(place: Place, pydicom_folder: Path) -> None:
    files.add_series(place.folder, pydicom_folder / "CT_small.dcm", range(1, 4))
    place.convert(**HASH)
    for path in place.folder.glob("series-*"):
        touch(path)
    files.add_series(place.folder, pydicom_folder / "CT_small.dcm", range(4, 5))
    summary = place.convert(**HASH)
    assert summary.count("failed") == 0
    rows = [row for row in place.rows() if Path(row["source"]).name.startswith("series-")]
    assert len({row["image"] for row in rows}) == 1
    pixels = zarr.open_array(place.out / "images.zarr" / rows[0]["image"] / "pixels", mode="r")
    for row in rows:
        np.testing.assert_array_equal(stored_frames(pixels, row["frame_start"]), dcmread(row["source"]).pixel_array)


def test_a_partition_accepts_touched_files(place: Place) -> None:
    whole = place.elsewhere("whole")
    whole.convert(**HASH)
    config = from_dict(
        {
            "source": {"paths": [str(place.folder)], "hash": True},
            "output": {"path": str(place.out), "shard": 3000},
            "cluster": {"kind": "synchronous"},
        }
    )
    array_jobs.init(config, partitions=1)
    touch(place.folder / "MR_small.dcm")
    assert array_jobs.convert_partition(place.out, 0).failures == 0
    array_jobs.finalize(place.out, cluster=config.cluster)
    assert place.result() == whole.result()


def test_copies_are_found_by_the_sums_that_are_there(place: Place, hashed: list[str]) -> None:
    shutil.copy(place.folder / "MR_small.dcm", place.folder / "copy.dcm")
    place.convert(**HASH)
    assert hashed == []
    rows = {Path(row["source"]).name: row["reason"] for row in place.rows()}
    assert (rows["MR_small.dcm"], rows["copy.dcm"]) == (None, "duplicate")
    assert sums(place)["MR_small.dcm"] == sums(place)["copy.dcm"]


def test_a_file_that_can_not_be_read_is_refused_by_name(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.convert(**HASH)

    def unreadable(source: str, *_: object) -> str:
        raise digests.scan.duplicates.SourceError(f"{source}: reading failed: Input/output error")

    monkeypatch.setattr(digests.scan, "digest", unreadable)
    with pytest.raises(OutputError, match=r"MR_small\.dcm \(reading failed: Input/output error\)"):
        place.convert(**REFUSE)


def test_stored_content_of_an_unreadable_file_is_kept(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.convert(**HASH)
    before = place.result()

    def unreadable(source: str, *_: object) -> str:
        raise digests.scan.duplicates.SourceError(f"{source}: reading failed: Input/output error")

    monkeypatch.setattr(digests.scan, "digest", unreadable)
    told = Told()
    place.convert(**HASH, progress=told)
    assert "2 file(s) scanned earlier are gone or can't be read; their stored content is kept" in told.messages
    assert place.result() == before


def test_batches_are_cut_by_number_and_by_bytes() -> None:
    sent: list[list[int]] = []

    class Watched(Synchronous):
        def map(self, function, items, **options):
            items = list(items)
            sent.extend([key for key, _, _ in batch] for batch in items)
            return super().map(function, items, **options)

    most = digests.BATCH
    sizes = [1] * most + [1, digests.BATCH_BYTES, 1]
    found = list(digests.read_digests(((n, "/nowhere", size) for n, size in enumerate(sizes)), Watched()))
    assert sent == [list(range(most)), [most, most + 1], [most + 2]]
    assert {one.key for one in found if one.problem} == set(range(most + 3))
    assert scan_phase.find_duplicates([], Watched()) == {}
