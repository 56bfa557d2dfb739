"""The same command again: finished work stays, and the report tells this run's work from that of earlier runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pipeline import catalog
from pipeline.config import load
from pipeline.report import describe_earlier_runs, throughput
from pipeline.runs import array_jobs, stages
from pipeline.storage import OutputDir
from support import varied_files as files
from support.varied_files import Place


def everything(place: Place) -> dict[str, tuple[bytes, int, int]]:
    """Every file below the output, with the values that show whether it was written."""
    found = {path: path.stat() for path in place.out.rglob("*") if path.is_file()}
    return {str(path): (path.read_bytes(), info.st_mtime_ns, info.st_ino) for path, info in found.items()}


def report(place: Place) -> dict:
    return json.loads((place.out / "report.json").read_text("utf-8"))


def test_with_nothing_to_do_nothing_is_written(varied: Place) -> None:
    first = varied.convert()
    assert not first.unchanged
    before = everything(varied)
    again = varied.convert()
    assert again.unchanged
    assert everything(varied) == before
    assert again.status_counts == first.status_counts
    assert (again.exit_code, again.totals) == (first.exit_code, first.totals)
    assert (again.this_run.tasks, again.this_run.earlier_tasks) == (0, first.this_run.tasks)
    assert throughput(again) == {}


@pytest.mark.parametrize("name", ["catalog.parquet", "report.json", "report.html", "run.yaml"])
@pytest.mark.parametrize("cut", [False, True])
def test_missing_or_cut_files_are_written_again(varied: Place, name: str, *, cut: bool) -> None:
    varied.convert()
    before = varied.result()
    path = varied.out / name
    if cut:
        path.write_bytes(path.read_bytes()[:-9])
    else:
        path.unlink()
    assert not varied.convert().unchanged
    assert path.stat().st_size > 9
    assert varied.result() == before
    assert varied.convert().unchanged


def test_a_report_with_other_settings_is_made(varied: Place) -> None:
    varied.convert()
    assert "data:image" in (varied.out / "report.html").read_text("utf-8")
    assert not varied.convert(report={"images": 0}).unchanged
    assert "data:image" not in (varied.out / "report.html").read_text("utf-8")
    assert varied.convert(report={"images": 0}).unchanged


def test_a_ledger_that_goes_on_behind_its_seal_is_sealed_again(varied: Place) -> None:
    varied.convert()
    shutil.copy(varied.out / "ledger" / "000001.jsonl", varied.out / "ledger" / "000002.jsonl")
    assert not varied.convert().unchanged
    assert varied.convert().unchanged


def test_the_report_tells_what_this_run_did_and_what_was_there(varied: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, 5)
        with pytest.raises(KeyboardInterrupt):
            varied.convert()
    summary = varied.convert()
    tasks = catalog.read_plan(OutputDir.of(varied.out)).tasks
    done = summary.this_run
    assert (done.earlier_tasks, done.tasks) == (5, len(tasks) - 5)
    assert 0 < done.frames < summary.totals.frames
    assert 0 < done.decoded_bytes < summary.totals.decoded_bytes
    seconds = summary.phase_seconds["convert"]
    assert throughput(summary)["frames_per_second"] == pytest.approx(done.frames / seconds, rel=0.01)
    told = report(varied)["this_run"]
    assert (told["earlier_tasks"], told["tasks"], told["frames"]) == (5, done.tasks, done.frames)
    assert "Earlier runs had finished 5 tasks" in (varied.out / "report.html").read_text("utf-8")


def test_the_report_tells_of_new_files_and_images_made_again(varied: Place, pydicom_folder: Path) -> None:
    first = varied.convert()
    assert describe_earlier_runs(first) == []
    files.add_series(varied.folder, pydicom_folder / "CT_small.dcm", range(6, 9))
    files.add_series(varied.folder, pydicom_folder / "CT_small.dcm", range(1, 4), series="1.2.3.5")
    summary = varied.convert()
    assert summary.this_run.added_files == 6
    [grown] = summary.this_run.grown
    assert grown.endswith("1.2.3.4/stack-1")
    told = report(varied)["this_run"]
    assert (told["added_files"], told["images_made_anew"]) == (6, [grown])
    assert grown in (varied.out / "report.html").read_text("utf-8").split("Images</h2>")[0]
    (varied.out / "report.html").unlink()
    assert varied.convert().this_run.added_files == 0  # no news any more


def test_partitions_that_were_completed_are_left(varied: Place) -> None:
    varied.convert()
    config = load(varied.out / "run.yaml")
    parts = array_jobs.init(config, partitions=2)
    for number in range(len(parts)):
        array_jobs.convert_partition(varied.out, number)
    assert not array_jobs.finalize(varied.out).unchanged  # there are partitions now
    before = everything(varied)
    assert array_jobs.finalize(varied.out).unchanged
    assert everything(varied) == before


def stop_after(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Interrupt the run after this many tasks are recorded."""
    append = stages.Ledger.append
    left = [count]

    def counted(book, result) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        append(book, result)

    monkeypatch.setattr(stages.Ledger, "append", counted)
