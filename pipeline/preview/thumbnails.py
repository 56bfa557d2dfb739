"""Make a small picture of a frame, with the grey levels that a viewer would show first."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

LONGEST_SIDE = 128
"""Pixels of a thumbnail's longest side."""
_QUALITY = 80
_PERCENTILES = (1.0, 99.0)
_COLOUR_AXES = 3


@dataclass(frozen=True, slots=True)
class GreyWindow:
    """Window Center and Width of rescaled values (PS3.3 C.11.1 and C.11.2)."""

    center: float
    width: float
    slope: float = 1.0
    intercept: float = 0.0


def window_of(attributes: Mapping[str, Any]) -> GreyWindow | None:
    """Return the grey window that a frame's attributes give; None if they give no usable one."""
    center, width = _number(attributes.get("WindowCenter")), _number(attributes.get("WindowWidth"))
    if center is None or width is None or width < 1:
        return None
    slope, intercept = _number(attributes.get("RescaleSlope")), _number(attributes.get("RescaleIntercept"))
    return GreyWindow(center, width, 1.0 if slope is None else slope, intercept or 0.0)


def _number(value: Any) -> float | None:
    """Return a number, or the first of several; None if it isn't a finite number."""
    values = np.asarray(value if value is not None else [], dtype=object).reshape(-1)
    try:
        number = float(values[0])
    except (IndexError, TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


def thumbnail(frame: npt.NDArray[Any], photometric: str, window: GreyWindow | None) -> bytes:
    """Return a frame as a small JPEG.

    Parameters
    ----------
    frame : numpy.ndarray
        ``(row, column)`` or ``(row, column, sample)``.
    photometric : str
        Photometric Interpretation of the stored pixels.
    window : GreyWindow, optional
        How grey levels are shown; by default from the 1st to the 99th percentile.
    """
    step = max(1, min(frame.shape[:2]) // (4 * LONGEST_SIDE))  # enough pixels for a good small picture
    small = frame[::step, ::step]
    if small.ndim == _COLOUR_AXES and small.shape[2] >= _COLOUR_AXES:
        mode = "YCbCr" if photometric.startswith("YBR") else "RGB"
        picture = Image.fromarray(_bytes(small[..., :_COLOUR_AXES], None), mode).convert("RGB")
    else:
        grey = _bytes(small.reshape(small.shape[:2]), window)
        picture = Image.fromarray(255 - grey if photometric == "MONOCHROME1" else grey)
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def _bytes(values: npt.NDArray[Any], window: GreyWindow | None) -> npt.NDArray[np.uint8]:
    """Return values as 8-bit grey levels."""
    if values.dtype == np.uint8 and window is None and values.max(initial=0) > 1:
        return np.ascontiguousarray(values)
    numbers = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
    if window:
        low = window.center - 0.5 - (window.width - 1) / 2
        high = low + max(window.width - 1, 1e-9)
        numbers = numbers * window.slope + window.intercept
    else:
        low, high = np.percentile(numbers, _PERCENTILES) if numbers.size else (0.0, 1.0)
        if high <= low:
            low, high = float(numbers.min(initial=0)), float(numbers.max(initial=1))
    scaled = (numbers - low) / (high - low if high > low else 1.0)
    return (np.clip(scaled, 0, 1) * 255).astype(np.uint8)
