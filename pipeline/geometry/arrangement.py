"""How the frames of an image are arranged: geometry and fold together, with one verdict; segmentations, which may leave frames out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pipeline.geometry.fold_keys import KEY_OF
from pipeline.geometry.folding import Fold, fold_frames
from pipeline.geometry.frame_keys import FrameKeys, Values
from pipeline.geometry.ordering import POSITION_TOLERANCE
from pipeline.geometry.planes import ORIENTATION_TOLERANCE, REGULAR_TOLERANCE, Planes, find_slices
from pipeline.model import Coordinate, Geometry

SEGMENT = KEY_OF["ReferencedSegmentNumber"]


@dataclass(frozen=True, slots=True, eq=False)
class Arrangement:
    """Where the frames of an image lie, in the patient and in the grid ``(t, c, z)``."""

    geometry: Geometry
    fold: Fold | None
    """None if the frames are no proven grid: then the image keeps the axis ``frame``."""


def arrange_frames(planes: Planes, keys: FrameKeys | None = None, tolerance: float = REGULAR_TOLERANCE) -> Arrangement:
    """Arrange frames in a grid, whatever their order, or say why they make none.

    Parameters
    ----------
    planes : Planes
        At least one frame.
    keys : FrameKeys, optional
        What may tell the frames of one position apart.
    tolerance : float
        Part of the spacing by which positions may deviate in a regular stack.
    """
    found = find_slices(planes, tolerance)
    geometry = found.geometry
    if not geometry.has_slices:
        return Arrangement(geometry, None)
    fold = fold_frames(found.of_frames, keys or FrameKeys())
    if not isinstance(fold, Fold):
        most = int(np.bincount(found.of_frames).max())
        spacing = geometry.spacing
        return Arrangement(Geometry(fold.verdict, spacing=spacing, repeats=most, reasons=fold.reasons), None)
    repeats = fold.sizes[0] * fold.sizes[1]
    reasons = (*geometry.reasons, *fold.reasons)
    return Arrangement(replace(geometry, repeats=repeats, dimensions=fold.origins, reasons=reasons), fold)


def arrange_segments(planes: Planes, segments: Values | None, tolerance: float = REGULAR_TOLERANCE) -> Arrangement:
    """Arrange the frames of a segmentation in a grid ``(c, z)``: `c` the segments, `z` all positions of any segment.

    A frame left out means zero (PS3.3 C.8.20.2). So cells may be empty, and gaps of whole steps are slices in which all cells are
    empty. If steps aren't whole, or a segment has two frames at one position, the fold is None.

    Parameters
    ----------
    planes : Planes
        At least one frame.
    segments : array of int, optional
        Referenced Segment Number of each frame, shape ``(frame,)``; None for a labelmap, which has no such dimension.
    tolerance : float
        As for :func:`arrange_frames`.
    """
    found = find_slices(planes, tolerance)
    geometry = found.geometry
    if not geometry.has_slices:
        return Arrangement(geometry, None)
    if geometry.verdict == "irregular":
        return Arrangement(replace(geometry, affine=None), None)
    index = geometry.slice_index(len(found.positions))
    z = index[found.of_frames]
    numbers, c = np.unique(np.zeros_like(z) if segments is None else segments, return_inverse=True)
    sizes = (1, len(numbers), int(index[-1]) + 1)
    if len(np.unique(c * sizes[2] + z)) < len(planes):
        reason = "a segment has several frames at one position"
        return Arrangement(Geometry("coincident", spacing=geometry.spacing, reasons=(reason,)), None)
    values = (
        () if segments is None else (Coordinate(SEGMENT.name, SEGMENT.axis, SEGMENT.unit, tuple(numbers.tolist())),)
    )
    fold = Fold(sizes, np.stack([np.zeros_like(z), c, z], axis=1), values)
    if geometry.verdict == "gaps":
        geometry = replace(geometry, verdict="regular", missing_slices=(), reasons=())
    most = int(np.bincount(found.of_frames).max())
    return Arrangement(replace(geometry, repeats=most, dimensions=fold.origins), fold)


def same_grid(first: Geometry, second: Geometry, slices: int) -> bool:
    """Return whether `slices` slices of both lie at the same positions in the same orientation, so one image can hold both."""
    if not first.has_slices or not second.has_slices or first.missing_slices != second.missing_slices:
        return False
    one, other = first.matrix[:3], second.matrix[:3]
    plane = np.abs(one - other)[:, :2].max(axis=0) <= ORIENTATION_TOLERANCE * np.linalg.norm(one[:, :2], axis=0)
    ends = np.array([[0, 0, k, 1] for k in (0, first.slice_index(slices)[-1])])
    return bool(plane.all() and np.abs((one - other) @ ends.T).max() <= POSITION_TOLERANCE)
