"""Fixtures of the tests of whole runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import varied_files as files
from support.changing_files import archive, pristine  # noqa: F401  also found here


@pytest.fixture
def varied(tmp_path: Path, pydicom_folder: Path) -> files.Place:
    """A folder of varied files, converted in many small tasks."""
    files.fill(tmp_path / "in", pydicom_folder)
    return files.Place(tmp_path / "in", tmp_path / "out")
