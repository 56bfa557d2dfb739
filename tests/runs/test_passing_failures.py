"""Failures for a reason outside the file aren't a verdict on it: the file is read again, now and by the next run."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import pipeline
from pipeline.errors import RETRIED
from pipeline.model import Failure
from pipeline.report.reason_advice import ADVICE
from pipeline.runs import conversion, scan_phase
from pipeline.scan import patterns
from pipeline.storage import local_file, patience
from pipeline.storage.local_file import LocalFile
from pipeline.tasks.convert_frames import decode_frames
from support import varied_files as files
from support.varied_files import Place
from support.web_server import webserver

NAME = "series-1.2.3.4-003.dcm"
METHODS = ("read", "readinto", "readall")
Rows = list[dict[str, Any]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_file, "PAUSES", (0.001, 0.001, 0.001))
    monkeypatch.setattr(local_file, "_waited", 0.0)


@pytest.fixture
def undisturbed(varied: Place) -> tuple[dict[str, str], Rows]:
    other = varied.elsewhere("undisturbed")
    other.convert()
    return other.pixels(), rows(other)


def rows(place: Place) -> Rows:
    """The catalog without the columns that tell where a row came from, in the order of the sources."""
    return sorted(place.rows(), key=lambda row: row["source"])


@contextmanager
def broken(number: int, times: int, name: str = NAME) -> Iterator[list[int]]:
    """Let reading a file fail with a system error this many times; return a list of the failures."""
    told: list[int] = []
    bases = LocalFile.__bases__

    def failing(method: str) -> Callable[..., Any]:
        def read(file: io.FileIO, *arguments: Any) -> Any:
            if Path(str(file.name)).name == name and len(told) < times:
                told.append(number)
                raise OSError(number, os.strerror(number))
            return getattr(bases[0], method)(file, *arguments)

        return read

    LocalFile.__bases__ = (type("Broken", bases, {method: failing(method) for method in METHODS}),)
    try:
        yield told
    finally:
        LocalFile.__bases__ = bases


def reason_of(place: Place, name: str = NAME) -> tuple[str, str | None]:
    (row,) = (row for row in place.rows() if row["source"].endswith(f"/{name}"))
    return row["status"], row["reason"]


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN], ids=errno.errorcode.get)
def test_a_read_that_fails_is_tried_again_at_once(
    varied: Place, undisturbed: tuple[dict[str, str], Rows], number: int
) -> None:
    with broken(number, times=3) as told:
        varied.convert()
    assert len(told) == 3
    assert (varied.pixels(), rows(varied)) == undisturbed


def test_while_it_converts_too(
    varied: Place, undisturbed: tuple[dict[str, str], Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    convert = conversion.convert

    def disturbed(*arguments: Any, **options: Any) -> Any:
        with broken(errno.EIO, times=2):
            return convert(*arguments, **options)

    monkeypatch.setattr(conversion, "convert", disturbed)
    varied.convert()
    assert (varied.pixels(), rows(varied)) == undisturbed


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES], ids=errno.errorcode.get)
def test_the_next_run_reads_what_the_scan_could_not(
    varied: Place, undisturbed: tuple[dict[str, str], Rows], number: int
) -> None:
    with broken(number, times=99):
        assert varied.convert().exit_code == 1
        assert reason_of(varied) == ("failed", "unreadable")
    varied.convert()
    assert (varied.pixels(), rows(varied)) == undisturbed
    assert varied.convert().unchanged


def test_files_that_fail_again_change_nothing(varied: Place, undisturbed: tuple[dict[str, str], Rows]) -> None:
    with broken(errno.EIO, times=99):
        varied.convert()
        before = {path: path.stat().st_mtime_ns for path in varied.out.rglob("*") if path.is_file()}
        assert varied.convert().unchanged
        assert varied.convert().unchanged
    assert {path: path.stat().st_mtime_ns for path in varied.out.rglob("*") if path.is_file()} == before
    assert not varied.convert().unchanged
    assert (varied.pixels(), rows(varied)) == undisturbed


def test_some_of_what_failed_fails_again(varied: Place, undisturbed: tuple[dict[str, str], Rows]) -> None:
    other = "MR_small.dcm"
    with broken(errno.EIO, times=99), broken(errno.EIO, times=99, name=other):
        varied.convert()
    with broken(errno.EIO, times=99):
        varied.convert()
        assert reason_of(varied) == ("failed", "unreadable")
        assert reason_of(varied, other)[0] in {"converted", "skipped"}
    summary = varied.convert()
    assert reason_of(varied) == ("converted", None)
    assert summary.exit_code == 1  # cut.dcm
    assert len(varied.rows()) == len(undisturbed[1])


def test_a_folder_that_could_not_be_listed(
    varied: Place, undisturbed: tuple[dict[str, str], Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = varied.folder / "inner"
    inner.mkdir()
    (varied.folder / NAME).rename(inner / NAME)
    whole = varied.elsewhere("whole")
    whole.convert()
    real = os.scandir

    def refusing(path: Any) -> Any:
        if path == str(inner):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(patterns.os, "scandir", refusing)
        varied.convert()
        assert reason_of(varied, "inner") == ("failed", "unreadable")
        assert varied.convert().unchanged
    varied.convert()
    assert (varied.pixels(), rows(varied)) == (whole.pixels(), rows(whole))
    assert len(undisturbed[1]) == len(rows(whole))


def test_a_scan_task_that_was_lost(
    varied: Place, undisturbed: tuple[dict[str, str], Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: Any, **__: Any) -> Any:
        raise RuntimeError("the worker is gone")

    with monkeypatch.context() as patch:
        patch.setattr(scan_phase.scan, "scan_batch", lost)
        varied.convert()
    assert {(row["status"], row["reason"]) for row in varied.rows()} == {("failed", "worker_lost")}
    varied.convert()
    assert (varied.pixels(), rows(varied)) == undisturbed


@pytest.mark.parametrize("reason", ["timeout", "source_changed", "write_failed"])  # all are treated alike
def test_a_conversion_that_failed_for_a_reason_outside_the_file(
    varied: Place, undisturbed: tuple[dict[str, str], Rows], monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    convert = conversion.convert

    def unlucky(task: Any, job: Any, **given: Any) -> Any:
        def decode(instance: Any, frames: range, job: Any, place: Any) -> Iterator[Any]:
            if instance.source.endswith(NAME):
                yield Failure(reason, "not now", 0)
                return
            yield from decode_frames(instance, frames, job, place)

        return convert(task, job, decode=decode, **given)

    with monkeypatch.context() as patch:
        patch.setattr(conversion, "convert", unlucky)
        varied.convert()
    assert reason_of(varied) == ("failed", reason)
    varied.convert()
    assert (varied.pixels(), rows(varied)) == undisturbed


def test_a_verdict_on_the_content_stays(varied: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    varied.convert()
    read: list[str] = []
    batch = scan_phase.scan.scan_batch
    monkeypatch.setattr(scan_phase.scan, "scan_batch", lambda f, *a, **o: read.extend(f) or batch(f, *a, **o))
    assert reason_of(varied, "cut.dcm")[0] == "failed"
    assert varied.convert().unchanged
    assert read == []


def test_a_server_that_refuses_for_a_while(varied: Place, tmp_path: Path) -> None:
    listed = [f"{path.name}" for path in sorted(varied.folder.glob("*.dcm"))]
    out = tmp_path / "from the web"
    with webserver(varied.folder) as port:
        urls = [f"http://127.0.0.1:{port}/{name}" for name in listed]
        options: dict[str, Any] = {
            "cluster": files.IN_SMALL_TASKS,
            "storage": {"allow_http": True, "retries": 1},
            "output": {"shard": 3000},
        }
        hidden = (varied.folder / NAME).rename(varied.folder / "elsewhere")
        (varied.folder / NAME).mkdir()  # answered with 404
        pipeline.convert(urls, out, **options)
        assert reason_of(Place(varied.folder, out)) == ("failed", "file_not_found")
        (varied.folder / NAME).rmdir()
        hidden.rename(varied.folder / NAME)
        pipeline.convert(urls, out, **options)
        assert reason_of(Place(varied.folder, out)) == ("converted", None)
        assert pipeline.convert(urls, out, **options).unchanged


def test_a_dead_disk_is_not_waited_for_all_night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"1")
    waited: list[float] = []
    monkeypatch.setattr(local_file, "PAUSES", (0.1, 0.4, 1.5))
    monkeypatch.setattr(patience.time, "sleep", waited.append)
    with broken(errno.EIO, times=10**6, name="x"):
        for _ in range(100):
            with LocalFile(str(path)) as file, pytest.raises(OSError, match="Input/output"):
                file.read()
    assert 20 < sum(waited) <= local_file.IN_ALL


def test_every_reason_that_asks_for_another_run_gets_one() -> None:
    failed = list(ADVICE)[: list(ADVICE).index("image_frozen")]
    again = {reason for reason in failed if "un again" in ADVICE[reason] or "same command again" in ADVICE[reason]}
    assert again <= RETRIED
    assert set(ADVICE) >= RETRIED


def test_without_uids_the_result_does_not_depend_on_where_the_files_lie(varied: Place, tmp_path: Path) -> None:
    folder = tmp_path / "no uids"
    folder.mkdir()
    for number in (1, 2, 3, 10):
        ds = files.pydicom.dcmread(varied.folder / "series-1.2.3.4-001.dcm")
        for keyword in ("SOPInstanceUID", "InstanceNumber", "ImagePositionPatient"):
            delattr(ds, keyword)
        del ds.file_meta.MediaStorageSOPInstanceUID
        ds.PixelData = bytes([number, 0]) * (ds.Rows * ds.Columns)
        ds.save_as(folder / f"slice-{number:02}.dcm", enforce_file_format=False)
    (folder / "MR.dcm").write_bytes((varied.folder / "MR_small.dcm").read_bytes())
    here = Place(folder, tmp_path / "out-1")
    here.convert()
    moved = Place(folder.rename(tmp_path / "a long way off"), tmp_path / "out-2")
    moved.convert()
    assert here.pixels() == moved.pixels()
    (image,) = {row["image"] for row in here.rows() if "slice-" in row["source"]}
    frames = zarr.open_array(here.out / "images.zarr" / image / "pixels", mode="r")
    assert [int(frame.max()) for frame in np.asarray(frames)] == [1, 2, 3, 10]
    with webserver(moved.folder) as port:
        urls = [f"http://127.0.0.1:{port}/{path.name}" for path in sorted(moved.folder.iterdir())]
        options: dict[str, Any] = {"cluster": {"kind": "synchronous"}, "output": {"shard": 3000}}
        pipeline.convert(urls, tmp_path / "out-3", storage={"allow_http": True}, **options)
    assert Place(folder, tmp_path / "out-3").pixels() == here.pixels()


def test_the_documentation_names_these_reasons() -> None:
    docs = (Path(__file__).parents[2] / "docs" / "reasons.md").read_text("utf-8")
    told = docs.partition("What failed for a reason outside of the file")[2].partition("What failed for its content")[0]
    assert set(told.split("`")[1::2]) == RETRIED
