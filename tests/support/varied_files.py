"""A folder of varied files, and its conversion."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pydicom

import pipeline
from pipeline.report import RunSummary

IN_SMALL_TASKS = {"kind": "synchronous", "task_work": 2**19}
"""Settings for tasks of a few shards in this process."""
GOOD = ("MR_small.dcm", "JPEG2000.dcm", "rtdose_rle.dcm", "SC_rgb_rle_2frame.dcm", "SC_rgb_jpeg_dcmtk.dcm")


@dataclass(frozen=True)
class Place:
    """A source folder, and the place of its result."""

    folder: Path
    out: Path

    def convert(self, **options: Any) -> RunSummary:
        options = {"cluster": IN_SMALL_TASKS, "output": {"shard": 3000}} | options
        return pipeline.convert(self.folder, self.out, **options)

    def elsewhere(self, name: str) -> Place:
        return Place(self.folder, self.out.with_name(name))

    def pixels(self) -> dict[str, str]:
        """Every file of images.zarr, with its digest."""
        root = self.out / "images.zarr"
        return {
            str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }

    def rows(self) -> list[dict[str, Any]]:
        """The catalog, row by row."""
        return pq.read_table(self.out / "catalog.parquet").to_pylist()

    def result(self) -> tuple[dict[str, str], list[dict[str, Any]]]:
        return self.pixels(), self.rows()


def add_series(folder: Path, template: Path, numbers: range, series: str = "1.2.3.4") -> None:
    """Single-frame files of one series, one for each of `numbers`."""
    ds = pydicom.dcmread(template)
    ds.SeriesInstanceUID = series
    for number in numbers:
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{series}.{number}"
        ds.InstanceNumber = number
        ds.ImagePositionPatient = [0, 0, number]
        pixels = ds.pixel_array.copy()
        pixels[0, 0] = number
        ds.PixelData = pixels.tobytes()
        ds.save_as(folder / f"series-{series}-{number:03}.dcm")


def fill(folder: Path, originals: Path) -> None:
    """Multi-frame files, a series, a damaged file, a copy and a file that isn't an image."""
    folder.mkdir()
    for name in GOOD:
        shutil.copy(originals / name, folder)
    add_series(folder, originals / "CT_small.dcm", range(1, 6))
    (folder / "cut.dcm").write_bytes((folder / "rtdose_rle.dcm").read_bytes()[:-3000])
    (folder / "notes.txt").write_text("not DICOM", "utf-8")
    shutil.copy(folder / "MR_small.dcm", folder / "copy.dcm")
