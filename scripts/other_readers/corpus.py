"""A small corpus of several kinds of images, from pydicom's own files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom

from support.corpora import copies, pydicom_folder
from support.varied_files import add_series

FILES = (
    *(
        "CT_small.dcm",
        "MR_small_RLE.dcm",
        "JPEGLSNearLossless_08.dcm",
        "J2K_pixelrep_mismatch.dcm",
    ),  # grey, signed, 8 and 16 bits
    *("rtdose.dcm", "rtdose_1frame.dcm", "liver_1frame.dcm", "examples_palette.dcm"),  # several frames, 32 bits, 1 bit
    *("SC_rgb_small_odd.dcm", "SC_rgb_jpeg_dcmtk.dcm", "examples_rgb_color.dcm"),  # colour, one frame
    *("SC_rgb_rle_2frame.dcm", "SC_rgb_rle_16bit_2frame.dcm", "examples_ybr_color.dcm"),  # colour, several frames
)


def write_corpus(folder: Path) -> None:
    """Write the files into a folder: :data:`FILES`, a CT stack, floating-point frames, and a frame larger than a chunk."""
    copies(FILES, folder)
    template = pydicom_folder() / "CT_small.dcm"
    add_series(folder, template, range(1, 8))
    _write_float_frames(folder / "float.dcm", template)
    _write_large_frame(folder / "large.dcm", template)


def _write_float_frames(path: Path, template: Path) -> None:
    ds = _as_other_instance(template, "1.2.3.5")
    frames = np.random.default_rng(14).normal(size=(3, ds.Rows, ds.Columns)).astype(np.float32)
    del ds.PixelData, ds.BitsStored, ds.HighBit, ds.PixelRepresentation
    ds.NumberOfFrames, ds.BitsAllocated, ds.FloatPixelData = len(frames), 32, frames.tobytes()
    ds.save_as(path)


def _write_large_frame(path: Path, template: Path) -> None:
    ds = _as_other_instance(template, "1.2.3.6")
    ds.Rows, ds.Columns = 3001, 4003
    ds.PixelData = (np.arange(ds.Rows)[:, None] * 7 + np.arange(ds.Columns)).astype(np.int16).tobytes()
    ds.save_as(path)


def _as_other_instance(template: Path, uid: str) -> pydicom.Dataset:
    ds = pydicom.dcmread(template)
    ds.SeriesInstanceUID, ds.SOPInstanceUID = uid, f"{uid}.1"
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    return ds
