"""A run that resumes another one ends as if there had been no interruption."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline import catalog, store
from pipeline.errors import OutputError
from pipeline.output import ledger, lock
from pipeline.runs import completion, conversion, stages
from pipeline.storage import OutputDir
from pipeline.tasks import isolated
from support import varied_files as files
from support.varied_files import Place


def segment(place: Place) -> Path:
    return min((place.out / "ledger").glob("*.jsonl"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, pydicom_folder: Path) -> Place:
    """An undisturbed result, made once; no test changes it or its sources."""
    folder = tmp_path_factory.mktemp("undisturbed")
    files.fill(folder / "in", pydicom_folder)
    place = Place(folder / "in", folder / "whole")
    summary = place.convert()
    assert summary.count("converted") == 10
    assert summary.count("failed") == 1
    assert len(catalog.read_plan(OutputDir.of(place.out)).tasks) > 8, "or there is nothing to interrupt"
    return place


@pytest.fixture
def whole(undisturbed: Place) -> Place:
    return undisturbed


@pytest.fixture
def varied(undisturbed: Place, tmp_path: Path) -> Place:
    """Another output of the same sources."""
    return Place(undisturbed.folder, tmp_path / "out")


def test_from_every_prefix_of_the_ledger_the_result_is_the_same(varied: Place, whole: Place) -> None:
    expected = whole.result()
    lines = segment(whole).read_bytes().splitlines(keepends=True)
    for count in {*range(0, len(lines), 3), len(lines) - 1, len(lines)}:  # half a line behind every other one
        shutil.rmtree(varied.out, ignore_errors=True)
        shutil.copytree(whole.out, varied.out)
        segment(varied).write_bytes(b"".join(lines[:count]) + (b'{"crc32":"00' if count % 2 else b""))
        for name in ("catalog.parquet", "report.json", "report.html"):
            (varied.out / name).unlink()
        varied.convert()
        assert varied.result() == expected, count


def test_finished_work_is_not_done_again(varied: Place, whole: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(whole.out, varied.out)
    lines = segment(varied).read_bytes().splitlines(keepends=True)
    kinds = [json.loads(line)["record"]["kind"] for line in lines]
    kept = [line for line, kind in zip(lines, kinds, strict=True) if kind in ("ledger", "task")][:6]
    segment(varied).write_bytes(b"".join(kept))
    done = {
        result.task
        for result in ledger.results(OutputDir.of(varied.out), catalog.read_facts(OutputDir.of(varied.out))["id"])
    }
    assert len(done) == 5
    run: list[int] = []
    convert = conversion.convert

    def watched(task, job, **given):
        run.append(task.id)
        return convert(task, job, **given)

    monkeypatch.setattr(conversion, "convert", watched)
    varied.convert()
    assert sorted({*run, *done}) == list(range(len(catalog.read_plan(OutputDir.of(varied.out)).tasks)))
    assert not {*run} & done
    run.clear()
    varied.convert()
    assert run == []
    assert varied.result() == whole.result()


def shards(place: Place) -> list[Path]:
    return sorted(path for path in (place.out / "images.zarr").rglob("*") if path.is_file() and "pixels/c" in str(path))


@pytest.mark.parametrize(
    "damage",
    [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-1]), lambda path: path.write_bytes(b"")],
    ids=["vanished", "cut", "empty"],
)
def test_a_shard_that_is_not_as_recorded_is_made_again(
    varied: Place, whole: Place, damage: Callable[[Path], object]
) -> None:
    shutil.copytree(whole.out, varied.out)
    for path in shards(varied)[::4]:
        damage(path)
    varied.convert()
    assert varied.result() == whole.result()


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"")], ids=["vanished", "empty"])
def test_files_lost_in_a_power_cut_are_made_again(
    varied: Place, whole: Place, damage: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(whole.out, varied.out)
    lines = segment(varied).read_bytes().splitlines(keepends=True)
    segment(varied).write_bytes(b"".join(lines[:-1]))  # all but that the run has ended
    damaged = sorted((varied.out / "images.zarr").glob("*/*/*/checksum/c/0"))[::2]
    for path in damaged:
        damage(path)
    finalised: list[str] = []
    finalise = conversion.finalise
    monkeypatch.setattr(conversion, "finalise", lambda image: finalised.append(image.spec.path) or finalise(image))
    varied.convert()
    assert varied.result() == whole.result()
    assert {str(path.relative_to(varied.out / "images.zarr")).split("/checksum")[0] for path in damaged} == {*finalised}


def test_an_image_is_closed_while_its_shards_are_made_again(
    varied: Place, whole: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(whole.out, varied.out)
    victim = shards(varied)[0]
    image = str(victim.relative_to(varied.out / "images.zarr")).split("/pixels/")[0]
    victim.unlink()
    monkeypatch.setattr(stages.Conversion, "run", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        varied.convert()
    assert not store.is_image(OutputDir.of(varied.out), image)
    assert image not in store.list_images(OutputDir.of(varied.out))


class StoppedError(Exception):
    """Simulates the end of the process."""


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (stages, "prepare_and_save"),
        (catalog, "write_plan"),
        (stages, "resume_conversion"),
        (completion, "complete"),
        (catalog, "assemble"),
        (completion.report, "write"),
        (completion, "sealed_files"),
    ],
)
@pytest.mark.parametrize("after", [False, True])
def test_stopped_between_two_steps(
    varied: Place, whole: Place, monkeypatch: pytest.MonkeyPatch, where: object, name: str, *, after: bool
) -> None:
    step = getattr(where, name)

    def stopped(*args: object, **options: object) -> None:
        if after:
            step(*args, **options)
        raise StoppedError

    with monkeypatch.context() as patch:
        patch.setattr(where, name, stopped)
        if name == "complete":
            patch.setattr(stages, name, stopped)
        with pytest.raises(StoppedError):
            varied.convert()
    varied.convert()
    assert varied.result() == whole.result()


def test_other_settings_are_refused_by_name_unless_they_change_nothing(varied: Place) -> None:
    varied.convert()
    before = varied.result()
    with pytest.raises(OutputError, match=r"decode\.raw was false and is true now") as caught:
        varied.convert(decode={"raw": True})
    assert caught.value.reason == "settings_changed"
    assert varied.result() == before
    varied.convert(cluster={"kind": "threads", "workers": 1})
    assert varied.result() == before


def test_a_changed_file_is_refused_by_name_where_that_is_asked_for(varied: Place) -> None:
    shutil.copytree(varied.folder, varied.out.with_name("in"))
    varied = Place(varied.out.with_name("in"), varied.out)
    varied.convert()
    before = varied.result()
    changed = varied.folder / "MR_small.dcm"
    changed.write_bytes(changed.read_bytes() + b"\0\0")
    with pytest.raises(OutputError, match=r"MR_small\.dcm") as caught:
        varied.convert(source={"changed": "refuse"})
    assert caught.value.reason == "source_changed"
    assert varied.result() == before


def test_a_second_run_is_refused_while_the_first_lives_and_not_a_moment_longer(varied: Place) -> None:
    code = (
        "import sys, time\n"
        "from pipeline.output.lock import hold_lock\n"
        "from pipeline.storage import OutputDir\n"
        "with hold_lock(OutputDir(sys.argv[1])):\n"
        "    print('locked', flush=True)\n"
        "    time.sleep(60)\n"
    )
    first = subprocess.Popen([sys.executable, "-c", code, str(varied.out)], stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout.readline() == "locked\n"
        with pytest.raises(OutputError, match=f"process {first.pid} on ") as caught:
            varied.convert()
        assert caught.value.reason == "in_use"
    finally:
        first.kill()
        first.wait()
    varied.convert()


def test_a_worker_that_lingers_is_waited_for(varied: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    varied.convert()
    monkeypatch.setattr(lock, "LINGERING", 0.2)
    with lock.show_at_work(OutputDir.of(varied.out)), pytest.raises(OutputError, match="still writing there"):
        varied.convert()
    varied.convert()
    assert [path.name for path in (varied.out / "ledger").iterdir() if path.suffix == ".lock"] == []


def test_temporary_files_of_a_dead_run_are_removed(varied: Place, whole: Place) -> None:
    shutil.copytree(whole.out, varied.out)
    image = whole.rows()[0]["image"]
    for name in (
        f"images.zarr/{image}/pixels/c/0/0/0.1234.partial",
        f"images.zarr/{image.split('/')[0]}/zarr.1234.partial",
        "plan/segments/.00000000.parquet.7-12.part",
        ".catalog.parquet.7-12.part",
        ".report.json.part",
    ):
        (varied.out / name).parent.mkdir(parents=True, exist_ok=True)
        (varied.out / name).write_bytes(b"torn")
    varied.convert()
    assert [
        path
        for path in varied.out.rglob("*")
        if "part" in path.name.split(".")[-1] and path.is_file() and path.suffix != ".parquet"
    ] == []
    assert varied.result() == whole.result()


def test_a_task_that_is_done_carefully_shows_that_it_is_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ledger").mkdir()
    monkeypatch.setattr(lock, "LINGERING", 0.1)

    def convert(*_args: object, **_options: object) -> str:
        with pytest.raises(OutputError, match="still writing there"):
            lock.wait_for_tasks(OutputDir.of(tmp_path))
        return "done"

    monkeypatch.setattr(isolated, "convert", convert)
    assert isolated._convert(None, SimpleNamespace(out=OutputDir.of(tmp_path), lock=None)) == "done"
    lock.wait_for_tasks(OutputDir.of(tmp_path))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks on this system")
def test_a_decoder_that_hangs_in_a_fork_does_not_look_like_a_task_at_work(tmp_path: Path) -> None:
    (tmp_path / "ledger").mkdir()
    with lock.show_at_work(OutputDir.of(tmp_path)):
        pid = os.fork()
        if not pid:
            time.sleep(60)
            os._exit(0)
    try:
        lock.wait_for_tasks(OutputDir.of(tmp_path))
        assert os.waitpid(pid, os.WNOHANG) == (0, 0)  # it sleeps still: nobody has waited for it
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
