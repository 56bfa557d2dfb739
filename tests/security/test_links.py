"""Symbolic links in an output directory: somebody else's files are neither written, nor removed, nor believed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pipeline.catalog import read_plan
from pipeline.errors import OutputError
from pipeline.storage import LocalPlace, OutputDir, place
from pipeline.storage.linkless_folder import open_below
from support.converted_folders import invoke
from support.shared_results import (
    HERE,
    NOBODY,
    Output,
    as_nobody,
    configuration,
    needs_root,
    nothing_else_changes,
    shared_folder,
    some_files,
)

TOP = ("images.zarr", "plan", "ledger", "catalog.parquet", "report.json", "report.html", "run.yaml", "verify.parquet")
DEEPER = ("ledger/run.lock", "ledger/work.lock", "ledger/000001.jsonl", "plan/plan.json", "plan/segments", "plan/1")


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A folder of somebody else's, with entries under the names of ours."""
    folder = tmp_path / "foreign"
    names = (
        "zarr.json",
        "000001.jsonl",
        "run.lock",
        "plan.json",
        "0.partial",
        ".x.part",
        "segments/a",
        "1/a",
        "pixels/c/0",
    )
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    return folder


def put_link(out: Path, name: str, foreign: Path) -> Path:
    """Exchange an entry for a link to somebody's file or folder."""
    path = out / name
    folder = path.is_dir() or name in ("images.zarr", "plan", "ledger")
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(foreign if folder else foreign / "zarr.json")
    return path


def commands(given: Output) -> list[tuple[str, ...]]:
    out, config = given.path, given.config
    return [
        ("run", str(config)),
        ("run", str(config), "--overwrite"),
        ("convert", str(given.sources), str(out), *HERE),
        ("resume", str(out)),
        ("init", str(config)),
        ("convert-partition", str(out), "0"),
        ("finalize", str(out)),
        ("verify", str(out), "--cluster", "synchronous"),
        ("verify", str(out), "--source", "--cluster", "synchronous"),
    ]


@pytest.mark.parametrize("name", [*TOP, *DEEPER])
def test_a_link_in_the_place_of_ours_is_refused_by_name(finished: Output, foreign: Path, name: str) -> None:
    link = put_link(finished.path, name, foreign)
    for command in commands(finished):
        with nothing_else_changes(foreign):
            told = invoke(*command)
        assert told.exit_code == 2, (command, told.output)
        assert f"{link} is a symbolic link" in told.output, command
    assert link.is_symlink()


