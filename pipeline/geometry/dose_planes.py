"""Positions of the planes of an RT dose, which has one Image Position (Patient) and a vector of offsets."""

from __future__ import annotations

import numpy as np

from pipeline.geometry.ordering import POSITION_TOLERANCE
from pipeline.geometry.planes import ORIENTATION_TOLERANCE
from pipeline.model import Floats

_TRANSVERSE = np.eye(3)[:2]
"""Image Orientation (Patient) of planes whose rows and columns follow the patient's x and y."""


def dose_positions(position: Floats, orientation: Floats, offsets: Floats) -> Floats | None:
    """Return the position of each plane of an RT dose (PS3.3 C.8.8.3.2), mm, shape ``(frame, 3)``; None if it isn't defined.

    If the first value of Grid Frame Offset Vector (3004,000C) is 0, the values are distances from the first plane along row x
    column direction. If it is the z of Image Position (Patient), and rows and columns follow the patient's x and y, they are z.
    If both hold, so do both meanings.

    Parameters
    ----------
    position : array
        Image Position (Patient), shape ``(3,)``.
    orientation : array
        Image Orientation (Patient), shape ``(2, 3)``.
    offsets : array
        Grid Frame Offset Vector, shape ``(frame,)``.
    """
    if not len(offsets) or not all(np.isfinite(values).all() for values in (position, orientation, offsets)):
        return None
    if offsets[0] == 0:
        return np.asarray(position + offsets[:, None] * np.cross(*orientation), np.float64)
    transverse = np.abs(orientation - _TRANSVERSE).max() <= ORIENTATION_TOLERANCE
    if not transverse or abs(offsets[0] - position[2]) > POSITION_TOLERANCE:
        return None
    planes = np.tile(position, (len(offsets), 1))
    planes[:, 2] = offsets
    return planes
