"""The image planes of frames, and the slices that they make: positions along the normal, affine and verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.geometry.ordering import POSITION_TOLERANCE
from pipeline.model import Affine, Floats, Geometry, Integers, as_affine

ORIENTATION_TOLERANCE = 1e-3
"""Direction cosines closer than this (0.06 degrees) count as equal: scanners round them to as few as 4 decimals."""
PIXEL_SPACING_TOLERANCE = 1e-4
"""Relative. Pixel Spacings closer than this count as equal: over 512 pixels they differ by a twentieth of a pixel."""
UNIT_TOLERANCE = 1e-2
"""Direction cosines may deviate this much from unit vectors at right angles (PS3.3 C.7.6.2.1.1)."""
REGULAR_TOLERANCE = 0.01
"""Positions may deviate from those of the affine by this part of the spacing, and the slices still count as regular."""
SHEAR_TOLERANCE = 0.01
"""The slices count as sheared if the last one is displaced in its plane by more than this part of the spacing."""
MISSING_LIMIT = 10_000
"""A stack that lacks more slices than this has no gaps but unequal steps: the list of gaps must stay short."""
LARGEST = 1e9
"""Numbers of this size and above are no millimetres."""
_UNKNOWN: Floats = np.full(2, math.nan)
_NO_FRAMES: Integers = np.empty(0, np.int64)
_NO_SLICES: Floats = np.empty((0, 3))
_UNIT_STEP = 1.5
"""Steps shorter than this many times the shortest one are one slice wide."""


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """Image planes of frames, in any order; NaN if a frame lacks a value."""

    positions: Floats
    """Image Position (Patient), mm, shape ``(frame, 3)``."""
    orientations: Floats
    """Image Orientation (Patient), direction of the rows, then of the columns, shape ``(frame, 2, 3)``."""
    pixel_spacing: Floats
    """Pixel Spacing, mm between rows, then between columns, shape ``(frame, 2)``."""
    spacing_between_slices: float | None = None
    """mm. Only a single slice's thickness of 1 in the affine is replaced by it."""

    def __len__(self) -> int:
        return len(self.positions)

    def select(self, frames: npt.NDArray[Any]) -> Planes:
        """Return the planes of some frames: their numbers, or a mask."""
        return replace(
            self,
            positions=self.positions[frames],
            orientations=self.orientations[frames],
            pixel_spacing=self.pixel_spacing[frames],
        )


def make_planes(
    positions: Sequence[Any],
    orientations: Sequence[Any],
    pixel_spacing: Sequence[Any],
    spacing_between_slices: float | None = None,
) -> Planes:
    """Make planes from header values, one per frame each, None if missing; a sequence of one value holds for all frames.

    Values of one kind have the same form, such as six numbers, or two vectors.
    """
    frames = len(positions)
    return Planes(
        _column(positions, frames, (3,)),
        _column(orientations, frames, (2, 3)),
        _column(pixel_spacing, frames, (2,)),
        spacing_between_slices,
    )


def _column(values: Sequence[Any] | Floats, frames: int, shape: tuple[int, ...]) -> Floats:
    if not isinstance(values, np.ndarray):
        form = next((np.shape(value) for value in values if value is not None), shape)
        missing = np.full(form, math.nan).tolist()
        values = np.array([missing if value is None else value for value in values], np.float64)
    return np.broadcast_to(values.reshape(-1, *shape), (frames, *shape))


@dataclass(frozen=True, slots=True, eq=False)
class Slices:
    """Slices that frames lie on, ascending along row x column direction, whatever the order of the frames."""

    geometry: Geometry
    """Geometry of the slices; it says nothing on whether all have the same number of frames."""
    of_frames: Integers
    """Slice of each frame, shape ``(frame,)``; empty if the frames make no slices."""
    positions: Floats
    """Position of each slice, mm, shape ``(slice, 3)``."""


