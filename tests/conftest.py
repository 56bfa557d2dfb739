"""Fixtures for all tests."""

from __future__ import annotations

from pathlib import Path

import corpora
import pytest
from corpora import corpus  # noqa: F401  also found here


@pytest.fixture(scope="session")
def pydicom_folder() -> Path:
    """The folder of pydicom's own test files."""
    return corpora.pydicom_folder()


@pytest.fixture(scope="session")
def corpus_files() -> list[Path]:
    """All files of all corpora."""
    return corpora.corpus()
