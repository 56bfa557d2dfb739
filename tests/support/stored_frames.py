"""Frames of a stored array as pydicom yields them, whatever the array's axes."""

from __future__ import annotations

import numpy as np
import zarr


def stored_frames(pixels: zarr.Array, frames: int | slice = slice(None)) -> np.ndarray:
    """Frames of ``pixels``, ``([frame,] row, column[, sample])``; they lie along the first axis."""
    values = np.asarray(pixels[frames])
    return np.moveaxis(values, -3, -1) if pixels.metadata.dimension_names == ("t", "c", "y", "x") else values
