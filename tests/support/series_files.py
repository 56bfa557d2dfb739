"""Small DICOM files of series, with pixels known to the test, for folders that change."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from pydicom import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from support.dicom_bytes import rle_frame

SIDE = 16


def pixels(seed: int, frames: int = 1) -> np.ndarray:
    """Random frames, different for each seed."""
    return np.random.default_rng(seed).integers(0, 255, (frames, SIDE, SIDE), np.uint8)


def dicom(
    array: np.ndarray, number: int = 1, *, series: str = "1.2.3", rle: bool = False, broken: int = 0, **more: Any
) -> bytes:
    """A file of one frame or several; the last `broken` frames are RLE cut short, which no header shows."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", f"{series}.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality = "1.2", series, "CT"
    ds.PatientID, ds.InstanceNumber = "one", number
    ds.Rows, ds.Columns = array.shape[1:]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    if len(array) > 1:
        ds.NumberOfFrames = len(array)
    else:
        ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, number], [1, 0, 0, 0, 1, 0]
    for keyword, value in more.items():
        setattr(ds, keyword, value)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = RLELossless if rle or broken else ExplicitVRLittleEndian
    whole = len(array) - broken
    fragments = [rle_frame(frame)[: None if n < whole else -SIDE * 8] for n, frame in enumerate(array)]
    ds.PixelData = encapsulate(fragments) if rle or broken else array.tobytes()
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = bool(rle or broken)
    written = io.BytesIO()
    ds.save_as(written, enforce_file_format=True)
    return written.getvalue()
