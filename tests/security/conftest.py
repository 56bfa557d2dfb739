"""Results to be attacked: made once, copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.converted_folders import invoke
from support.shared_results import Output, configuration, some_files


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files, with a plan for them of which nothing is done, and with their conversion."""
    folder = tmp_path_factory.mktemp("security")
    some_files(folder / "in")
    assert invoke("init", str(configuration(folder / "in", folder / "planned")), "--partitions", "2").exit_code == 0
    assert invoke("run", str(configuration(folder / "in", folder / "finished"))).exit_code == 0
    return folder


def _copy(made: Path, name: str, tmp_path: Path) -> Output:
    shutil.copytree(made / name, tmp_path / "out")
    return Output(tmp_path / "out", configuration(made / "in", tmp_path / "out"), made / "in")


@pytest.fixture
def planned(made: Path, tmp_path: Path) -> Output:
    """An output directory with a plan of which nothing is done yet."""
    return _copy(made, "planned", tmp_path)


@pytest.fixture
def finished(made: Path, tmp_path: Path) -> Output:
    """The output directory of a run that has ended."""
    return _copy(made, "finished", tmp_path)
