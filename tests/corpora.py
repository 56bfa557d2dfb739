"""Real DICOM files: pydicom's own, pydicom-data's, and a folder of others where one is at hand."""

from __future__ import annotations

import os
from pathlib import Path

from pydicom.data import get_testdata_file

REPOSITORY = Path(__file__).resolve().parents[1]


def shared_data() -> Path | None:
    """The folder of further real files: $DCM2ZARR_TEST_DATA, or ``shared/data`` beside the repository."""
    given = os.environ.get("DCM2ZARR_TEST_DATA")
    folder = Path(given) if given else REPOSITORY.parent / "shared" / "data"
    return folder if folder.is_dir() else None


def pydicom_folder() -> Path:
    """The folder of pydicom's own test files."""
    return Path(str(get_testdata_file("CT_small.dcm", download=False))).parent


def corpus() -> list[Path]:
    """Every regular file of all corpora, sorted, without the index files of the packages."""
    roots = [folder for folder in (pydicom_folder(), pydicom_data_folder(), shared_data()) if folder]
    return sorted(path for root in roots for path in root.rglob("*") if path.is_file())


def pydicom_data_folder() -> Path | None:
    """The folder of the pydicom-data package's files."""
    try:
        import data_store  # noqa: PLC0415  optional package
    except ImportError:
        return None
    return Path(next(iter(data_store.__path__))) / "data"
