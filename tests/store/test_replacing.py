"""An image made aside replaces the one that stands at its path."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.errors import OutputError
from pipeline.storage import Folder, OutputDir
from pipeline.storage.linkless_folder import open_below
from pipeline.store import remove_replaced, remove_stale, take_place

PATH = "1.2/1.3/stack-1"


def image(root: Path, content: str) -> None:
    folder = root / "images.zarr" / PATH
    (folder / "pixels").mkdir(parents=True)
    for name in ("zarr.json", "pixels/zarr.json", f"pixels/{content}"):
        (folder / name).write_text(content)


def files(root: Path) -> dict[str, str]:
    folder = root / "images.zarr" / PATH
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("stands", [True, False])
def test_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, at_once: bool, stands: bool) -> None:
    if not at_once:
        monkeypatch.setattr(Folder, "exchange", lambda *_: False)
    out = str(tmp_path)
    image(Path(str(OutputDir.of(out).aside)), "new")
    if stands:
        image(tmp_path, "old")
    take_place(OutputDir.of(out), PATH)
    assert files(tmp_path) == dict.fromkeys(("zarr.json", "pixels/zarr.json", "pixels/new"), "new")
    assert bool(list((tmp_path / "plan" / "aside").rglob("pixels/old"))) is stands
    remove_replaced(OutputDir.of(out))
    assert not (tmp_path / "plan" / "aside").exists()
    remove_replaced(OutputDir.of(out))


def test_two_folders_change_their_names_at_once_on_linux(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    with open_below(tmp_path, ()) as folder:
        if not folder.exchange("one", folder, "other"):
            pytest.skip("this system, or its file system, can't")
        assert (tmp_path / "one" / "other").exists()
        assert (tmp_path / "other" / "one").exists()
        assert not folder.exchange("one", folder, "nothing")


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    "link", ["images.zarr/1.2/1.3", "plan/aside", "plan/aside/images.zarr/1.2", "plan/aside/replaced"]
)
def test_no_link_is_followed_to_either_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: str, *, at_once: bool
) -> None:
    if not at_once:
        monkeypatch.setattr(Folder, "exchange", lambda *_: False)
    out, foreign = tmp_path / "out", tmp_path / "foreign"
    image(Path(str(OutputDir.of(out).aside)), "new")
    image(out, "old")
    (foreign / "1.2/1.3").mkdir(parents=True)
    if (out / link).exists():
        (out / link).rename(foreign / "own")
    if link.startswith("plan"):  # what others would like to be put in its place
        image(foreign, "foreign")
    (out / link).parent.mkdir(parents=True, exist_ok=True)
    (out / link).symlink_to(foreign)
    before = sorted(foreign.rglob("*"))
    if link.endswith("replaced") and at_once:
        take_place(OutputDir.of(out), PATH)
    else:
        with pytest.raises(OutputError, match="symbolic link"):
            take_place(OutputDir.of(out), PATH)
    assert sorted(foreign.rglob("*")) == before
    with suppress(OutputError):
        remove_replaced(OutputDir.of(out))
    assert sorted(foreign.rglob("*")) == before


def test_groups_that_hold_nothing_any_more_go_with_their_image(tmp_path: Path) -> None:
    out = str(tmp_path)
    image(Path(str(OutputDir.of(out).aside)), "new")
    take_place(OutputDir.of(out), PATH)  # makes the groups above
    (tmp_path / "images.zarr" / "1.2" / "1.4").mkdir()
    (tmp_path / "images.zarr" / "1.2" / "1.4" / "other").write_text("another image")
    remove_stale(OutputDir.of(out), PATH)
    assert sorted(path.name for path in (tmp_path / "images.zarr" / "1.2").iterdir()) == ["1.4", "zarr.json"]
