"""Stacks of slices whose geometry is planted, so that it is known what must be found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from pipeline.geometry import make_planes


@dataclass(frozen=True)
class Stack:
    """A stack of slices as it was planted, one position per slice, and the frames that show it."""

    affine: np.ndarray
    positions: np.ndarray
    index: tuple[int, ...]
    missing: tuple[int, ...]
    spacing: tuple[float, float, float]
    tilt: float
    displaced: str
    repeats: int
    slices: np.ndarray
    """Slice of each frame: every slice `repeats` times, shuffled."""

    @property
    def verdict(self):
        if len(self.positions) == 1:
            return "single_slice"
        return "irregular" if self.displaced == "above" else "gaps" if self.missing else "regular"

    def planes(self, frames=slice(None), **more):
        slices = self.slices[frames]
        columns = self.affine[:3, :2] / self.spacing[:0:-1]
        return make_planes(self.positions[slices], [columns.T], [self.spacing[1:]], **more)


def rotation(seed):
    """Two random directions at right angles."""
    vectors = np.random.default_rng(seed).normal(size=(3, 2))
    return np.linalg.qr(vectors)[0].T


PLAIN = [
    np.array(rows, float)
    for rows in (
        [[1, 0, 0], [0, 1, 0]],
        [[-1, 0, 0], [0, -1, 0]],
        [[0, 1, 0], [0, 0, -1]],
        [[1, 0, 0], [0, 0, -1]],
        [[1, 0, 0], [0, -1, 0]],
    )
]
"""Axial, prone, sagittal, coronal, and axial from head to feet."""
seeds = st.integers(0, 2**32 - 1)
orientations = st.sampled_from(PLAIN) | seeds.map(rotation)
sides = st.floats(0.05, 5)


@st.composite
def stacks(draw, most=12):
    row, column = draw(orientations)
    normal = np.cross(row, column)
    y, x, z = draw(sides), draw(sides), draw(st.floats(0.2, 10))
    tilt = draw(st.sampled_from((0.0, 0.0, 5.0, 14.0, 30.0)))
    across = draw(st.sampled_from((row, column, -column, (row + column) / np.sqrt(2))))
    step = z * (np.cos(np.radians(tilt)) * normal + np.sin(np.radians(tilt)) * across)
    origin = np.array([draw(st.floats(-500, 500)) for _ in range(3)])
    affine = np.eye(4)
    affine[:3] = np.stack([row * x, column * y, step, origin], axis=1)
    count = draw(st.sampled_from((1, 2)) | st.integers(3, most))
    inner = st.lists(st.integers(1, max(1, count - 2)), min_size=1, max_size=max(1, count // 3), unique=True)
    missing = tuple(sorted(draw(inner))) if count >= 5 and draw(st.booleans()) else ()
    index = tuple(k for k in range(count) if k not in missing)
    if min(np.diff(index), default=1) > 1:  # no two neighbours are left: the steps would be a coarser grid's
        missing, index = (), tuple(range(count))
    positions = origin + np.outer(index, step)
    displaced = draw(st.sampled_from(("not", "not", "below", "above"))) if len(index) >= 3 else "not"
    if displaced == "below":
        positions += np.random.default_rng(draw(seeds)).uniform(-1, 1, positions.shape) * 0.001 * z
    if displaced == "above":
        direction = draw(st.sampled_from((normal, -normal, row)))
        positions[draw(st.integers(1, len(index) - 2))] += direction * z * draw(st.floats(0.05, 0.25))
    repeats = draw(st.integers(1, 3))
    slices = draw(st.permutations([k for k in range(len(index)) for _ in range(repeats)]))
    return Stack(affine, positions, index, missing, (z, y, x), tilt, displaced, repeats, np.array(slices))
