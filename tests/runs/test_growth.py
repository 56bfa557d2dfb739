"""Files that come later, go away, or are replaced: stored images stay, and new files are added."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import zarr
from pydicom import dcmread

from pipeline import catalog
from pipeline.errors import OutputError
from pipeline.runs import conversion, grow, stages
from pipeline.storage import OutputDir
from support import varied_files as files
from support.stored_frames import stored_frames
from support.varied_files import Place


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sources that are read by every conversion of the test."""
    read: list[str] = []
    convert = conversion.convert

    def watched(task, job, **given):
        read.extend(one.source for region in task.regions for one in region.instances.values())
        return convert(task, job, **given)

    monkeypatch.setattr(conversion, "convert", watched)
    return read


def stamps(place: Place) -> dict[str, tuple[int, int]]:
    root = place.out / "images.zarr"
    found = {str(path.relative_to(root)): path.stat() for path in root.rglob("*") if path.is_file()}
    return {name: (info.st_ino, info.st_mtime_ns) for name, info in found.items()}


def rows(place: Place) -> dict[str, dict]:
    return {Path(row["source"]).name: row for row in place.rows()}


def check_pixels(place: Place) -> None:
    """Every converted row leads to the file's own pixels, whether the file is still there or not."""
    found = [row for row in place.rows() if row["status"] == "converted"]
    assert found
    for row in found:
        pixels = zarr.open_array(place.out / "images.zarr" / row["image"] / "pixels", mode="r")
        stored = stored_frames(pixels, slice(row["frame_start"], row["frame_start"] + row["num_frames"]))
        original = dcmread(place.folder.with_name("originals") / Path(row["source"]).name).pixel_array
        np.testing.assert_array_equal(stored.reshape(original.shape), original)


@pytest.fixture
def kept(varied: Place, pydicom_folder: Path) -> Place:
    """The varied files with a copy of each, and of later ones, in a place that no run knows."""
    originals = varied.folder.with_name("originals")
    shutil.copytree(varied.folder, originals)
    files.add_series(originals, pydicom_folder / "CT_small.dcm", range(6, 9))
    files.add_series(originals, pydicom_folder / "CT_small.dcm", range(1, 4), series="1.2.3.5")
    return varied


def arrive(place: Place, pattern: str) -> list[str]:
    new = sorted(path for path in place.folder.with_name("originals").glob(pattern))
    for path in new:
        shutil.copy2(path, place.folder)
    assert new
    return [str(place.folder / path.name) for path in new]


def test_a_new_series_is_added_and_nothing_else_touched(kept: Place, executed: list[str]) -> None:
    kept.convert()
    before, known = stamps(kept), rows(kept)
    executed.clear()
    new = arrive(kept, "series-1.2.3.5-*")
    kept.convert()
    assert sorted(executed) == new
    after = stamps(kept)
    assert {name: after[name] for name in before} == before
    assert rows(kept).items() >= known.items()
    assert len(rows(kept)) == len(known) + 3
    check_pixels(kept)
    executed.clear()
    kept.convert()
    assert executed == []
    fresh = kept.elsewhere("fresh")
    fresh.convert()
    assert fresh.pixels() == kept.pixels()
    assert {name: row for name, row in rows(fresh).items() if name != "copy.dcm"} == {
        name: row for name, row in rows(kept).items() if name != "copy.dcm"
    }


@pytest.mark.parametrize("name", ["notes-2.txt", "copy-2.dcm"])
def test_a_file_that_gives_no_image_is_a_row_and_nothing_else(kept: Place, executed: list[str], name: str) -> None:
    kept.convert()
    before, known = kept.pixels(), rows(kept)
    executed.clear()
    shutil.copy2(kept.folder / name.replace("-2", ""), kept.folder / name)
    summary = kept.convert()
    assert summary.this_run.added_files == 1
    assert executed == []
    assert kept.pixels() == before
    found = rows(kept)
    assert found.keys() - known.keys() == {name}
    assert found[name]["status"] == known[name.replace("-2", "")]["status"]
    assert kept.convert().unchanged


def test_a_series_that_grew_is_made_again_in_its_place(kept: Place, executed: list[str]) -> None:
    kept.convert()
    before = stamps(kept)
    image = rows(kept)["series-1.2.3.4-001.dcm"]["image"]
    executed.clear()
    arrive(kept, "series-1.2.3.4-00[678]*")
    kept.convert()
    assert {Path(source).name for source in executed} == {f"series-1.2.3.4-{n:03}.dcm" for n in range(1, 9)}
    untouched = {name: stamp for name, stamp in before.items() if not name.startswith(image)}
    assert stamps(kept).items() >= untouched.items()
    assert catalog.read_facts(OutputDir.of(kept.out))["grown"] == [image]
    assert zarr.open_array(kept.out / "images.zarr" / image / "pixels", mode="r").shape[0] == 8
    check_pixels(kept)
    fresh = kept.elsewhere("fresh")
    fresh.convert()
    assert fresh.pixels() == kept.pixels()


