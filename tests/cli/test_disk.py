"""Disks that fill up or can't be written any more: the file, the room, how to go on; no tracebacks; and a warning before."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

import pipeline
from pipeline.errors import OutputError
from pipeline.output.space import free_bytes, too_small
from pipeline.storage import OutputDir
from support.converted_folders import invoke
from support.dicom_bytes import native_file

NOISE = np.random.default_rng(1)
ROOM = 1 << 20
SERIES = {
    f"{n}.dcm": native_file(NOISE.bytes(256 * 1024), rows=512, columns=512, SOPInstanceUID=f"1.2.{n}")
    for n in range(12)
}
"""3 MiB of noise, which no codec makes smaller."""
NOBODY = 65534
AS_NOBODY = (
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"),
)
"""To whom permissions apply, but who may read root's Python."""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for name, data in SERIES.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    at = tmp_path / "disk"
    at.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={ROOM},mode=777", "tmpfs", str(at)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        pytest.skip(f"a small disk can't be made: {error}")
    if mounted.returncode:
        pytest.skip(f"a small disk can't be mounted: {mounted.stderr.strip()}")
    yield at
    subprocess.run(["umount", "-l", str(at)], check=True)


def run(*arguments: str | Path, before: Sequence[str] = (), code: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    command = [*before, sys.executable, *(("-c", code) if code else ("-m", "pipeline.cli")), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def convert(*arguments: str | Path) -> Result:
    """Run it in this one."""
    return invoke("convert", *map(str, arguments), "--cluster", "synchronous")


def complaint(done: subprocess.CompletedProcess[str] | Result) -> str:
    """The one line that is the error; nothing else is told but progress."""
    assert (done.exit_code if isinstance(done, Result) else done.returncode) == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    progress = ("scan", "plan", "convert", "finalise", "Dashboard", "The disk may be too small", "Going on", "verify")
    (line,) = (line for line in done.stderr.splitlines() if not line.startswith(progress))
    return line


@pytest.mark.parametrize("cluster", ["synchronous", "local"])
def test_a_disk_that_fills_up(source: Path, disk: Path, cluster: str) -> None:
    given = ("convert", source, disk / "out", "--cluster", cluster, "--workers", "2", "--grouping", "instance")
    done = run(*given)
    told = complaint(done)
    assert told.startswith(f"error: {disk / 'out'}/images.zarr/")
    assert " can't be written: No space left on device (" in told
    assert " free there; up to " in told
    assert told.endswith("Free some space there, and give the same command again: it goes on where it stopped")
    assert "The disk may be too small: up to 3.0 MiB may be needed (before compression), " in done.stderr
    subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)
    summary = pipeline.convert(source, disk / "out", cluster={"kind": "synchronous"}, output={"grouping": "instance"})
    assert (summary.exit_code, summary.count("converted")) == (0, len(SERIES))


def test_a_disk_that_is_full_before_the_run_begins(source: Path, disk: Path) -> None:
    (disk / "fill").write_bytes(bytes(ROOM))
    assert "No space left on device (0 B free there). Free some space there" in complaint(convert(source, disk / "out"))


def test_the_temporary_folder(source: Path, disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (disk / "fill").write_bytes(bytes(ROOM - 16384))
    monkeypatch.setattr(tempfile, "tempdir", str(disk))
    told = complaint(convert(source, tmp_path / "out", "--dry-run"))
    assert told.startswith(f"error: {disk}/dcm2zarr-plan-")
    assert "No space left on device (" in told
    assert "or let TMPDIR name another folder, and give the same command again" in told


def test_a_limit_of_the_shell_is_like_a_full_disk(source: Path, tmp_path: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (200000, 200000)); from pipeline.cli import main; main()"
    told = complaint(run("convert", source, tmp_path / "out", "--cluster", "synchronous", code=limit))
    assert "can't be written: File too large (" in told
    assert "Free some space there" in told


def test_a_plan_warns(source: Path, disk: Path, tmp_path: Path) -> None:
    planned = convert(source, disk / "deep" / "out", "--dry-run")
    assert planned.exit_code == 0
    warning = "The disk may be too small: up to 3.0 MiB may be needed (before compression), 1.0 MiB are free"
    assert warning in planned.stdout
    assert not list(disk.iterdir())
    assert "too small" not in convert(source, tmp_path / "out", "--dry-run").stdout


def test_free_bytes_are_those_of_the_nearest_folder_that_is_there(tmp_path: Path) -> None:
    free = free_bytes(str(tmp_path / "not" / "yet" / "there"))
    assert free is not None
    assert abs(free - shutil.disk_usage(tmp_path).free) < 1 << 30
    assert free_bytes("s3://bucket/out") is None
    assert too_small(OutputDir.of("s3://bucket/out"), 1 << 60) == ""
    assert "are free" in too_small(OutputDir.of(tmp_path), 1 << 60)


@pytest.fixture
def somebody(tmp_path: Path) -> tuple[str, ...]:
    """What is put before a command so that permissions count."""
    if os.geteuid():
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("root may write anywhere, and there is no setpriv to be somebody else")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    return AS_NOBODY


def test_a_folder_of_somebody_else(source: Path, tmp_path: Path, somebody: tuple[str, ...]) -> None:
    (tmp_path / "theirs").mkdir(mode=0o555)
    out = tmp_path / "theirs" / "out"
    assert complaint(run("convert", source, out, "--cluster", "synchronous", before=somebody)) == (
        f"error: {out} can't be used as output directory: Permission denied. Get the permission to write there, or choose "
        "another output directory"
    )
    assert not list((tmp_path / "theirs").iterdir())


LOSING = """
import os, sys
from pipeline.cli import main
from pipeline.runs import conversion
once = conversion.Conversion._take_task_result

def losing(self, outcome, ledger):
    once(self, outcome, ledger)
    for folder, _, _ in os.walk(OUT):
        os.chmod(folder, 0o555)

conversion.Conversion._take_task_result = losing
main(sys.argv[1:])
"""


def test_a_permission_that_is_lost_amid_a_run(source: Path, tmp_path: Path, somebody: tuple[str, ...]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine").chmod(0o777)
    out = tmp_path / "mine" / "out"
    given = ("convert", str(source), str(out), "--cluster", "synchronous", "--grouping", "instance")
    code = LOSING.replace("OUT", repr(str(out)))
    told = complaint(run(*given, "--set", "output.shard=100000", before=somebody, code=code))
    assert told.startswith(f"error: {out}/")
    assert "Permission denied. Get the permission to write there, and give the same command again: it goes on" in told


def test_verdicts_that_cannot_be_written(source: Path, tmp_path: Path, somebody: tuple[str, ...]) -> None:
    out = tmp_path / "out"
    pipeline.convert(source, out, cluster={"kind": "synchronous"})
    for folder, _, _ in os.walk(out):
        Path(folder).chmod(0o555)
    done = run("verify", out, "--source", "--cluster", "synchronous", "-q", before=somebody)
    assert done.returncode == 3
    assert "verify.parquet can't be written: Permission denied" in done.stderr
    assert "Exit code 3: 12 of 12 files can be deleted; the verdicts could not be written." in done.stdout


def test_python_gets_the_same_words(source: Path, disk: Path) -> None:
    with pytest.raises(
        OutputError, match=r"No space left on device \(.* free there; up to .*\)\. Free some space"
    ) as error:
        pipeline.convert(source, disk / "out", cluster={"kind": "synchronous"})
    assert (error.value.reason, error.value.exit_code) == ("disk_full", 3)