def test_a_link_to_nothing_is_not_made_a_file(finished: Output, tmp_path: Path) -> None:
    out, config = finished.path, finished.config
    (out / "ledger/run.lock").symlink_to(tmp_path / "new")
    assert "run.lock is a symbolic link" in invoke("run", str(config)).output
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("command", ["run", "overwrite", "verify", "partition", "finalize"])
def test_a_link_amid_the_images_leads_nowhere(planned: Output, foreign: Path, command: str, depth: int) -> None:
    out, config = planned.path, planned.config
    if command in ("verify", "overwrite", "finalize"):
        assert planned.run().exit_code == 0
    image = read_plan(OutputDir.of(out)).images[0].path
    path = Path(out / "images.zarr", *f"{image}/pixels/c".split("/")[:depth])
    shutil.rmtree(path, ignore_errors=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(foreign)
    given = {
        "run": ("run", str(config)),
        "overwrite": ("run", str(config), "--overwrite"),
        "verify": ("verify", str(out), "--cluster", "synchronous"),
        "partition": ("convert-partition", str(out), "0"),
        "finalize": ("finalize", str(out), "--workers", "1"),
    }
    with nothing_else_changes(foreign):
        told = invoke(*given[command])
    assert told.exit_code in (1, 2, 3), told.output


def test_what_a_dead_run_left_is_swept_through_no_link(planned: Output, foreign: Path) -> None:
    (planned.path / "images.zarr/x").symlink_to(foreign)
    with nothing_else_changes(foreign):
        told = planned.run()
    assert (told.exit_code, "images.zarr/x is a symbolic link" in told.output) == (2, True)


def test_the_output_directory_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    out = tmp_path / "out"
    out.symlink_to("real")
    config = configuration(some_files(tmp_path / "in"), out)
    for _ in range(2):
        assert invoke("run", str(config)).exit_code == 0
    assert invoke("verify", str(out), "--source", "--cluster", "synchronous").exit_code == 0
    assert (tmp_path / "real/catalog.parquet").exists()


def test_a_lock_with_another_name_is_somebodys_file(finished: Output, tmp_path: Path) -> None:
    out, config = finished.path, finished.config
    (tmp_path / "theirs").write_text("theirs")
    (out / "ledger/run.lock").hardlink_to(tmp_path / "theirs")
    told = invoke("run", str(config))
    assert (told.exit_code, "hard links" in told.output) == (2, True)
    assert (tmp_path / "theirs").read_text() == "theirs"


def test_files_with_other_names_are_replaced_and_not_written_to(finished: Output, tmp_path: Path) -> None:
    out, config = finished.path, finished.config
    for name in ("run.yaml", "catalog.parquet", "report.html"):
        (tmp_path / name).hardlink_to(out / name)
    before = {name: (tmp_path / name).read_bytes() for name in ("run.yaml", "catalog.parquet", "report.html")}
    assert invoke("run", str(config), "--overwrite").exit_code == 0
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(finished: Output) -> None:
    out, config = finished.path, finished.config
    for name in ("plan/plan.json", "ledger/000001.jsonl"):
        (out / name).rename(out / "kept")
        os.mkfifo(out / name)
        assert "a regular file" in invoke("status", str(out)).output or name == "plan/plan.json"
        (out / name).unlink()
        (out / "kept").rename(out / name)
    assert invoke("run", str(config)).exit_code == 0


@pytest.mark.parametrize("name", ["..", ".", "", "a//b", "/etc/passwd", "a/../../b", "a\0b"])
def test_a_name_that_leads_out_is_none(tmp_path: Path, name: str) -> None:
    for one in (place(tmp_path), place("s3://bucket/out")):
        with pytest.raises(OutputError, match="doesn't lie in this directory"):
            one / name


def test_a_folder_exchanged_between_look_and_use_is_noticed(tmp_path: Path, foreign: Path) -> None:
    """The folder that was opened is written to, whatever bears its name by then."""
    (tmp_path / "out/a").mkdir(parents=True)
    with open_below(tmp_path / "out", ("a",)) as folder, nothing_else_changes(foreign):
        (tmp_path / "out/a").rename(tmp_path / "out/moved")
        (tmp_path / "out/a").symlink_to(foreign)
        os.close(folder.create("zarr.json"))
        folder.remove("run.lock")
    assert (tmp_path / "out/moved/zarr.json").exists()


def test_where_systems_cannot_open_by_folder_links_are_refused_too(
    tmp_path: Path, foreign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.storage.linkless_folder._BY_DESCRIPTOR", False)
    out = LocalPlace(tmp_path / "out")
    (out / "a/b").write_bytes(b"x")
    assert ((out / "a/b").read_bytes(), list(out.walk()), (out / "a").children()) == (b"x", ["a/b"], ["b"])
    (tmp_path / "out/link").symlink_to(foreign)
    with nothing_else_changes(foreign):
        for touch in (lambda at: at.write_bytes(b"x"), lambda at: at.remove(), lambda at: at.read_bytes()):
            with pytest.raises(OutputError, match="symbolic link"):
                touch(out / "link/zarr.json")
    (out / "a").remove()
    assert not (tmp_path / "out/a").exists()


@needs_root
def test_another_user_puts_the_links() -> None:
    """The whole attack: a shared folder, another user's links, and root's files behind them."""
    with shared_folder("links") as folder:
        out, mine = folder / "out", folder / "mine"
        mine.mkdir(mode=0o700)
        (mine / "secret").write_text("root's own")
        config = configuration(some_files(folder / "in"), out)
        out.mkdir()
        (out / "ledger").mkdir()
        for path in (out, out / "ledger"):
            path.chmod(0o777)
        as_nobody("ln", "-s", mine / "secret", out / "ledger/run.lock")
        as_nobody("ln", "-s", mine, out / "images.zarr")
        assert (out / "images.zarr").lstat().st_uid == NOBODY
        for more in ((), ("--overwrite",)):
            with nothing_else_changes(mine):
                told = invoke("run", str(config), *more)
            assert (told.exit_code, "symbolic link" in told.output) == (2, True)
