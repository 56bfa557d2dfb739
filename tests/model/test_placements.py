"""Where a file's frames begin in an image, and what an image says of its axes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model import Axes, ImageSpec, PixelFormat, Placement, describe_dimensions, frame_axes
from pipeline.plan.selection import cut_into_runs

FORMAT = PixelFormat(2, 2, 1, "uint8", "MONOCHROME2")
TILES = Axes(("y", "x"), ("tile_row", "tile_column"), ("row", "column"))


def image(axes: Axes, sizes: tuple[int, ...], cells: tuple[int, ...], *placements: Placement) -> ImageSpec:
    shapes = (axes.shape((1,) * len(sizes), FORMAT.frame_shape), axes.shape(cells, FORMAT.frame_shape))
    return ImageSpec("a", "1", "1.2", "CT", FORMAT, axes, sizes, *shapes, "frame_number", placements)


@given(
    before=st.integers(0, 9),
    selected=st.sets(st.integers(0, 12), min_size=1, max_size=13),
    columns=st.integers(1, 5),
    cells=st.tuples(st.integers(1, 3), st.integers(1, 3)),
)
def test_frame_k_is_at_frame_start_plus_k_or_there_is_no_frame_start(
    before: int, selected: set[int], columns: int, cells: tuple[int, int]
) -> None:
    """Against the frames' places, listed one by one, for any selection, on a grid of tiles."""
    frames = sorted(selected)
    rows = -(-(before + len(frames)) // columns)
    placements, position = [], before
    for run in cut_into_runs(frames):
        placements.append(Placement(7, run.start, run.stop, run.step, position))
        position += len(run)
    spec = image(TILES, (rows, columns), cells, *placements)
    listed = {frame: spec.grid.index(before + n) for n, frame in enumerate(frames)}
    start = spec.frame_start(spec.placements_by_instance[7])
    if start is not None:
        assert listed == {frame: start + frame for frame in range(len(frames))}
    elif spec.grid.is_c_ordered or len(frames) == 1:
        assert frames != list(range(len(frames)))


def test_each_instance_has_its_own_placements() -> None:
    one, other, more = Placement(3, 0, 2, 1, 0), Placement(4, 0, 1, 1, 2), Placement(3, 5, 6, 1, 3)
    spec = image(frame_axes(3), (4,), (2,), one, other, more)
    assert spec.placements_by_instance == {3: (one, more), 4: (other,)}
    assert list(spec.members) == [3, 4]
    assert [spec.frame_start(own) for own in spec.placements_by_instance.values()] == [None, 2]


@pytest.mark.parametrize(
    ("order", "source"),
    [
        ("position", "ImagePositionPatient"),
        ("instance_number", "InstanceNumber"),
        ("sop_instance_uid", "SOPInstanceUID"),
        ("frame_number", "frame_number"),
    ],
)
def test_an_axis_says_what_it_is_ordered_from(order: str, source: str) -> None:
    assert describe_dimensions(frame_axes(3), order) == {"frame": {"from": [source], "assumed": False}}
    assert describe_dimensions(frame_axes(4), order) == {"t": {"from": [source], "assumed": True}}


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.sampled_from([1, 3]))
def test_colour_is_planar(frames: int, rows: int, columns: int, samples: int) -> None:
    shape = (frames, rows, columns, samples)[: 3 + (samples > 1)]
    values = np.arange(np.prod(shape)).reshape(shape)
    axes = frame_axes(len(shape))
    expected = np.stack([values[..., sample] for sample in range(samples)], 1) if samples > 1 else values
    assert axes.names == (("t", "c", "y", "x") if samples > 1 else ("frame", "y", "x"))
    np.testing.assert_array_equal(axes.fold(values), expected)
    np.testing.assert_array_equal(axes.unfold(axes.fold(values), shape[1:]), values)
