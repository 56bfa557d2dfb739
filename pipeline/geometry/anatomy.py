"""What viewers and arrays need of an affine: axes in the order of an array, ``(z, y, x)``, their coordinates and anatomical names."""

from __future__ import annotations

import itertools
import math

import numpy as np

from pipeline.model import Floats, Geometry

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""DICOM's axes point to the patient's left, back and head (PS3.3 C.7.6.2.1.1); NIfTI's to the right, front and head."""
_NAMES = (
    ("right-to-left", "left-to-right"),
    ("anterior-to-posterior", "posterior-to-anterior"),
    ("inferior-to-superior", "superior-to-inferior"),
)
"""Names of the directions of increasing and of decreasing L, P and S (OME-Zarr RFC-4)."""


def to_ras(affine: Floats) -> Floats:
    """Return an affine to LPS as one to RAS, or the reverse; shape (4, 4)."""
    return LPS_TO_RAS @ affine


def directions(affine: Floats) -> Floats:
    """Return the unit vectors in LPS along which ``(z, y, x)`` increase, shape ``(3, 3)``, one per row."""
    columns = affine[:3, :3].T[::-1]
    return np.asarray(columns / np.linalg.norm(columns, axis=1, keepdims=True), np.float64)


def orientation_names(affine: Floats) -> tuple[str, str, str]:
    """Return the anatomical directions of ``(z, y, x)`` as RFC-4 names them: the nearest axis of the patient for each.

    No axis of the patient stands twice: of all assignments, the one with the largest sum of cosines is taken.
    """
    cosines = directions(affine).tolist()
    best = max(
        itertools.permutations(range(3)),
        key=lambda axes: math.fsum(abs(row[axis]) for row, axis in zip(cosines, axes, strict=True)),
    )
    z, y, x = (_NAMES[axis][row[axis] < 0] for row, axis in zip(cosines, best, strict=True))
    return z, y, x


def to_image_axes(affine: Floats, positions: Floats) -> Floats:
    """Return LPS positions, shape ``(…, 3)``, as millimetres along ``(z, y, x)``.

    Times :func:`directions`, and summed, they are the positions again, with sheared axes too.
    """
    return np.asarray(np.linalg.solve(directions(affine).T, positions.reshape(-1, 3).T).T, np.float64).reshape(
        positions.shape
    )


def scale_and_translation(geometry: Geometry) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return scale and translation of ``(z, y, x)`` in mm in the image's own axes, as OME-Zarr 0.5 has them.

    They are 1 and 0 for `z`, which then has no unit, unless the slices lie at equal steps.

    Raises
    ------
    ValueError
        If the geometry has no affine.
    """
    affine = geometry.matrix
    sz, sy, sx = np.linalg.norm(affine[:3, :3], axis=0)[::-1].tolist()
    tz, ty, tx = to_image_axes(affine, affine[:3, 3]).tolist()
    return ((sz, sy, sx), (tz, ty, tx)) if geometry.verdict == "regular" else ((1.0, sy, sx), (0.0, ty, tx))


def axis_coordinates(
    geometry: Geometry, sizes: tuple[int, int, int], positions: Floats | None = None
) -> tuple[Floats, ...]:
    """Return the coordinates in mm along ``(z, y, x)`` of the image's own axes, one array for each.

    Parameters
    ----------
    geometry : Geometry
        With an affine.
    sizes : tuple of int
        Slices, rows and columns.
    positions : array, optional
        Position of each slice, mm, shape ``(slice, 3)``: then `z` is where the slices are, not where the affine has them.
    """
    affine = geometry.matrix
    spacing = np.linalg.norm(affine[:3, :3], axis=0)[::-1]
    origin = to_image_axes(affine, affine[:3, 3])
    z = (
        origin[0] + geometry.slice_index(sizes[0]) * spacing[0]
        if positions is None
        else to_image_axes(affine, positions)[:, 0]
    )
    return (z, *(origin[axis] + np.arange(sizes[axis]) * spacing[axis] for axis in (1, 2)))
