"""Another module named ``pipeline``, or none: one clear error, and nothing of the other one is run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import dcm2zarr

TRAP = "print('imported')\n"
COMMAND = "from dcm2zarr.__main__ import main; import sys; sys.argv[0] = 'dcm2zarr'; main()"
"""What the command's script does."""
HOME = Path(dcm2zarr.__file__).parents[1]


def _file(folder: Path) -> Path:
    path = folder / "pipeline.py"
    path.write_text(TRAP, "utf-8")
    return path


def _package(folder: Path) -> Path:
    path = folder / "pipeline" / "__init__.py"
    path.parent.mkdir()
    path.write_text(TRAP, "utf-8")
    (path.parent / "runs.py").write_text(f"{TRAP}def convert(*a, **k): ...\n", "utf-8")
    return path


def python(*arguments: str, at: Path, path: Path | None = None, options: tuple[str, ...] = ()):
    """Run Python in the folder `at`, which it searches first; then `path`, if it is given, then ours."""
    search = os.pathsep.join(str(one) for one in (path, HOME) if one)
    environment = {**os.environ, "PYTHONPATH": search}
    environment.pop("PYTHONSAFEPATH", None)
    command = [sys.executable, *options, *arguments]
    return subprocess.run(command, cwd=at, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("make", [_file, _package])
@pytest.mark.parametrize("command", [("-m", "dcm2zarr"), ("-c", COMMAND)])
def test_the_command_says_which_file_is_in_the_way(make, command, tmp_path: Path):
    where = make(tmp_path)
    done = python(*command, "schema", at=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {str(where)!r} is in the way")
    for text in ("Rename it", "another folder", "-P"):
        assert text in done.stderr
    assert done.stderr.count("\n") == 1, "no traceback"


@pytest.mark.parametrize("make", [_file, _package])
@pytest.mark.parametrize(
    "call", ["dcm2zarr.convert('in', 'out')", "dcm2zarr.RunConfig", "dcm2zarr.codecs", "dcm2zarr.open('out')"]
)
def test_python_gets_an_import_error_that_names_it(make, call, tmp_path: Path):
    where = make(tmp_path)
    code = f"import dcm2zarr\ntry:\n    {call}\nexcept ImportError as error:\n    print(error.name, error.path, error)"
    done = python("-c", code, at=tmp_path)
    assert done.stdout.startswith(f"pipeline {where} {str(where)!r} is in the way"), done.stderr


def test_one_that_a_program_has_imported_already(tmp_path: Path):
    where = _file(tmp_path)
    done = python("-c", "import pipeline, sys; sys.path.pop(0); import dcm2zarr; dcm2zarr.status('out')", at=tmp_path)
    assert done.stdout == "imported\n"
    assert f"ImportError: {str(where)!r} is in the way" in done.stderr


def test_an_installed_package(tmp_path: Path):
    folder, site = tmp_path / "here", tmp_path / "site"
    folder.mkdir()
    site.mkdir()
    where = _package(site)
    done = python("-m", "dcm2zarr", "schema", at=folder, path=site)
    assert done.returncode == 2
    assert f"{str(where)!r} is in the way" in done.stderr
    assert "use an environment without it" in done.stderr


@pytest.mark.parametrize(("options", "folder"), [(("-P",), True), ((), False)], ids=["python -P", "another folder"])
def test_what_the_message_says_helps(options, folder, tmp_path: Path):
    (tmp_path / "other").mkdir()
    _file(tmp_path)
    done = python("-m", "dcm2zarr", "schema", at=tmp_path if folder else tmp_path / "other", options=options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("{")


def _alone(tmp_path: Path) -> Path:
    shutil.copytree(HOME / "dcm2zarr", tmp_path / "alone" / "dcm2zarr", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "alone"


def test_ours_is_missing(tmp_path: Path):
    alone = _alone(tmp_path)
    code = f"import sys; sys.path.insert(0, {str(alone)!r}); {COMMAND}"
    done = python("-c", code, at=tmp_path, options=("-I", "-S"))
    assert done.returncode == 2
    assert f"is missing in {str(alone)!r}: install dcm2zarr again" in done.stderr


def test_ours_is_missing_and_a_folder_has_its_name(tmp_path: Path):
    alone = _alone(tmp_path)
    (tmp_path / "pipeline").mkdir()
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(alone)!r}]; {COMMAND}"
    done = python("-c", code, at=tmp_path, options=("-I", "-S"))
    assert done.returncode == 2
    assert f"{str(tmp_path / 'pipeline')!r} is in the way" in done.stderr


def test_a_folder_without_code_is_not_in_the_way_of_ours(tmp_path: Path):
    (tmp_path / "pipeline").mkdir()
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(HOME)!r}]; import dcm2zarr; dcm2zarr.RunConfig"
    done = python("-c", code, at=tmp_path)
    assert done.returncode == 0, done.stderr
