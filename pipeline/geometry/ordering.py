"""The order of a stack's single-frame instances along its frame axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import PurePath

import numpy as np
import numpy.typing as npt

from pipeline.model import Instance, local_path

POSITION_TOLERANCE = 1e-3
"""mm. Slices closer than this are at the same position."""
PARALLEL_TOLERANCE = 1e-2
"""Direction cosines. Slices that deviate more than this from the first one have no common normal."""
_DEGENERATE = 0.5
"""A shorter cross product of two direction cosines, which should be unit vectors at right angles, is no normal."""


def order_stack(instances: Sequence[Instance], members: list[int]) -> tuple[list[int], str]:
    """Order a stack's instances, and name the key of that order.

    ``position``: ascending along the slice normal, row x column direction (PS3.3 C.7.6.2.1.1: in LPS coordinates, so
    axial slices go from feet to head), if every instance has a position, all are parallel, and no two coincide.
    ``instance_number``: otherwise, if every instance has one and they aren't all the same; instances with the same
    number are ordered by position if it is known.
    ``sop_instance_uid``: otherwise; UIDs compare number by number. Files without a UID follow, by their names.
    Ties are broken by SOP Instance UID, then source.
    ``frame_number``: for an image of one instance.
    """
    if len(members) == 1:
        return members, "frame_number"
    offsets = _offsets(instances, members)
    if offsets is not None and np.min(np.diff(np.sort(offsets))) > POSITION_TOLERANCE:
        return [members[i] for i in np.argsort(offsets)], "position"
    numbers = [instances[position].instance_number for position in members]
    if None in numbers or len(set(numbers)) == 1:
        return sorted(members, key=lambda position: _identity(instances[position])), "sop_instance_uid"
    # Rounded to the tolerance, so that noise in a shared position doesn't decide before the UID does.
    steps = [0] * len(members) if offsets is None else np.round(offsets / POSITION_TOLERANCE).tolist()
    keys = zip(numbers, steps, (_identity(instances[position]) for position in members), members, strict=True)
    return [position for *_, position in sorted(keys)], "instance_number"


def _offsets(instances: Sequence[Instance], members: list[int]) -> npt.NDArray[np.float64] | None:
    """Return each slice's distance in millimetres along the common normal; None if the slices have no common normal."""
    positions = [instances[member].position for member in members]
    orientations = [instances[member].orientation for member in members]
    if None in positions or None in orientations:
        return None
    origin = np.array(positions, np.float64)
    directions = np.array(orientations, np.float64)
    if not (np.isfinite(origin).all() and np.isfinite(directions).all()):
        return None
    if np.abs(directions - directions[0]).max() > PARALLEL_TOLERANCE:
        return None
    normal = np.cross(directions[0, 0], directions[0, 1])
    length = math.sqrt(float(normal @ normal))
    return None if length < _DEGENERATE else (origin - origin[0]) @ (normal / length)


def _identity(instance: Instance) -> tuple[list[tuple[float, str]], str]:
    """Return the SOP Instance UID, its components compared as numbers (9 before 10), then the source.

    Without a UID the file's name comes first, because it stays the same wherever its folder lies, then the UID's replacement.
    """
    if not instance.known_uid:
        name = PurePath(local_path(instance.source)).name
        return [(math.inf, name), (0, instance.sop_instance_uid)], ""
    return [(len(part), part) for part in instance.sop_instance_uid.split(".")], instance.source
