"""Group instances into images.

A series may hold several kinds of frames: a localizer beside the slices, several kinds of contrast, a second copy of
every file. Frames are stacked only if a reader of the stack would take them for one set, that is, if these
agree: pixel format, modality, Image Type (PS3.3 C.7.6.1.1.2: original or derived, localizer or axial, magnitude or
phase, water or fat), and Image Orientation (Patient). Several frames at one position (echoes, time points, b-values)
stay together: they are one acquisition, and Instance Number orders them. Files of two patients are never stacked, see
:mod:`pipeline.plan.patient_division`.

The result doesn't depend on the order in which the instances were found.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.geometry import order_stack
from pipeline.model import Instance, Plan
from pipeline.plan.patient_division import divide, find_conflicts

ORIENTATION_TOLERANCE = 1e-3
"""Direction cosines closer than this (0.06 degrees) count as equal: scanners round them to as few as 4 decimals."""
ROTATION_MIN = 4
"""From this many instances on, a set with a different orientation in each instance is a rotation (radial slices,
rotating projections, tracked ultrasound), not a set of localizers: it stays one image."""


@dataclass(frozen=True, slots=True)
class Group:
    """A future image: its instances (by position) in the order of their frames."""

    members: tuple[int, ...]
    order: str
    stacked: bool
    """Whether it is a stack of single-frame instances, to be named after its series."""


def group_instances(instances: Sequence[Instance], positions: Iterable[int], grouping: str) -> list[Group]:
    """Group the instances at `positions`: ``series`` or ``instance``."""
    single: list[int] = []
    groups: list[Group] = []
    for position in positions:
        if grouping == "series" and instances[position].number_of_frames == 1:
            single.append(position)
        else:
            groups.append(Group((position,), "frame_number", stacked=False))
    for members in _stacks(instances, single):
        ordered, order = order_stack(instances, members)
        groups.append(Group(tuple(ordered), order, stacked=True))
    return groups


def _stacks(instances: Sequence[Instance], positions: list[int]) -> Iterator[list[int]]:
    # Sorted by source, so that floating-point sums and ties don't depend on the order in which the files were found.
    positions = sorted(positions, key=lambda position: instances[position].source)
    for members in _alike(instances, positions):
        for of_one_patient in _by_patient(instances, members):
            for copies in _copies(instances, of_one_patient):
                yield from _by_orientation(instances, copies)


def _alike(instances: Sequence[Instance], positions: Iterable[int]) -> Iterable[list[int]]:
    """Divide instances into sets in which everything that a stack requires to be equal is equal."""
    alike: defaultdict[object, list[int]] = defaultdict(list)
    for position in positions:
        instance = instances[position]
        series = (instance.study_instance_uid, instance.series_instance_uid)
        alike[*series, instance.format, instance.modality, instance.image_type].append(position)
    return alike.values()


def _by_patient(instances: Sequence[Instance], members: list[int]) -> list[list[int]]:
    patients = {instances[position].patient for position in members}
    if len(patients) == 1:
        return [members]
    party = divide(patients)
    parts: defaultdict[object, list[int]] = defaultdict(list)
    for position in members:
        parts[party[instances[position].patient]].append(position)
    return list(parts.values())


def find_kept_apart(plan: Plan) -> dict[int, str]:
    """Return the stored single-frame instances that only their patient keeps out of a stack with others, by position.

    Each comes with the names of the attributes in which the patients differ, as one text.
    """
    stored = {placement.instance for image in plan.images for placement in image.placements}
    single = (position for position in stored if plan.instances[position].number_of_frames == 1)
    apart: dict[int, str] = {}
    for members in _alike(plan.instances, single):
        names = find_conflicts({plan.instances[position].patient for position in members})
        if names:
            apart |= dict.fromkeys(members, ", ".join(names))
    return apart


def _copies(instances: Sequence[Instance], members: list[int]) -> list[list[int]]:
    """Separate the second, third, … file of a SOP Instance UID, which would double the slices of one stack."""
    seen: defaultdict[str, int] = defaultdict(int)
    copies: list[list[int]] = []
    for position in members:
        uid = instances[position].sop_instance_uid
        copy = seen[uid] if uid else 0
        seen[uid] += 1
        if copy == len(copies):
            copies.append([])
        copies[copy].append(position)
    return copies


def _by_orientation(instances: Sequence[Instance], members: list[int]) -> list[list[int]]:
    known: list[int] = []
    unknown: list[int] = []
    for position in members:
        (known if has_orientation(instances[position]) else unknown).append(position)
    if len({instances[position].orientation for position in known}) <= 1:
        return [part for part in (known, unknown) if part]
    vectors = np.array([instances[position].orientation for position in known], np.float64).reshape(-1, 6)
    parts = _clusters(vectors)
    if len(known) >= ROTATION_MIN and len(parts) == len(known):
        parts = [np.arange(len(known))]
    return [[known[i] for i in np.sort(part)] for part in parts] + ([unknown] if unknown else [])


def has_orientation(instance: Instance) -> bool:
    """Return whether the instance has an Image Orientation (Patient) of finite numbers."""
    orientation = instance.orientation
    return orientation is not None and all(math.isfinite(value) for vector in orientation for value in vector)


def _clusters(vectors: npt.NDArray[np.float64]) -> list[npt.NDArray[np.intp]]:
    """Cut the vectors apart at every gap, in any component, that is wider than the tolerance."""
    done: list[npt.NDArray[np.intp]] = []
    waiting = [np.arange(len(vectors))]
    while waiting:
        part = waiting.pop()
        pieces = _cut(vectors, part)
        (done if len(pieces) == 1 else waiting).extend(pieces)
    return done


def _cut(vectors: npt.NDArray[np.float64], part: npt.NDArray[np.intp]) -> list[npt.NDArray[np.intp]]:
    for axis in range(vectors.shape[1]):
        values = vectors[part, axis]
        ascending = np.argsort(values, kind="stable")
        gaps = np.flatnonzero(np.diff(values[ascending]) > ORIENTATION_TOLERANCE)
        if len(gaps):
            return np.split(part[ascending], gaps + 1)
    return [part]
