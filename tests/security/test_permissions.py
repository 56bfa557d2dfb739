"""Who may read a result: what the umask leaves, or what the configuration asks for."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.storage.entries import folder_bits
from support.converted_folders import invoke
from support.shared_results import configuration, some_files


@contextmanager
def umask(bits: int) -> Iterator[None]:
    before = os.umask(bits)
    try:
        yield
    finally:
        os.umask(before)


def modes(out: Path) -> tuple[set[int], set[int]]:
    """The permissions of all files, and of all folders."""
    found = [path.lstat().st_mode for path in (out, *out.rglob("*"))]
    return {mode & 0o777 for mode in found if stat.S_ISREG(mode)}, {
        mode & 0o777 for mode in found if stat.S_ISDIR(mode)
    }


def everything(tmp_path: Path, **sections: object) -> Path:
    """An output directory with all that can be in one."""
    out = tmp_path / "out"
    config = configuration(some_files(tmp_path / "in"), out, **sections)
    assert invoke("init", str(config), "--partitions", "2").exit_code == 0
    assert invoke("convert-partition", str(out), "0").exit_code == 0
    assert invoke("run", str(config)).exit_code == 0
    assert invoke("verify", str(out), "--source", "--cluster", "synchronous").exit_code == 0
    assert (out / "verify.parquet").exists()
    return out


@pytest.mark.parametrize(
    ("mask", "files", "folders"), [(0o077, 0o600, 0o700), (0o027, 0o640, 0o750), (0o002, 0o664, 0o775)]
)
def test_the_umask_decides(tmp_path: Path, mask: int, files: int, folders: int) -> None:
    with umask(mask):
        assert modes(everything(tmp_path)) == ({files}, {folders})


@pytest.mark.parametrize(
    ("bits", "mask", "files", "folders"),
    [
        ("0640", 0o000, 0o640, 0o750),
        ("0660", 0o077, 0o660, 0o770),
        ("600", 0o022, 0o600, 0o700),
        ("0644", 0o077, 0o644, 0o755),
    ],
)
def test_the_configuration_decides_against_the_umask(
    tmp_path: Path, bits: str, mask: int, files: int, folders: int
) -> None:
    with umask(mask):
        out = everything(tmp_path, output={"path": str(tmp_path / "out"), "mode_bits": bits})
    assert modes(out) == ({files}, {folders})


def test_in_worker_processes_too(tmp_path: Path) -> None:
    config = configuration(
        some_files(tmp_path / "in"),
        tmp_path / "out",
        output={"path": str(tmp_path / "out"), "mode_bits": "0640"},
        cluster={"kind": "local", "workers": 1},
    )
    assert invoke("run", str(config)).exit_code == 0
    assert modes(tmp_path / "out") == ({0o640}, {0o750})


def test_folders_inherit_the_group_of_a_shared_one(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out").chmod(0o2770)
    out = everything(tmp_path, output={"path": str(tmp_path / "out"), "mode_bits": "0640"})
    folders = [path for path in out.rglob("*") if path.is_dir()]
    assert folders
    assert {path.stat().st_mode & 0o7777 for path in folders} == {0o2750}
    assert (tmp_path / "out").stat().st_mode & 0o7777 == 0o2770  # it was there: it stays as it is


@pytest.mark.parametrize("bits", ["0666", "0662", "0777", "0440", "640x", "1640", "0o640", "rw-r-----", "06400"])
def test_permissions_that_make_no_sense(tmp_path: Path, bits: str) -> None:
    config = configuration(tmp_path, tmp_path / "out", output={"path": str(tmp_path / "out"), "mode_bits": bits})
    told = invoke("run", str(config))
    assert (told.exit_code, "output.mode_bits: expected permissions such as" in told.output) == (2, True)


def test_they_may_change_between_runs(tmp_path: Path) -> None:
    out = everything(tmp_path, output={"path": str(tmp_path / "out"), "mode_bits": "0600"})
    config = configuration(tmp_path / "in", out, output={"path": str(out), "mode_bits": "0640"})
    assert invoke("run", str(config)).exit_code == 0


@pytest.mark.parametrize(("files", "folders"), [(0o600, 0o700), (0o640, 0o750), (0o644, 0o755), (0o660, 0o770)])
def test_who_may_read_files_may_enter_folders(files: int, folders: int) -> None:
    assert folder_bits(files) == folders


def test_nothing_of_a_patient_lies_open_in_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is made there on the way is for the user alone, whatever the umask."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    seen: list[int] = []
    scan = __import__("pipeline.runs.stages", fromlist=["prepare"]).prepare

    def looking(run: object) -> object:
        prepared = scan(run)
        seen.extend(path.stat().st_mode & 0o777 for path in temporary.iterdir())
        return prepared

    monkeypatch.setattr("pipeline.runs.stages.prepare", looking)
    with umask(0):
        assert invoke("plan", str(configuration(some_files(tmp_path / "in"), tmp_path / "out"))).exit_code == 0
    assert seen == [0o700]
