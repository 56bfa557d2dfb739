"""Runs that are interrupted while they make changed images again: the old image stands until the new one is whole."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import pytest

from pipeline import runs, store
from pipeline.config import from_dict
from pipeline.runs import conversion, grow, replacement, stages
from pipeline.storage import Folder, OutputDir
from pipeline.verify import verify
from support.changing_files import STACK, Archive
from support.series_files import dicom, pixels


def old_is_whole(place: Archive) -> bool:
    """Return whether a reader sees the stack as it was."""
    if not store.is_image(OutputDir.of(place.out), STACK):
        return False
    return np.array_equal(place.image(STACK), np.concatenate([pixels(number) for number in range(1, 6)]))


@pytest.fixture
def disturbed(archive: Archive) -> Archive:
    """A folder in which one file changed, one moved, one came, and one can't be decoded."""
    archive.put("s3.dcm", pixels(33), 3)
    archive.put("t2.dcm", pixels(12), 8)
    archive.put("s6.dcm", pixels(6), 6)
    archive.write("m.dcm", dicom(pixels(20, 3), 9, broken=1))
    return archive


@pytest.fixture(scope="module")
def undisturbed() -> list[tuple[dict[str, bytes], list[dict[str, Any]]]]:
    """The result of the same runs without an interruption, once it is known."""
    return []


@pytest.fixture
def expected(
    disturbed: Archive, undisturbed: list[tuple[dict[str, bytes], list[dict[str, Any]]]]
) -> tuple[dict[str, bytes], list[dict[str, Any]]]:
    if not undisturbed:
        saved = disturbed.out.with_name("saved")
        shutil.copytree(disturbed.out, saved)
        assert disturbed.convert().exit_code == 1
        undisturbed.append(disturbed.result())
        shutil.rmtree(disturbed.out)
        saved.rename(disturbed.out)
    return undisturbed[0]


class StoppedError(BaseException):
    """Simulates the end of the process."""


def stop(*_: Any, **__: Any) -> Any:
    raise StoppedError


STEPS: list[tuple[Any, str, int]] = [
    (stages, "scan_more", 1),
    (grow, "_carry_over_records", 1),
    (grow, "save", 1),
    (stages, "resume_conversion", 1),
    (conversion, "execute", 3),
    (conversion, "execute", 6),
    (stages, "find_losing", 1),
    (grow, "_carry_over_records", 2),
    (grow, "save", 2),
    (stages, "resume_conversion", 2),
    (stages, "settle", 1),
    (replacement.store, "take_place", 1),
    (replacement.store, "take_place", 2),
    (replacement, "save", 1),
    (replacement.store, "remove_replaced", 1),
    (stages, "complete", 1),
]