def find_slices(planes: Planes, tolerance: float = REGULAR_TOLERANCE) -> Slices:
    """Find the slices of frames, and measure how they lie.

    Frames closer than 0.001 mm lie on the same slice. The affine comes from the positions alone: its third column is the
    step from the first slice to the last, divided by the number of steps, never Slice Thickness or the normal.

    Parameters
    ----------
    planes : Planes
        At least one frame.
    tolerance : float
        Part of the spacing, see :data:`REGULAR_TOLERANCE`; below 0.25.

    Raises
    ------
    ValueError
        If `planes` is empty.
    """
    if not len(planes):
        raise ValueError("no frames: no geometry")
    plane = _find_common_plane(planes)
    if isinstance(plane, Geometry):
        return Slices(plane, _NO_FRAMES, _NO_SLICES)
    found = _cluster(planes.positions, plane.normal)
    if found is None:
        reason = "frames lie in one plane at different positions"
        return Slices(
            Geometry("coincident", spacing=(None, plane.y, plane.x), reasons=(reason,)), _NO_FRAMES, _NO_SLICES
        )
    of_frames, positions = found
    if len(positions) == 1:
        return Slices(_measure_single(plane, positions[0], planes.spacing_between_slices), of_frames, positions)
    return Slices(_measure(plane, positions, tolerance), of_frames, positions)


class _Plane:
    """Orientation and pixel spacing that all frames share."""

    def __init__(self, orientation: Floats, y: float, x: float) -> None:
        self.orientation, self.y, self.x = orientation, y, x
        (a, b, c), (d, e, f) = orientation.tolist()
        normal = np.array((b * f - c * e, c * d - a * f, a * e - b * d))
        self.normal: Floats = normal / math.sqrt(normal @ normal)

    def affine(self, column: Floats, origin: Floats) -> Affine:
        """Return the affine whose third column is `column`."""
        return as_affine((self.orientation[0] * self.x, self.orientation[1] * self.y, column, origin))


def _find_common_plane(planes: Planes) -> _Plane | Geometry:
    """Return orientation and pixel spacing of all frames; if they can't have one, a geometry that says why."""
    spacing = _common(planes.pixel_spacing, PIXEL_SPACING_TOLERANCE * planes.pixel_spacing.min(axis=0))
    orientation = _common(planes.orientations, ORIENTATION_TOLERANCE)
    y, x = (float(side) if side > 0 else None for side in (_UNKNOWN if spacing is None else spacing))
    known = (None, y, x)
    if reasons := _find_missing(planes):
        return Geometry("no_geometry", spacing=known, reasons=reasons)
    if orientation is None:
        return Geometry("mixed_orientation", spacing=known, reasons=("the frames have several orientations",))
    if np.abs(orientation @ orientation.T - np.eye(2)).max() > UNIT_TOLERANCE:
        reason = "Image Orientation (Patient) isn't two unit vectors at right angles"
        return Geometry("no_geometry", spacing=known, reasons=(reason,))
    if spacing is None:
        return Geometry("mixed_spacing", reasons=("the frames have several Pixel Spacings",))
    if y is None or x is None:
        return Geometry("no_geometry", spacing=known, reasons=("Pixel Spacing isn't positive",))
    return _Plane(orientation, y, x)


def _find_missing(planes: Planes) -> tuple[str, ...]:
    """Return a sentence for each value that frames lack."""
    known = {
        "Image Position (Patient)": np.abs(planes.positions) < LARGEST,
        "Image Orientation (Patient)": np.abs(planes.orientations) < LARGEST,
        "Pixel Spacing": np.abs(planes.pixel_spacing) < LARGEST,
    }
    return tuple(
        f"{len(planes) - int(usable.reshape(len(planes), -1).all(axis=1).sum())} of {len(planes)} frames lack {name}"
        for name, usable in known.items()
        if not usable.all()
    )


