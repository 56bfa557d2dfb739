"""What ``dcm2zarr status`` tells of runs alive, dead and finished, and how ``dcm2zarr resume`` goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipeline.cli import main
from support import varied_files as files
from support.varied_files import Place


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, env={"COLUMNS": "180"})


@pytest.fixture
def place(tmp_path: Path, pydicom_folder: Path) -> Place:
    files.fill(tmp_path / "in", pydicom_folder)
    return Place(tmp_path / "in", tmp_path / "out")


def cut_ledger(place: Place, lines: int) -> None:
    """Leave what a run leaves that is killed after so many records."""
    segment = min((place.out / "ledger").glob("*.jsonl"))
    segment.write_bytes(b"".join(segment.read_bytes().splitlines(keepends=True)[:lines]))
    for name in ("catalog.parquet", "report.json", "report.html"):
        (place.out / name).unlink()


def test_a_finished_run(place: Place) -> None:
    place.convert()
    told = invoke("status", str(place.out))
    assert told.exit_code == 1, told.output  # one file is damaged
    assert "finished. Exit code 1: 1 file failed." in told.stdout
    for text in ("shards", "100.0", "damaged_pixel_data", "duplicate", "At work: no process"):
        assert text in told.stdout


def test_a_dead_run_and_how_to_go_on(place: Place) -> None:
    place.convert()
    expected = place.result()
    cut_ledger(place, 2)
    told = invoke("status", str(place.out))
    assert told.exit_code == 1
    assert "converting. Exit code 1" in told.stdout
    assert f"dcm2zarr resume {place.out}" in told.stdout
    for text in ("pending", "Last progress: "):
        assert text in told.stdout
    resumed = invoke("resume", str(place.out), "-q")
    assert resumed.exit_code == 1, resumed.output
    assert place.result() == expected
    assert "finished" in invoke("status", str(place.out)).stdout


def test_resume_where_the_output_was_moved_to(place: Place) -> None:
    place.convert()
    expected = place.result()
    cut_ledger(place, 1)
    moved = Place(place.folder, place.out.with_name("moved"))
    shutil.move(place.out, moved.out)
    assert invoke("resume", str(moved.out), "--set", "cluster.kind=threads", "-q").exit_code == 1
    assert not place.out.exists()
    assert moved.result() == expected


def test_a_run_that_died_while_it_scanned(place: Place) -> None:
    place.convert()
    expected = place.result()
    cut_ledger(place, 0)
    (place.out / "plan" / "plan.json").unlink()
    told = invoke("status", str(place.out))
    assert told.exit_code == 1
    assert "scanning, there is no plan yet" in told.stdout
    assert invoke("resume", str(place.out), "-q").exit_code == 1
    assert place.result() == expected


def test_a_run_that_is_alive_is_named(place: Place) -> None:
    place.convert()
    cut_ledger(place, 2)
    code = "import sys\nfrom pipeline.output.lock import hold_lock\nfrom pipeline.storage import OutputDir\nwith hold_lock(OutputDir(sys.argv[1])):\n print(flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code, str(place.out)], **pipes) as run:
        run.stdout.readline()
        told = invoke("status", str(place.out))
        again = invoke("resume", str(place.out))
        run.stdin.close()
    assert "Exit code 1: 1 file failed." in told.stdout
    assert f"At work: process {run.pid} on {os.uname().nodename}" in told.stdout
    assert again.exit_code == 3
    assert f"another run is writing there (process {run.pid}" in again.stderr


@pytest.mark.parametrize("command", ["status", "resume"])
def test_what_is_no_output_directory(tmp_path: Path, command: str) -> None:
    assert invoke(command, str(tmp_path)).exit_code == 2
    assert invoke(command, str(tmp_path / "none")).exit_code == 2
    assert not list(tmp_path.iterdir())
