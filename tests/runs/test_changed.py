"""Files that have changed since they were converted: their images are made again, and nothing is lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pipeline import runs
from pipeline.config import from_dict
from pipeline.errors import OutputError
from pipeline.runs import conversion
from pipeline.scan import files
from support.changing_files import STACK, Archive, told
from support.series_files import dicom, pixels


def stamps(place: Archive, path: str = "") -> dict[str, tuple[int, int]]:
    root = place.out / "images.zarr" / path
    found = {str(one.relative_to(root)): one.stat() for one in root.rglob("*") if one.is_file()}
    return {name: (info.st_ino, info.st_mtime_ns) for name, info in found.items()}


# what becomes of it


def test_a_changed_slice(archive: Archive) -> None:
    others = stamps(archive, "1.2/1.2.4")
    archive.put("s3.dcm", pixels(33), 3)
    result = archive.convert()
    assert result.exit_code == 0, result.output
    assert "1 file(s) have changed since they were scanned" in told(result)
    assert "s3.dcm (another time of change)" in told(result)
    assert f"{STACK} is made again, because 1 of its files changed" in told(result)
    assert (
        f"1 file had changed since then. Converted again, because files of these images were added or changed: {STACK}."
        in told(result)
    )
    assert archive.rows()["s3.dcm"]["image"] == STACK
    assert stamps(archive, "1.2/1.2.4") == others
    archive.check()
    assert archive.files() == archive.fresh()


def test_a_changed_file_of_several_frames(archive: Archive) -> None:
    archive.put("m.dcm", pixels(21, 4), 9)
    result = archive.convert()
    assert result.exit_code == 0
    assert "bytes then" in told(result)
    assert archive.rows()["m.dcm"]["image"] == "1.2/1.2.3/1.2.3.9"
    archive.check()
    assert archive.files() == archive.fresh()


@pytest.mark.parametrize("series", ["1.2.4", "1.2.5"], ids=["to another", "to a new one"])
def test_a_file_that_moved_to_another_series(archive: Archive, series: str) -> None:
    archive.put("s3.dcm", pixels(3), 7, series=series)
    assert archive.convert().exit_code == 0
    assert archive.rows()["s3.dcm"]["image"] == f"1.2/{series}/stack-1"
    assert len(archive.image(STACK)) == 4
    archive.check()
    assert archive.files() == archive.fresh()


def test_a_series_that_all_files_left(archive: Archive) -> None:
    for number in (1, 2):
        archive.put(f"t{number}.dcm", pixels(40 + number), number, series="1.2.9")
    assert archive.convert().exit_code == 0
    assert not (archive.out / "images.zarr" / "1.2/1.2.4").exists()
    archive.check()
    assert archive.files() == archive.fresh()


def test_a_slice_of_another_format(archive: Archive) -> None:
    archive.put("s3.dcm", np.zeros((1, 8, 8), np.uint8), 3)
    assert archive.convert().exit_code == 0
    assert len({archive.rows()[f"s{number}.dcm"]["image"] for number in range(1, 6)}) == 2
    archive.check()


def test_a_slice_that_got_frames_and_a_long_file_that_lost_them(archive: Archive) -> None:
    archive.put("s3.dcm", pixels(50, 2), 3)
    archive.put("m.dcm", pixels(51), 9)
    assert archive.convert().exit_code == 0
    assert archive.rows()["s3.dcm"]["image"] == "1.2/1.2.3/1.2.3.3"
    assert archive.rows()["m.dcm"]["image"] == STACK
    archive.check()
    assert archive.files() == archive.fresh()


def test_two_files_changed_places_and_one_its_name(archive: Archive) -> None:
    one, other = pixels(3), pixels(11)
    archive.put("s3.dcm", other, 1, series="1.2.4")
    archive.put("t1.dcm", one, 3)
    archive.put("m.dcm", pixels(20, 3), 10)
    assert archive.convert().exit_code == 0
    assert archive.rows()["t1.dcm"]["image"] == STACK
    assert archive.rows()["m.dcm"]["image"] == "1.2/1.2.3/1.2.3.10"
    archive.check()
    assert archive.files() == archive.fresh()


def test_all_files_changed_and_one_came(archive: Archive) -> None:
    for number in range(1, 7):
        archive.put(f"s{number}.dcm", pixels(60 + number), number)
    archive.put("m.dcm", pixels(68, 3), 9)
    result = archive.convert()
    assert result.exit_code == 0
    assert "6 file(s) have changed" in told(result)
    assert "1 file(s) have come since" in told(result)
    archive.check()
    assert archive.files() == archive.fresh()


def test_changed_twice_and_back(archive: Archive) -> None:
    before = archive.files()
    for seed in (33, 34, 3):
        archive.put("s3.dcm", pixels(seed), 3)
        assert archive.convert().exit_code == 0
        archive.check()
    assert archive.files() == before


def test_copies_of_a_changed_file_become_images(archive: Archive) -> None:
    shutil.copy2(archive.folder / "s3.dcm", archive.folder / "copy.dcm")
    archive.convert()
    assert archive.rows()["copy.dcm"]["reason"] == "duplicate"
    archive.put("s3.dcm", pixels(33), 3)
    assert archive.convert().exit_code == 0
    assert archive.rows()["copy.dcm"]["status"] == "converted"
    archive.holds["copy.dcm"] = pixels(3)
    archive.check()
    assert archive.files() == archive.fresh()


def test_a_copy_that_was_deleted_on_the_word_that_it_is_stored_is_not_lost(archive: Archive) -> None:
    shutil.copy2(archive.folder / "s3.dcm", archive.folder / "copy.dcm")
    archive.convert()
    (archive.folder / "copy.dcm").unlink()
    before = archive.files(STACK)
    archive.put("s3.dcm", pixels(33), 3)
    assert "image_frozen" in archive.convert().output
    archive.check(**{"copy.dcm": "not_stored"})
    archive.put("s6.dcm", pixels(6), 6)
    archive.convert()
    assert archive.files(STACK) == before
    archive.check(**{"copy.dcm": "not_stored"})


def test_a_copy_that_changes_is_an_image(archive: Archive) -> None:
    shutil.copy2(archive.folder / "s3.dcm", archive.folder / "copy.dcm")
    archive.convert()
    archive.put("copy.dcm", pixels(70), 6)
    assert archive.convert().exit_code == 0
    archive.check()
    assert archive.files() == archive.fresh()


def test_it_became_a_copy_of_its_neighbour(archive: Archive) -> None:
    (archive.folder / "s3.dcm").write_bytes((archive.folder / "s2.dcm").read_bytes())
    archive.touch("s3.dcm")
    archive.holds["s3.dcm"] = pixels(2)
    assert archive.convert().exit_code == 0
    assert archive.rows()["s3.dcm"]["reason"] == "duplicate"
    archive.check(**{"s3.dcm": "copy"})
    assert archive.files() == archive.fresh()


# provably the same


def test_a_file_that_was_only_touched_is_read_and_nothing_written(archive: Archive) -> None:
    before, stamped = archive.files(), stamps(archive)
    for name in ("s3.dcm", "m.dcm"):
        archive.touch(name)
    result = archive.convert()
    assert result.exit_code == 0
    assert "2 file(s) were only touched: their header and pixels equal the stored ones" in told(result)
    assert "made again" not in told(result)
    assert "have changed" not in told(result)
    assert (archive.files(), stamps(archive)) == (before, stamped)
    assert archive.rows()["s3.dcm"]["mtime_ns"] == (archive.folder / "s3.dcm").stat().st_mtime_ns
    archive.check()


def test_a_header_that_changed_alone_is_a_change(archive: Archive) -> None:
    archive.put("s3.dcm", pixels(3), 3, PatientID="two")
    result = archive.convert()
    assert f"{STACK} is made again" in told(result)
    assert archive.rows()["s3.dcm"]["PatientID"] == "two"
    archive.check()


def test_touched_and_changed_at_once(archive: Archive) -> None:
    archive.touch("s2.dcm")
    archive.put("s3.dcm", pixels(33), 3)
    result = archive.convert()
    assert "1 file(s) were only touched" in told(result)
    assert "1 file(s) have changed" in told(result)
    archive.check()
    assert archive.files() == archive.fresh()


def test_a_known_sum_is_proof_enough(archive: Archive) -> None:
    archive.convert("--overwrite", "--set", "source.hash=true")
    before = (archive.out / "catalog.parquet").read_bytes()
    archive.touch("s3.dcm")
    assert "Nothing to do" in archive.convert().output
    assert "Nothing to do" in archive.convert("--set", "source.changed=refuse").output
    assert (archive.out / "catalog.parquet").read_bytes() == before
    archive.put("s3.dcm", pixels(33), 3)
    assert "s3.dcm (other content)" in told(archive.convert())
    archive.check()


# what can't be had again stays


def test_a_neighbour_that_is_gone_freezes_the_image(archive: Archive) -> None:
    before = archive.files(STACK)
    archive.remove("s2.dcm")
    archive.put("s3.dcm", pixels(33), 3)
    result = archive.convert()
    assert result.exit_code == 0
    assert f"image_frozen: {STACK} stays as it is" in told(result)
    assert "converted image_frozen 1" in told(result)
    assert archive.files(STACK) == before
    row = archive.rows()["s3.dcm"]
    assert (row["status"], row["reason"]) == ("converted", "image_frozen")
    assert f"images.zarr/{STACK} keeps what this file held before it changed" in row["message"]
    assert row["image"] == "1.2/1.2.3/stack-2"
    archive.check(**{"s2.dcm": "gone"})
    np.testing.assert_array_equal(archive.image(STACK)[2], pixels(3)[0])
    again = archive.folder / "s6.dcm"
    archive.put("s6.dcm", pixels(6), 6)
    assert archive.convert().exit_code == 0
    assert archive.rows()["s6.dcm"]["image"] == "1.2/1.2.3/stack-2"
    assert archive.rows()["s3.dcm"]["reason"] == "image_frozen"
    assert again.exists()
    archive.check(**{"s2.dcm": "gone"})


def test_put_back_it_is_one_stack_again(archive: Archive) -> None:
    away = archive.folder.with_name("away.dcm")
    shutil.move(archive.folder / "s2.dcm", away)
    archive.put("s3.dcm", pixels(33), 3)
    archive.convert()
    assert archive.rows()["s3.dcm"]["reason"] == "image_frozen"
    shutil.move(away, archive.folder / "s2.dcm")
    assert archive.convert().exit_code == 0
    assert {archive.rows()[f"s{number}.dcm"]["image"] for number in range(1, 6)} == {STACK}
    assert archive.rows()["s3.dcm"]["reason"] is None
    archive.check()
    assert archive.files() == archive.fresh()


GARBAGE: dict[str, Callable[[int], bytes]] = {
    "no DICOM": lambda _: b"nothing to see",
    "no pixels": lambda number: dicom(pixels(3), number)[:400],
    "cut": lambda number: dicom(pixels(3), number)[:-100],
    "undecodable": lambda number: dicom(pixels(3), number, broken=1),
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_a_file_that_can_no_longer_be_stored_keeps_the_image(archive: Archive, kind: str) -> None:
    before = archive.files(STACK)
    archive.write("s3.dcm", GARBAGE[kind](3))
    archive.put("s4.dcm", pixels(44), 4)
    result = archive.convert()
    assert result.exit_code == 1, result.output
    assert archive.files(STACK) == before
    row = archive.rows()["s3.dcm"]
    assert row["status"] == "failed"
    assert row["reason"] in {"not_dicom", "header_unreadable", "no_pixel_data", "pixel_data_too_short", "decode_failed"}
    assert row["message"].endswith(f"images.zarr/{STACK} keeps what this file held before it changed")
    assert f"image_frozen: {STACK} stays as it is" in told(result)
    assert archive.rows()["s4.dcm"]["reason"] == "image_frozen"
    assert archive.rows()["s5.dcm"]["image"] == STACK
    assert runs.status(archive.out).files == {
        ("failed", row["reason"]): 1,
        ("converted", ""): 6,
        ("converted", "image_frozen"): 1,
    }
    archive.check(**{"s3.dcm": "not_stored"})
    archive.put("s5.dcm", pixels(55), 5)  # another one changes: what s3.dcm held is kept all the same
    assert archive.convert().exit_code == 1
    assert archive.files(STACK) == before
    archive.check(**{"s3.dcm": "not_stored"})
    archive.put("s3.dcm", pixels(33), 3)
    assert archive.convert().exit_code == 0
    archive.check()
    assert archive.files() == archive.fresh()


@pytest.mark.parametrize("kind", GARBAGE)
def test_an_image_of_one_file_is_kept_as_well(archive: Archive, kind: str) -> None:
    before = archive.files()
    archive.write("m.dcm", dicom(pixels(20, 3), 9, broken=3) if kind == "undecodable" else GARBAGE[kind](9))
    assert archive.convert().exit_code == 1
    assert archive.files() == before
    assert archive.rows()["m.dcm"]["status"] == "failed"
    archive.check(**{"m.dcm": "not_stored"})
    (archive.folder / "m.dcm").unlink()
    archive.convert()
    assert archive.files() == before


def test_a_file_of_which_some_frames_can_be_decoded_is_not_tried_again_and_again(archive: Archive) -> None:
    archive.write("m.dcm", dicom(pixels(20, 3), 9, broken=1))
    assert archive.convert().exit_code == 1
    archive.check(**{"m.dcm": "not_stored"})


def test_it_moved_to_another_series_and_can_not_be_decoded_there(archive: Archive) -> None:
    before = archive.files()
    archive.write("s3.dcm", dicom(pixels(3), 7, series="1.2.4", broken=1))
    assert archive.convert().exit_code == 1
    assert archive.files(STACK) == {
        name.removeprefix(f"{STACK}/"): data for name, data in before.items() if name.startswith(STACK)
    }
    assert archive.rows()["s3.dcm"]["reason"] == "decode_failed"
    archive.check(**{"s3.dcm": "not_stored"})


@pytest.mark.parametrize("reason", ["decode_failed", "unreadable"])
def test_a_neighbour_that_can_not_be_decoded_any_more(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    before = archive.files(STACK)
    decode = conversion.convert

    def without(task, job, **more):
        done = decode(task, job, **more)
        bad = {i for region in task.regions for i, one in region.instances.items() if one.source.endswith("s2.dcm")}
        failure = conversion.Failure(reason, "s2.dcm: it can't be decoded today")
        outcomes = (replace(one, failure=failure) if one.instance in bad else one for one in done.outcomes)
        return replace(done, outcomes=tuple(outcomes))

    archive.put("s3.dcm", pixels(33), 3)
    with monkeypatch.context() as patch:
        patch.setattr(conversion, "convert", without)
        result = archive.convert()
    assert result.exit_code == 0
    assert f"image_frozen: {STACK} stays as it is, because not all of its content could be stored again" in told(result)
    assert archive.files(STACK) == before
    assert archive.rows()["s3.dcm"]["reason"] == "image_frozen"
    if reason == "unreadable":  # no verdict on the file: it is tried again
        assert archive.convert().exit_code == 0
        assert archive.files() == archive.fresh()
    archive.check()


def test_a_new_slice_that_can_not_be_decoded_takes_nothing_away(archive: Archive) -> None:
    archive.write("s6.dcm", dicom(pixels(6), 6, broken=1))
    archive.put("s3.dcm", pixels(33), 3)
    assert archive.convert().exit_code == 1
    assert len(archive.image(STACK)) == 6
    archive.check(**{"s6.dcm": "not_stored"})


def test_a_file_that_cannot_be_read_counts_as_gone(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = files._entry

    def away(one):
        return files.SourceFile(one.path, -1, problem="unreadable") if one.name == "s2.dcm" else entry(one)

    before = archive.files(STACK)
    archive.put("s3.dcm", pixels(33), 3)
    with monkeypatch.context() as patch:
        patch.setattr(files, "_entry", away)
        result = archive.convert()
    assert result.exit_code == 0
    assert "1 file(s) scanned earlier are gone or can't be read" in told(result)
    assert archive.files(STACK) == before
    assert archive.convert().exit_code == 0  # now it can
    assert archive.files() == archive.fresh()
    archive.check()


# settings


def test_refused(archive: Archive) -> None:
    before = archive.files()
    archive.put("s3.dcm", pixels(33), 3)
    result = archive.convert("--set", "source.changed=refuse")
    assert result.exit_code == 2
    assert "s3.dcm (another time of change)" in told(result)
    assert archive.files() == before
    with pytest.raises(OutputError) as caught:
        runs.run(from_dict(archive.values(changed="refuse")))
    assert caught.value.reason == "source_changed"
    assert archive.convert().exit_code == 0
    archive.check()