def _common(values: Floats, tolerance: float | Floats) -> Floats | None:
    """Return the value that all frames agree on within a tolerance: their median, whatever their order; None if they don't."""
    low: Floats = values.min(axis=0)
    high = values.max(axis=0)
    if (low == high).all():
        return low
    if not (high - low <= tolerance).all():
        return None
    return np.asarray(np.median(values, axis=0), np.float64)


def _cluster(positions: Floats, normal: Floats) -> tuple[Integers, Floats] | None:
    """Return the slice of each frame and the position of each slice; None if a slice's frames aren't at one position."""
    offsets = (positions - positions.min(axis=0)) @ normal  # the same numbers, whatever the order of the frames
    ascending = np.argsort(offsets, kind="stable")
    starts = np.diff(offsets[ascending], prepend=-np.inf) > POSITION_TOLERANCE
    of_frames = np.empty(len(positions), np.int64)
    of_frames[ascending] = np.cumsum(starts) - 1
    first = np.flatnonzero(starts)
    low = np.minimum.reduceat(positions[ascending], first)
    high = np.maximum.reduceat(positions[ascending], first)
    if (high - low).max() > POSITION_TOLERANCE:
        return None
    return of_frames, low + (high - low) / 2


def _measure_single(plane: _Plane, position: Floats, between_slices: float | None) -> Geometry:
    thickness = between_slices if between_slices is not None and 0 < between_slices < LARGEST else 1.0
    return Geometry(
        "single_slice",
        plane.affine(plane.normal * thickness, position),
        (None, plane.y, plane.x),
        position_residual_mm=0.0,
        tilt_degrees=0.0,
        sheared=False,
        reasons=("the spacing of a single slice is unknown",),
    )


def _measure(plane: _Plane, positions: Floats, tolerance: float) -> Geometry:
    """Return the geometry of two slices and more, in ascending order."""
    steps = np.diff((positions - positions[0]) @ plane.normal)
    index, column, residual = _fit(positions, _count_steps(steps))
    spacing = math.sqrt(column @ column)
    verdict, reason = "regular", ""
    if residual > tolerance * spacing:
        index, column, residual = _fit(positions, np.ones(len(steps)))
        spacing = math.sqrt(column @ column)
        verdict = "irregular"
        reason = f"slices deviate by up to {residual:.6g} mm from equal steps of {spacing:.6g} mm"
    missing = _NO_FRAMES
    if index[-1] >= len(index):
        empty = np.ones(index[-1] + 1, bool)
        empty[index] = False
        missing = np.flatnonzero(empty)
        verdict, reason = "gaps", f"{len(missing)} of {index[-1] + 1} slices are missing"
    along = float(column @ plane.normal)
    across = column - along * plane.normal
    displacement = math.sqrt(across @ across)
    return Geometry(
        verdict,
        plane.affine(column, positions[0]),
        (spacing, plane.y, plane.x),
        spacing_deviation_mm=float(np.abs(steps - np.diff(index) * along).max()),
        position_residual_mm=residual,
        tilt_degrees=math.degrees(math.atan2(displacement, along)),
        sheared=displacement * float(index[-1]) > SHEAR_TOLERANCE * spacing,
        missing_slices=tuple(missing.tolist()),
        reasons=(reason,) if reason else (),
    )


def _count_steps(steps: Floats) -> Floats:
    """Return how many slices wide each step is, if the steps are whole multiples of the shortest ones; else ones."""
    unit = steps[steps < _UNIT_STEP * steps.min()].mean()
    multiples = np.rint(steps / unit)
    return multiples if multiples.sum() - len(steps) <= MISSING_LIMIT else np.ones(len(steps))


def _fit(positions: Floats, multiples: Floats) -> tuple[Integers, Floats, float]:
    """Return the index of each slice, the step from one index to the next, and the largest distance from a position to it."""
    index = np.concatenate(([0], np.cumsum(multiples).astype(np.int64)))
    column = (positions[-1] - positions[0]) / index[-1]
    deviation = positions - positions[0] - index[:, None] * column
    return index, column, math.sqrt((deviation**2).sum(axis=1).max())