def test_originals_deleted_after_their_conversion_are_kept_while_others_come(kept: Place, executed: list[str]) -> None:
    kept.convert()
    before, known = stamps(kept), rows(kept)
    for name, row in known.items():
        if row["status"] in {"converted", "skipped"}:
            (kept.folder / name).unlink()
    executed.clear()
    kept.convert()
    assert executed == []
    assert (stamps(kept), rows(kept)) == (before, known)
    new = arrive(kept, "series-1.2.3.4-00[678]*") + arrive(kept, "series-1.2.3.5-*")
    kept.convert()
    assert sorted(executed) == sorted(new)
    assert stamps(kept).items() >= before.items()
    assert rows(kept).items() >= known.items()
    images = {rows(kept)[f"series-1.2.3.4-00{n}.dcm"]["image"].rpartition("/")[2] for n in (1, 5, 6, 8)}
    assert images == {"stack-1", "stack-2"}
    check_pixels(kept)


def test_a_source_folder_that_was_deleted_after_its_conversion(kept: Place) -> None:
    kept.convert()
    known = rows(kept)
    shutil.rmtree(kept.folder)
    summary = kept.convert()
    assert rows(kept) == known
    assert summary.count("converted") == 10


@pytest.mark.parametrize(
    ("where", "step", "after"),
    [(stages, "scan_more", True), (grow, "grow", False), (grow, "_carry_over_records", True), (grow, "save", False)],
)
def test_stopped_while_it_grows(
    kept: Place, monkeypatch: pytest.MonkeyPatch, where: ModuleType, step: str, *, after: bool
) -> None:
    kept.convert()
    arrive(kept, "series-*")
    whole = getattr(where, step)

    def stopped(*args: object, **options: object) -> None:
        if after:
            whole(*args, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(where, step, stopped)
        with pytest.raises(KeyboardInterrupt):
            kept.convert()
    kept.convert()
    check_pixels(kept)
    fresh = kept.elsewhere("fresh")
    fresh.convert()
    assert fresh.pixels() == kept.pixels()


def test_stopped_before_a_grown_series_is_made_again_it_stands_as_it_was(
    kept: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.convert()
    before, image = stamps(kept), rows(kept)["series-1.2.3.4-001.dcm"]["image"]
    arrive(kept, "series-1.2.3.4-00[678]*")
    with monkeypatch.context() as patch:
        patch.setattr(stages.Conversion, "run", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            kept.convert()
    assert stamps(kept) == before
    assert zarr.open_group(kept.out / "images.zarr" / image, mode="r")["pixels"].shape[0] == 5
    kept.convert()
    assert zarr.open_group(kept.out / "images.zarr" / image, mode="r")["pixels"].shape[0] == 8
    check_pixels(kept)


def test_a_file_that_gave_no_image_may_be_replaced(kept: Place) -> None:
    kept.convert()
    assert rows(kept)["notes.txt"]["status"] == "rejected"
    shutil.copy(kept.folder.with_name("originals") / "series-1.2.3.5-001.dcm", kept.folder / "notes.txt")
    summary = kept.convert()
    assert rows(kept)["notes.txt"]["status"] == "converted"
    assert sum(row["source"].endswith("notes.txt") for row in kept.rows()) == 1
    assert summary.count("rejected") == 0


def test_a_file_that_holds_an_image_may_too_unless_that_is_refused(kept: Place) -> None:
    kept.convert()
    before = kept.result()
    path = kept.folder / "MR_small.dcm"
    path.write_bytes(path.read_bytes() + b"\0\0")
    with pytest.raises(OutputError, match=r"MR_small\.dcm \(9830 bytes then, 9832 now\)"):
        kept.convert(source={"changed": "refuse"})
    assert kept.result() == before
    kept.convert()
    check_pixels(kept)
    assert kept.pixels().items() >= before[0].items()
    assert rows(kept)["MR_small.dcm"]["file_size"] == 9832
    assert rows(kept)["copy.dcm"]["status"] == "converted"  # it is no copy any more


def test_a_file_that_failed_may_be_replaced_and_its_image_is_made_again(kept: Place) -> None:
    originals = kept.folder.with_name("originals")
    broken = kept.folder / "series-1.2.3.4-002.dcm"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:-1000])
    kept.convert()
    known = rows(kept)
    assert known[broken.name]["status"] == "failed"
    shutil.copy2(originals / broken.name, broken)
    kept.convert()
    assert rows(kept)[broken.name]["status"] == "converted"
    assert len(kept.rows()) == len(known)
    check_pixels(kept)


def test_a_missing_shard_is_not_made_again_at_the_cost_of_others_when_originals_are_gone(kept: Place) -> None:
    kept.convert()
    row = rows(kept)["rtdose_rle.dcm"]
    shards = sorted((kept.out / "images.zarr" / row["image"] / "pixels" / "c").iterdir())
    assert len(shards) > 1
    shutil.rmtree(shards[0])
    before = stamps(kept)
    (kept.folder / "rtdose_rle.dcm").unlink()
    with pytest.raises(OutputError, match=r"rtdose_rle\.dcm is gone") as caught:
        kept.convert()
    assert caught.value.reason == "originals_gone"
    assert stamps(kept) == before


def test_a_file_that_could_not_be_read_is_tried_again(kept: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    away = kept.folder.with_name("away.dcm")
    lost = kept.folder / "series-1.2.3.4-002.dcm"
    with monkeypatch.context() as patch:
        whole = stages.prepare_and_save
        patch.setattr(stages, "prepare_and_save", lambda run: (whole(run), lost.rename(away))[0])
        kept.convert()
    assert rows(kept)[lost.name]["reason"] == "file_not_found"
    kept.convert()
    assert rows(kept)[lost.name]["reason"] == "file_not_found"
    away.rename(lost)
    kept.convert()
    assert rows(kept)[lost.name]["status"] == "converted"
    check_pixels(kept)
