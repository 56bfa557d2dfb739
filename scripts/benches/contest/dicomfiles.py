"""DICOM files of any size, written frame by frame: one multi-frame instance, or a series of single-frame CT slices."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from benches.contest.ctheader import add_ct_attributes

MULTI_FRAME = UID("1.2.840.10008.5.1.4.1.1.7.3")
"""Multi-frame Grayscale Word Secondary Capture Image Storage."""
COLOUR = UID("1.2.840.10008.5.1.4.1.1.7.4")
"""Multi-frame True Color Secondary Capture Image Storage."""
ROOT = "2.25.1."
"""Root of all UIDs here, so that the same files come out every time."""
_UNDEFINED = 0xFFFFFFFF
_LARGEST_NATIVE = 2**32 - 2
"""Bytes of a native value (PS3.5 7.1.1)."""


@dataclass(frozen=True, slots=True)
class Place:
    """Place of a frame's encoded bytes."""

    path: str
    offset: int
    length: int


def write_multi_frame(
    path: Path,
    encoded: Sequence[bytes],
    frames: int,
    sample: npt.NDArray[Any],
    *,
    syntax: UID,
    photometric_interpretation: str,
    table: bool = True,
) -> list[Place]:
    """Write `frames` frames, repeating the `encoded` ones, and return the place of each.

    Parameters
    ----------
    sample : ndarray
        A decoded frame, for its shape and type.
    table : bool
        Write a basic offset table. Native data have none.
    """
    ds = _image(sample, photometric_interpretation)
    ds.SOPClassUID = COLOUR if sample.ndim > 2 else MULTI_FRAME  # noqa: PLR2004  rows, columns
    ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID = ROOT + "1", ROOT + "2", ROOT + "3"
    ds.Modality, ds.NumberOfFrames = "OT", frames
    _save(ds, path, syntax)
    with path.open("ab") as file:
        if syntax == ExplicitVRLittleEndian:
            return _append_native(file, path, encoded, frames)
        return _append_items(file, path, encoded, frames, table=table)


def write_slices(folder: Path, slices: Sequence[npt.NDArray[np.uint16]], count: int) -> list[Place]:
    """Write `count` single-frame CT instances of one series, native, repeating `slices`."""
    folder.mkdir(parents=True, exist_ok=True)
    places = []
    for number in range(count):
        ds = _ct_slice(slices[number % len(slices)], number)
        path = folder / f"{number:05d}.dcm"
        _save(ds, path, ExplicitVRLittleEndian)
        with path.open("ab") as file:
            places += _append_native(file, path, [slices[number % len(slices)].tobytes()], 1)
    return places


def largest_count(frame_bytes: int, wanted: int) -> int:
    """Return `wanted`, or the most frames that one native value can hold."""
    return min(wanted, _LARGEST_NATIVE // frame_bytes)


def _image(sample: npt.NDArray[Any], photometric_interpretation: str) -> Dataset:
    ds = Dataset()
    bits, colour = 8 * sample.itemsize, sample.ndim > 2  # noqa: PLR2004  rows, columns
    stored = 12 if bits > 8 else 8  # noqa: PLR2004  bits of a byte
    ds.Rows, ds.Columns = sample.shape[:2]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = (3 if colour else 1), photometric_interpretation
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = bits, stored, stored - 1, 0
    if colour:
        ds.PlanarConfiguration = 0
    return ds


def _save(ds: Dataset, path: Path, syntax: UID) -> None:
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.save_as(path, enforce_file_format=True, little_endian=True, implicit_vr=False)


def _append_native(file: BinaryIO, path: Path, encoded: Sequence[bytes], frames: int) -> list[Place]:
    size = len(encoded[0])
    file.write(struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, frames * size))
    start = file.tell()
    file.writelines(encoded[frame % len(encoded)] for frame in range(frames))
    return [Place(str(path), start + frame * size, size) for frame in range(frames)]


def _append_items(file: BinaryIO, path: Path, encoded: Sequence[bytes], frames: int, *, table: bool) -> list[Place]:
    """Write encapsulated pixel data, one fragment per frame (PS3.5 A.4)."""
    values = [data + b"\0" * (len(data) % 2) for data in encoded]
    sizes = [len(values[frame % len(values)]) for frame in range(frames)]
    starts = list(accumulate((8 + size for size in sizes), initial=0))
    entries = np.array(starts[:-1], "<u4").tobytes() if table else b""
    file.write(struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, _UNDEFINED))
    file.write(struct.pack("<HHI", 0xFFFE, 0xE000, len(entries)) + entries)
    first = file.tell()
    file.writelines(
        struct.pack("<HHI", 0xFFFE, 0xE000, sizes[frame]) + values[frame % len(values)] for frame in range(frames)
    )
    file.write(struct.pack("<HHI", 0xFFFE, 0xE0DD, 0))
    return [Place(str(path), first + start + 8, size) for start, size in zip(starts, sizes, strict=False)]


def _ct_slice(sample: npt.NDArray[Any], number: int) -> Dataset:
    ds = _image(sample, "MONOCHROME2")
    add_ct_attributes(ds, number)
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, f"{ROOT}4.{number + 1}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = ROOT + "5", ROOT + "6"
    return ds
