"""Grids of any number of axes, compared with an enumeration of their cells; and the axes of all kinds of images."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from pipeline.model import Axes, Grid, frame_axes

sides = st.lists(st.tuples(st.integers(1, 7), st.integers(1, 4)), min_size=1, max_size=5)
grids = sides.map(lambda axes: Grid(*map(tuple, zip(*axes, strict=True)))).filter(lambda grid: grid.positions <= 3000)
sizes = st.lists(st.integers(1, 6), min_size=2, max_size=4)
squares = st.builds(lambda sizes, side: Grid(tuple(sizes), (side,) * len(sizes)), sizes, st.integers(1, 4))


def enumerated(grid):
    """The cells shard by shard, without a closed form; cells of a shard outside the grid are left out."""
    shards = itertools.product(*(range(0, size, step) for size, step in zip(grid.sizes, grid.shard, strict=True)))
    for corner in shards:
        cells = itertools.product(*(range(start, start + step) for start, step in zip(corner, grid.shard, strict=True)))
        yield [cell for cell in cells if all(at < size for at, size in zip(cell, grid.sizes, strict=True))]


@given(grid=grids | squares)
@settings(deadline=None, max_examples=150)
def test_positions_are_numbered_shard_by_shard(grid):
    event(f"{len(grid.sizes)} axes, C order: {grid.is_c_ordered}")
    shards = list(enumerated(grid))
    cells = [cell for shard in shards for cell in shard]
    assert (grid.positions, grid.shards) == (len(cells), len(shards))
    assert [grid.coordinates(position) for position in range(len(cells))] == cells
    assert [grid.position(cell) for cell in cells] == list(range(len(cells)))
    assert len(set(cells)) == len(cells) == math.prod(grid.sizes)
    assert [number for number, shard in enumerate(shards) for _ in shard] == list(map(grid.shard_of, range(len(cells))))
    ends = list(itertools.accumulate(map(len, shards)))
    assert [grid.shard_positions(number) for number in range(len(shards))] == [
        range(end - len(shard), end) for end, shard in zip(ends, shards, strict=True)
    ]


@given(grid=grids | squares, data=st.data())
@settings(deadline=None, max_examples=150)
def test_the_order_of_the_grid_for_one_and_for_many(grid, data):
    cells = [cell for shard in enumerated(grid) for cell in shard]
    expected = [int(np.ravel_multi_index(cell, grid.sizes)) for cell in cells]
    assert list(map(grid.index, range(len(cells)))) == expected
    start = data.draw(st.integers(0, len(cells)))
    part = range(start, data.draw(st.integers(start, len(cells))), data.draw(st.integers(1, 3)))
    assert grid.indices(part).tolist() == [expected[position] for position in part]
    assert grid.is_c_ordered == (expected == list(range(len(cells))))
    values = np.array([[10 * position, position] for position in range(len(cells))])
    spread = grid.spread(values)
    assert spread.shape == (*grid.sizes, 2)
    assert [spread[cell].tolist() for cell in cells] == values.tolist()
    for number, shard in enumerate(enumerated(grid)):
        inside = np.zeros(grid.sizes, bool)
        inside[grid.shard_slices(number)] = True
        assert list(map(tuple, np.argwhere(inside).tolist())) == shard


@given(grid=grids | squares)
@settings(deadline=None, max_examples=60)
def test_whole_shards_and_no_others(grid):
    bounds = {grid.shard_positions(number).start: number for number in range(grid.shards)} | {
        grid.positions: grid.shards
    }
    some = sorted({*bounds, *range(min(grid.positions, 12)), grid.positions + 1, -1})[:40]
    for start, stop in itertools.product(some, some):
        whole = start in bounds and stop in bounds
        expected = range(bounds[start], bounds[stop]) if whole else None
        assert grid.whole_shards(range(start, stop)) == expected


@given(grid=grids | squares, most=st.integers(1, 9), data=st.data())
@settings(deadline=None, max_examples=80)
def test_runs_follow_each_other_along_the_last_axis(grid, most, data):
    start = data.draw(st.integers(0, grid.positions - 1))
    part = range(start, data.draw(st.integers(start, grid.positions)))
    seen = []
    for position, at, count in grid.runs(part, most):
        assert 0 < count <= most
        for more in range(count):
            assert grid.coordinates(position + more) == (*at[:-1], at[-1] + more)
            seen.append(position + more)
    assert seen == list(part)


def test_cells_outside_the_grid_have_no_position():
    grid = Grid((3, 5), (2, 2))
    for position in (-1, 15):
        for ask in (grid.coordinates, grid.index, grid.shard_of):
            with pytest.raises(IndexError):
                ask(position)
    for cell in ((3, 0), (0, 5), (-1, 0), (0,), (0, 0, 0)):
        with pytest.raises(IndexError):
            grid.position(cell)


def test_numbers_of_a_huge_grid_take_no_table():
    grid = Grid((10**6, 10**6, 3), (1000, 7, 3))
    position = grid.position((999_999, 999_999, 2))
    assert position == grid.positions - 1 == 3 * 10**12 - 1
    assert grid.coordinates(position) == (999_999, 999_999, 2)
    assert grid.coordinates(0) == (0, 0, 0)
    assert grid.indices(range(position - 2, position + 1)).tolist() == [
        grid.index(p) for p in range(position - 2, position + 1)
    ]


T = 4
KINDS = {
    "one slice after the other": (
        Axes(("z", "y", "x"), ("z", "", ""), ("", "row", "column")),
        (("z",), (9,), (T, 6), (9, T, 6)),
    ),
    "colour without geometry": (
        Axes(("t", "c", "y", "x"), ("t", "", "", ""), ("", "sample", "row", "column")),
        (("t",), (9,), (T, 6, 3), (9, 3, T, 6)),
    ),
    "time, channel, slice": (
        Axes(("t", "c", "z", "y", "x"), ("t", "c", "z", "", ""), ("", "", "", "row", "column")),
        (("t", "c", "z"), (2, 3, 4), (T, 6), (2, 3, 4, T, 6)),
    ),
    "a volume in colour": (
        Axes(("c", "z", "y", "x"), ("", "z", "", ""), ("sample", "", "row", "column")),
        (("z",), (5,), (T, 6, 3), (3, 5, T, 6)),
    ),
    "tiles in focal planes": (
        Axes(("z", "y", "x"), ("z", "tile_row", "tile_column"), ("", "row", "column")),
        (("z", "tile_row", "tile_column"), (2, 3, 5), (T, T), (2, 3 * T, 5 * T)),
    ),
    "tiles of optical paths in colour": (
        Axes(("c", "y", "x"), ("optical_path", "tile_row", "tile_column"), ("sample", "row", "column")),
        (("optical_path", "tile_row", "tile_column"), (2, 3, 5), (T, T, 3), (6, 3 * T, 5 * T)),
    ),
    "frames in a row": (frame_axes(3), (("frame",), (9,), (T, 6), (9, T, 6))),
    "frames in colour": (frame_axes(4), (("t",), (9,), (T, 6, 3), (9, 3, T, 6))),
}


@pytest.mark.parametrize("kind", KINDS)
def test_axes_of_every_kind_of_image(kind):
    axes, (grid, cells, frame, shape) = KINDS[kind]
    assert axes.grid == grid
    assert axes.shape(cells, frame) == shape
    assert axes.cells(shape, frame) == cells
    assert axes.tile(axes.shape((1,) * len(cells), frame), frame) == frame
    frames = np.arange(cells[-1] * math.prod(frame)).reshape(cells[-1], *frame)
    row = axes.fold(frames)
    assert row.shape == axes.shape((*(1 for _ in cells[1:]), cells[-1]), frame)
    assert np.array_equal(axes.unfold(row, frame), frames)
    # each frame is where its coordinates say, whatever lies around it
    for number, each in enumerate(frames):
        starts = axes.along((*(0 for _ in cells[1:]), number))
        sizes = axes.shape((1,) * len(cells), frame)
        part = row[tuple(slice(at * size, at * size + size) for at, size in zip(starts, sizes, strict=True))]
        assert np.array_equal(axes.unfold(part, frame)[0], each)
    planar = axes.fold(frames[:1]).reshape([size for size in axes.shape((1,) * len(cells), frame) if size > 1])
    order = [("row", "column", "sample").index(name) for name in axes.inside if name]
    assert np.array_equal(planar, frames[0].transpose(order))


@pytest.mark.parametrize(
    ("names", "cut", "inside"),
    [
        (("y", "x"), ("", ""), ("row", "column")),
        (("z", "y", "x"), ("z", "", ""), ("", "row", "")),
        (("z", "y", "x"), ("z", "", ""), ("", "row", "row")),
        (("z", "z", "x"), ("z", "", ""), ("", "row", "column")),
        (("z", "y", "x"), ("z", "z", ""), ("", "row", "column")),
        (("z", "y", "x"), ("z", "", ""), ("", "row")),
        (("z", "q", "y", "x"), ("z", "", "", ""), ("", "", "row", "column")),
    ],
    ids=["no grid", "no columns", "rows twice", "a name twice", "a grid axis twice", "lengths", "nothing along it"],
)
def test_invalid_axes_are_refused(names, cut, inside):
    with pytest.raises(ValueError, match=r"axes of an image|zip\(\)|rows and columns"):
        Axes(names, cut, inside)
