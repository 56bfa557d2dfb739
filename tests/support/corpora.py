"""Real DICOM files: pydicom's own, pydicom-data's, and a folder of others if there is one."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.errors import InvalidDicomError

from pipeline import codecs
from pipeline.model import syntaxes

REPOSITORY = Path(__file__).resolve().parents[2]


def shared_data() -> Path | None:
    """The folder of further real files: $DCM2ZARR_TEST_DATA, or ``shared/data`` beside the repository."""
    given = os.environ.get("DCM2ZARR_TEST_DATA")
    folder = Path(given) if given else REPOSITORY.parent / "shared" / "data"
    return folder if folder.is_dir() else None


def pydicom_folder() -> Path:
    """The folder of pydicom's own test files."""
    return Path(str(get_testdata_file("CT_small.dcm", download=False))).parent


def copies(names: Iterable[str], folder: Path) -> Path:
    """Copy some of pydicom's own test files, with their times, into a folder, and return that."""
    for name in names:
        shutil.copy2(pydicom_folder() / name, folder)
    return folder


NOT_DICOM = frozenset(
    (
        *("README", "README.txt", "crayons.icc", "manifest.csv", "no_meta.dcm", "rtplan.dump", "rtstruct.dump"),
        *("test1.json", "test_PN.json", "zipMR.gz"),
    )
)
"""Names of files of the corpora that no reader takes for DICOM."""
WITHOUT_PREAMBLE = frozenset(
    (
        *("ExplVR_BigEndNoMeta.dcm", "ExplVR_LitEndNoMeta.dcm", "OT-PAL-8-face.dcm", "rtstruct.dcm"),
        *("JLSL_RGB_ILV0.dcm", "JLSL_RGB_ILV1.dcm", "JLSL_RGB_ILV2.dcm", "JLSN_RGB_ILV0.dcm"),
    )
)
"""Names of files that begin with their first element, which pydicom accepts as DICOM only if forced."""
TAKEN_OTHERWISE = frozenset(
    ("no_preamble_dicm_in_data", "rtplan_truncated.dcm", "emri_small_jpeg_2k_lossless_too_short.dcm")
)
"""Names of files of which pydicom drops elements: it takes a text in the first one for a preamble; the others are cut short."""


def dicom_files(largest: int, without: Collection[str] = ()) -> list[Path]:
    """The DICOM files of the corpora according to pydicom, below a size, without those of some names."""
    left_out = {*NOT_DICOM, *WITHOUT_PREAMBLE, *without}
    return [path for path in corpus() if path.stat().st_size < largest and path.name not in left_out]


def corpus() -> list[Path]:
    """Every regular file of all corpora, sorted, without the packages' index files."""
    roots = [folder for folder in (pydicom_folder(), pydicom_data_folder(), shared_data()) if folder]
    return sorted(path for root in roots for path in root.rglob("*") if path.is_file())


def identified(most: int) -> Iterator[Path]:
    """Yield the files of the corpora, up to a size in bytes, that have UIDs of study, series and instance."""
    for path in corpus():
        if path.stat().st_size <= most:
            try:
                with warnings.catch_warnings(action="ignore"):
                    header = dcmread(path, stop_before_pixels=True, force=True)
                uids = [header.get(name) for name in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")]
            except Exception:  # noqa: BLE001  damaged on purpose: just as welcome
                uids = [""]
            if all(uids):
                yield path


@cache
def same_codec(path: Path) -> dict[str, Any]:
    """What iter_pixels must be told to give the same bits: decoders of lossy codestreams differ by a grey level or two.

    Empty where decoders agree to the bit, so that pydicom chooses; also for what isn't DICOM.
    """
    try:
        meta = dcmread(path, specific_tags=[], stop_before_pixels=True).file_meta
    except (InvalidDicomError, OSError):
        return {}
    if meta.get("TransferSyntaxUID") in syntaxes.LOSSY_JPEG_2000:
        return {"decoding_plugin": codecs.PLUGIN}
    if meta.get("TransferSyntaxUID") not in syntaxes.LOSSY_JPEG:
        return {}
    return {"decoding_plugin": codecs.PLUGIN, codecs.RGB_OPTION: True}


def pydicom_data_folder() -> Path | None:
    """The folder of the pydicom-data package's files."""
    try:
        import data_store  # noqa: PLC0415  optional package
    except ImportError:
        return None
    return Path(next(iter(data_store.__path__))) / "data"
