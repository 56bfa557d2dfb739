"""Fixtures of the tests of whole runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import varied as files
from changing import archive, pristine  # noqa: F401  also found here

from pipeline.runs import preparation


@pytest.fixture
def varied(tmp_path: Path, pydicom_folder: Path, monkeypatch: pytest.MonkeyPatch) -> files.Place:
    """A folder of varied files, cut into many small tasks."""
    files.fill(tmp_path / "in", pydicom_folder)
    monkeypatch.setattr(preparation, "layout", files.small_tasks(preparation.layout))
    return files.Place(tmp_path / "in", tmp_path / "out")
