"""File systems that lack something, refuse something for a moment, or fail: nothing of it is a file's fault, and nothing is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result

from pipeline.catalog import open_catalog
from pipeline.storage import OutputDir, take_notes
from pipeline.storage.strays import is_stray
from support.converted_folders import invoke
from support.dicom_bytes import native_file
from support.failing_calls import built, failing

FILES = 3
LEFT = (
    ".nfs00000000000012ab00000001",
    ".fuse_hidden0000000400000001",
    ".DS_Store",
    "._plan",
    "Thumbs.db",
    ".smbdeleteAAA1",
)
"""What servers and desktops leave."""
LEFT_FOLDERS = ("lost+found", ".snapshot", "@eaDir")


@pytest.fixture(autouse=True)
def _linux() -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("the faults are Linux's")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("in")
    for number in range(FILES):
        data = native_file(bytes([number] * 256), rows=16, columns=16, SOPInstanceUID=f"1.2.{number}")
        (folder / f"{number}.dcm").write_bytes(data)
    return folder


def convert(source: Path, out: Path, *options: str) -> Result:
    return invoke("convert", str(source), str(out), "--cluster", "synchronous", *options)


def stored(out: Path) -> dict[str, bytes]:
    """All files of the images."""
    root = out / "images.zarr"
    return {str(file.relative_to(root)): file.read_bytes() for file in sorted(root.rglob("*")) if file.is_file()}


@pytest.fixture(scope="module")
def undisturbed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    assert convert(source, out).exit_code == 0
    return stored(out)


@pytest.mark.parametrize("code", ["EINVAL", "EOPNOTSUPP", "ENOSYS", "EBADF", "EACCES", "EPERM"])
def test_folders_that_cannot_be_flushed(code: str, source: Path, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    with failing(f"fsyncdir:{code}:-1:"):
        done = convert(source, tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    assert done.stderr.count("Flushing folders to the disk (fsync) isn't possible at ") == 1
    assert stored(tmp_path / "out") == undisturbed


@pytest.mark.parametrize(
    "faults",
    [
        "syncfs:ENOSYS:-1:",
        "syncfs:EPERM:-1:",
        "fsync:EINVAL:-1:",
        "fadvise:EOPNOTSUPP:-1:",
        "fchmod:EPERM:-1:",
        "exchange:EINVAL:-1:",
    ],
)
def test_what_a_file_system_lacks(faults: str, source: Path, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    with failing(faults):
        done = convert(source, tmp_path / "out", "--set", "output.mode_bits='0640'")
    assert done.exit_code == 0, done.stderr
    assert done.stderr.count("isn't possible at ") == (0 if faults[:2] in {"fa", "ex"} else 1)
    assert stored(tmp_path / "out") == undisturbed


def test_a_system_without_syncfs(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    monkeypatch.setattr("pipeline.output.flushing.ctypes.CDLL", lambda *_, **__: object())
    monkeypatch.setattr(os, "sync", lambda: synced.append(True))
    done = convert(source, tmp_path / "out")
    assert (done.exit_code, synced) == (0, [True])
    assert "(syncfs) isn't possible at" in done.stderr


FAILING = [
    ("fsync:EIO:1:plan", "plan/", "Input/output error"),
    ("fsyncdir:EIO:1:plan", "plan/", "Input/output error"),
    ("syncfs:EIO:1:", "out", "Input/output error"),
    ("rename:EBUSY:-1:stack-1/zarr.json", "stack-1/zarr.json", "Device or resource busy"),
    ("rename:EACCES:-1:stack-1/valid", "stack-1/valid/", "Permission denied"),
    ("write:EDQUOT:1:.zarr.json", "zarr.json", "Disk quota exceeded"),
    ("close:EDQUOT:1:.partial", "pixels/c/0/0/0", "Disk quota exceeded"),
    ("write:EIO:-1:.partial;unlink:EIO:-1:.partial", "pixels/c/0/0/0", "Input/output error"),
    ("write:ESTALE:-1:stack-1", "stack-1/", "Stale file handle"),
    ("write:ETIMEDOUT:1:stack-1", "stack-1/", "Connection timed out"),
    ("unlink:EBUSY:-1:stranger", "stranger", "Device or resource busy"),
    ("open:EIO:1:plan/segments", "plan/segments/", "Input/output error"),
    ("rename:EIO:1:catalog.parquet", "catalog.parquet", "Input/output error"),
]


@pytest.mark.parametrize("case", FAILING, ids=[faults for faults, _, _ in FAILING])
def test_an_output_that_fails_is_to_blame_and_no_file(
    case: tuple[str, str, str], source: Path, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    faults, where, why = case
    out = tmp_path / "out"
    if "stranger" in faults:
        # what a dead run left is removed when its image is completed
        left = out / "images.zarr" / "unknown" / "unknown" / "stack-1" / "stranger"
        left.parent.mkdir(parents=True)
        left.touch()
    with failing(faults):
        done = convert(source, out)
    assert done.exit_code == 3, done.stderr
    line = next(line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert where in line
    assert why in line
    assert "give the same command again" in line or "choose another output" in line
    assert "Traceback" not in done.stderr
    again = convert(source, out)
    assert again.exit_code == 0, again.stderr
    assert set(open_catalog(OutputDir.of(out))["status"].to_pylist()) == {"converted"}
    assert stored(out) == undisturbed


@pytest.mark.parametrize(
    "faults",
    [
        "rename:EBUSY:2:zarr.json",
        "rename:ETXTBSY:1:pixels/c",
        "rename:EACCES:2:catalog.parquet",
        "open:ESTALE:2:stack-1",
        "write:ESTALE:1:.zarr.json",
        "mkdir:EINTR:1:pixels",
        "unlink:EAGAIN:2:run.lock",
    ],
)
def test_what_passes_is_waited_for(faults: str, source: Path, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    with failing(faults) as left:
        done = convert(source, tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    assert not any(times for _, _, times, _ in left.left), "it has happened"
    assert stored(tmp_path / "out") == undisturbed


def test_what_others_leave_is_no_stranger(source: Path, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    out = tmp_path / "out"

    def leave() -> None:
        for folder in [out, *(one for one in out.rglob("*") if one.is_dir() and not is_stray(one.name))]:
            for name in LEFT:
                (folder / name).touch()
            for name in LEFT_FOLDERS:
                (folder / name).mkdir(exist_ok=True)
                (folder / name / "more").touch()

    out.mkdir()
    leave()
    done = convert(source, out)
    assert done.exit_code == 0, done.stderr
    leave()
    verified = invoke("verify", str(out), "--cluster", "synchronous")
    assert verified.exit_code == 0, verified.output
    again = convert(source, out)
    assert again.exit_code == 0
    assert "Nothing to do" in again.output
    done = convert(source, out, "--overwrite")
    assert done.exit_code == 0, done.stderr
    found = stored(out)
    assert {name: data for name, data in found.items() if not any(map(is_stray, name.split("/")))} == undisturbed


def test_a_folder_stays_in_which_a_removed_file_is_still_open(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert(source, out)
    busy = next((out / "images.zarr").rglob("pixels")) / LEFT[0]
    busy.touch()
    with failing("unlink:EBUSY:-1:.nfs"):
        done = convert(source, out, "--overwrite")
    assert done.exit_code == 0, done.stderr
    assert busy.exists()
    assert invoke("verify", str(out), "--cluster", "synchronous").exit_code == 0


def test_a_foreign_file_is_still_one(source: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".nfs.txt").touch()
    done = convert(source, tmp_path / "out")
    assert done.exit_code == 2
    assert "holds '.nfs.txt'" in done.stderr


def test_faults_in_worker_processes(source: Path, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    (tmp_path / "state").mkdir()
    told = {
        "LD_PRELOAD": str(built(tmp_path)),
        "FAULTS": "rename:16:-1:stack-1/zarr.json;fsyncdir:22:-1:;flock:95:-1:",
        "FAULTS_STATE": str(tmp_path / "state"),
    }
    command = [sys.executable, "-m", "pipeline.cli", "convert", str(source), str(tmp_path / "out"), "--workers", "1"]
    done = subprocess.run(command, env={**os.environ, **told}, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert "stack-1/zarr.json can't be written: Device or resource busy. Repair the cause" in done.stderr
    assert "distributed" not in done.stderr
    again = convert(source, tmp_path / "out")
    assert again.exit_code == 0
    assert stored(tmp_path / "out") == undisturbed


@pytest.fixture
def fat(tmp_path: Path) -> Iterator[Path]:
    """A FAT file system: no case, no links, no permissions, two seconds."""
    if os.geteuid() or shutil.which("mkfs.vfat") is None:
        pytest.skip("a FAT file system takes root, and mkfs.vfat (dosfstools)")
    image, at = tmp_path / "image", tmp_path / "fat"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    at.mkdir()
    subprocess.run(["mkfs.vfat", str(image)], check=True, capture_output=True)
    mounted = subprocess.run(["mount", "-o", "loop", str(image), str(at)], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a FAT file system can't be mounted: {mounted.stderr.strip()}")
    yield at
    subprocess.run(["umount", "-l", str(at)], check=True)


def test_a_fat_file_system(source: Path, fat: Path, undisturbed: dict[str, bytes]) -> None:
    done = convert(source, fat / "out", "--set", "output.mode_bits='0640'")
    assert done.exit_code == 0, done.stderr
    assert stored(fat / "out") == undisturbed
    assert invoke("verify", str(fat / "out"), "--cluster", "synchronous").exit_code == 0


@pytest.fixture(autouse=True)
def _nothing_noted() -> Iterator[None]:
    take_notes()
    yield
    take_notes()