@pytest.mark.parametrize(
    ("where", "name", "call"), STEPS[::2], ids=lambda value: getattr(value, "__name__", str(value))
)
def test_stopped_before_any_step_it_goes_on(
    disturbed: Archive, expected: Any, monkeypatch: pytest.MonkeyPatch, *, where: Any, name: str, call: int
) -> None:
    whole, left = getattr(where, name), iter(range(call - 1))

    def stopped(*args: Any, **options: Any) -> Any:
        return stop() if next(left, None) is None else whole(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(where, name, stopped)
        with pytest.raises(StoppedError):
            disturbed.convert()
    if STEPS.index((where, name, call)) <= STEPS.index((replacement.store, "take_place", 1)):
        assert old_is_whole(disturbed)
    assert disturbed.convert().exit_code == 1
    assert disturbed.result() == expected
    disturbed.check(**{"m.dcm": "not_stored"})


def test_stopped_between_the_two_renames(disturbed: Archive, expected: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    move = Folder.move

    def once(folder: Folder, name: str, other: Folder, its: str) -> None:
        move(folder, name, other, its)
        if "replaced" in other.path:
            raise StoppedError

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "exchange", lambda *_: False)
        patch.setattr(Folder, "move", once)
        with pytest.raises(StoppedError):
            disturbed.convert()
    disturbed.convert()
    assert disturbed.result() == expected


@pytest.mark.parametrize("happens", ["changed again", "neighbour gone", "garbage", "touched", "came"])
def test_the_folder_changes_again_before_it_goes_on(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, happens: str
) -> None:
    before = archive.files(STACK)
    archive.put("s3.dcm", pixels(33), 3)
    with monkeypatch.context() as patch:
        patch.setattr(stages, "find_losing", stop)
        with pytest.raises(StoppedError):
            archive.convert()
    check_again(archive, before, happens, complete=True)


@pytest.mark.parametrize("happens", ["changed again", "neighbour gone", "garbage", "touched", "came"])
def test_the_folder_changes_again_while_little_is_done(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, happens: str
) -> None:
    before = archive.files(STACK)
    archive.put("s3.dcm", pixels(33), 3)
    with monkeypatch.context() as patch:
        patch.setattr(conversion, "execute", stop)
        with pytest.raises(StoppedError):
            archive.convert()
    check_again(archive, before, happens, complete=False)


def check_again(archive: Archive, before: dict[str, bytes], happens: str, *, complete: bool) -> None:
    assert archive.files(STACK) == before
    verdicts, code = {}, 0
    if happens == "changed again":
        archive.put("s3.dcm", pixels(34), 3)
    elif happens == "neighbour gone":
        archive.remove("s2.dcm")
        verdicts["s2.dcm"] = "gone"
    elif happens == "garbage":
        archive.write("s3.dcm", b"nothing")
        verdicts["s3.dcm"], code = "not_stored", 1
    elif happens == "touched":
        archive.touch("s2.dcm")
    else:
        archive.put("s6.dcm", pixels(6), 6)
    result = archive.convert()
    assert result.exit_code == code, result.output
    archive.check(**verdicts)
    if happens == "neighbour gone":
        assert (archive.files(STACK) == before) is not complete
        assert archive.rows()["s3.dcm"]["reason"] == (None if complete else "image_frozen")
    elif happens == "garbage":
        assert (archive.files(STACK) == before) is not complete
    else:
        assert archive.files() == archive.fresh()


def test_changed_between_scan_and_task_it_is_redone_by_the_next_run(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = archive.files(STACK)
    convert, done = conversion.convert, []

    def late(task, job, **more):
        if not done:
            done.append(True)
            archive.put("s3.dcm", pixels(34), 3)
        return convert(task, job, **more)

    archive.put("s3.dcm", pixels(33), 3)
    with monkeypatch.context() as patch:
        patch.setattr(conversion, "convert", late)
        assert archive.convert().exit_code == 1
    assert archive.rows()["s3.dcm"]["reason"] == "source_changed"
    assert archive.files(STACK) == before
    assert archive.convert().exit_code == 0
    archive.check()
    assert archive.files() == archive.fresh()


def test_changed_before_it_was_stored(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    execute, left = conversion.execute, iter(range(4))

    def stopping(step: Any, job: Any) -> Any:
        return stop() if next(left, None) is None else execute(step, job)

    with monkeypatch.context() as patch:
        patch.setattr(conversion, "execute", stopping)
        with pytest.raises(StoppedError):
            archive.convert("--overwrite")
    archive.put("s3.dcm", pixels(33), 3)
    archive.write("s4.dcm", b"nothing")
    assert archive.convert().exit_code == 0
    archive.check(**{"s4.dcm": "not_stored"})
    assert archive.files() == archive.fresh()


def test_part_of_a_file_that_was_salvaged_is_kept_too(archive: Archive) -> None:
    damaged = dicom(pixels(20, 3), 9, rle=True)
    archive.write("m.dcm", damaged[:-150])
    options = ("--overwrite", "--set", "decode.salvage=true")
    assert archive.convert(*options).exit_code == 1
    before = archive.files()
    assert archive.rows()["m.dcm"]["frames_missing"] == 1
    archive.write("m.dcm", dicom(pixels(20, 3), 9, broken=1))
    assert archive.convert(*options[1:]).exit_code == 1
    assert archive.files() == before


def test_verify_and_status_while_it_is_under_way(disturbed: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(stages, "find_losing", stop)
        with pytest.raises(StoppedError):
            disturbed.convert()
    found = verify(disturbed.out, cluster={"kind": "synchronous"})
    codes = {problem.code for problem in found.problems}
    assert "unfinished_run" in codes
    assert not codes & {"extra_file", "changed_file", "missing_file", "frame_differs"}, found.problems
    assert (f"images.zarr/{STACK}", "it is being made again") in {(one.where, one.message) for one in found.problems}
    assert runs.status(disturbed.out).phase == "convert"
    assert store.list_images(OutputDir.of(disturbed.out)) == sorted({STACK, "1.2/1.2.3/1.2.3.9", "1.2/1.2.4/stack-1"})


def test_jobs_that_know_nothing_of_each_other(disturbed: Archive, expected: Any) -> None:
    parts = runs.init(from_dict(disturbed.values()), partitions=3)
    for number in (2, 0, 1):
        runs.convert_partition(disturbed.out, number)
        assert old_is_whole(disturbed)
    assert len(parts) == 3
    summary = runs.finalize(disturbed.out, cluster=from_dict(disturbed.values()).cluster)
    assert summary.exit_code == 1
    assert disturbed.result() == expected
    disturbed.check(**{"m.dcm": "not_stored"})
    assert runs.finalize(disturbed.out).unchanged


@pytest.mark.parametrize("kind", ["threads", "local"])
def test_on_other_executors(disturbed: Archive, expected: Any, kind: str) -> None:
    result = disturbed.convert("--cluster", kind, "--workers", "2")
    assert result.exit_code == 1, result.output
    assert disturbed.result() == expected
