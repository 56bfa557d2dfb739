"""Fixtures for all tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import corpora
from support.corpora import corpus  # noqa: F401  also found here
from support.object_stores import Server, seaweedfs


@pytest.fixture(scope="session")
def pydicom_folder() -> Path:
    """The folder of pydicom's own test files."""
    return corpora.pydicom_folder()


@pytest.fixture(scope="session")
def corpus_files() -> list[Path]:
    """All files of all corpora."""
    return corpora.corpus()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real S3 server, started when the first test asks for it."""
    with seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server
