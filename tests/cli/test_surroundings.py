"""Streams that are closed or full, and limits that are too low: exit code 3, with their name, in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.catalog import open_catalog
from pipeline.errors import ResourceError
from pipeline.storage import OutputDir
from pipeline.storage.exhausted import as_resource_error
from support.dicom_bytes import native_file

ONE = f"exec '{sys.executable}' -m pipeline.cli convert in out --cluster synchronous"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    if sys.platform == "win32":
        pytest.skip("a shell of Unix is needed")
    (tmp_path / "in").mkdir()
    for number in range(2):
        data = native_file(bytes([number] * 16), SOPInstanceUID=f"1.2.{number}")
        (tmp_path / "in" / f"{number}.dcm").write_bytes(data)
    return tmp_path


def shell(place: Path, line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", line], cwd=place, capture_output=True, text=True, check=False, timeout=120)


def error_of(done: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in done.stderr
    assert "distributed" not in done.stderr
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    return line


@pytest.mark.parametrize(
    ("where", "why"),
    [(">/dev/full", "No space left on device"), ("<&- >&-", "Bad file descriptor")],
    ids=["full", "closed"],
)
def test_standard_output_that_takes_nothing(place: Path, where: str, why: str) -> None:
    if ">/dev/full" in where and not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    done = shell(place, f"{ONE} {where}")
    assert done.returncode == 3, done.stderr
    assert error_of(done) == (
        f"error: standard output can't be written: {why}; the work is done, but a part of the output is lost"
    )
    assert open_catalog(OutputDir.of(place / "out"))["status"].to_pylist() == ["converted"] * 2


def test_messages_that_nobody_takes(place: Path) -> None:
    done = shell(place, f"{ONE} 2>/dev/full")
    assert done.returncode == 0
    assert "Exit code 0" in done.stdout


def test_help_that_nobody_takes(place: Path) -> None:
    done = shell(place, f"'{sys.executable}' -m pipeline.cli convert --help >/dev/full")
    assert done.returncode == 3
    assert error_of(done) == "error: standard output can't be written: No space left on device"


def test_too_few_open_files(place: Path) -> None:
    done = shell(place, f"ulimit -n 30; {ONE.replace('synchronous', 'local')} --workers 2")
    assert done.returncode == 3
    assert "2 worker processes take up to 68 open files, and this process may have 30 (ulimit -n)" in error_of(done)
    assert not (place / "out" / "catalog.parquet").exists()
    few = shell(place, f"ulimit -n 9; {ONE}")
    assert few.returncode == 3, few.stderr
    assert "too many open files (this process may have 9: ulimit -n)" in error_of(few)


def test_too_little_memory(place: Path) -> None:
    done = shell(place, f"ulimit -v 300000; {ONE}")
    assert done.returncode == 3, done.stderr
    assert "out of memory (this process may have 292 MiB: ulimit -v)" in error_of(done)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "out_of_memory"),
        (OSError(12, "Cannot allocate memory"), "out_of_memory"),
        (ImportError("x.so: failed to map segment from shared object"), "out_of_memory"),
        (OSError(24, "Too many open files"), "too_many_open_files"),
        (OSError(23, "Too many open files in system"), "too_many_open_files"),
        (BlockingIOError(11, "Resource temporarily unavailable"), "too_many_processes"),
        (RuntimeError("can't start new thread"), "too_many_processes"),
    ],
)
def test_what_runs_out_has_a_name(error: Exception, reason: str) -> None:
    found = as_resource_error(error)
    assert isinstance(found, ResourceError)
    assert (found.reason, found.exit_code) == (reason, 3)


def test_other_errors_are_none_of_these() -> None:
    assert as_resource_error(OSError(5, "Input/output error")) is None
    assert as_resource_error(RuntimeError("can't")) is None
    assert as_resource_error(ImportError("no module")) is None
