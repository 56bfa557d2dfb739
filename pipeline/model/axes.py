"""Where frames lie in an array: named axes, a grid of frames, and positions numbered in the order of storage.

Frames lie at *positions*, numbered shard by shard and, inside a shard, in the C order of its cells. So the frames that a
task owns are a range, whatever the grid. Cells of an edge shard outside the grid have no position::

    a grid of 3 x 5, in shards of 2 x 2

     0  1 │  4  5 │  8
     2  3 │  6  7 │  9
    ──────┼───────┼────
    10 11 │ 12 13 │ 14

Everything about a grid is computed in time linear in its axes; nothing is listed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.model.compact import Compact

INSIDE = ("row", "column", "sample")
"""The axes of a frame, in the order in which its samples are compared and checksummed."""

Shape = tuple[int, ...]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Axes(Compact):
    """The dimensions of an image's ``pixels``: which of them tell frames apart, and which lie inside a frame.

    Each tuple has one entry per dimension. A dimension may be of both kinds: frames then lie along it side by side, like tiles::

        stack      names  frame  y       x              volume in colour  names  c       z  y    x
                   cut    frame  —       —                                cut    —       z  —    —
                   inside —      row     column                           inside sample  —  row  column

        tiles of a slide  names  z  y         x            colour, several paths  names  c             y …
                          cut    z  tile_row  tile_column                         cut    optical_path  tile_row …
                          inside —  row       column                              inside sample        row …

    Raises
    ------
    ValueError
        If a dimension is of neither kind, a name occurs twice, no axis tells frames apart, or a frame lacks rows or columns.
    """

    names: tuple[str, ...]
    cut: tuple[str, ...]
    """Grid axis that the dimension belongs to; empty if the dimension doesn't tell frames apart."""
    inside: tuple[str, ...]
    """Axis of :data:`INSIDE` that lies along the dimension; empty if none does."""

    def __post_init__(self) -> None:
        inner = sorted(map(INSIDE.index, filter(None, self.inside)))
        kinds = list(zip(self.cut, self.inside, strict=True))
        alike = any(len(set(names)) < len(names) for names in (self.names, self.grid))
        if len(kinds) != len(self.names) or not all(map(any, kinds)) or not self.grid or alike:
            raise ValueError(f"dimensions {self.names}, cut {self.cut}, inside {self.inside}: not the axes of an image")
        if inner not in ([0, 1], [0, 1, 2]):
            raise ValueError(f"inside {self.inside}: a frame needs rows and columns, and may have samples")

    @property
    def grid(self) -> tuple[str, ...]:
        """Names of the grid's axes, in the order of the dimensions."""
        return tuple(filter(None, self.cut))

    def shape(self, cells: Sequence[int], frame_shape: Sequence[int]) -> Shape:
        """Return the shape, in samples, of a block of `cells` frames.

        Parameters
        ----------
        cells : sequence of int
            Frames along each axis of the grid.
        frame_shape : sequence of int
            ``(row, column[, sample])`` of a frame, or of a part of it.
        """
        along = iter(cells)
        return tuple(
            (next(along) if cut else 1) * (frame_shape[INSIDE.index(inside)] if inside else 1)
            for cut, inside in zip(self.cut, self.inside, strict=True)
        )

    def cells(self, shape: Sequence[int], frame_shape: Sequence[int]) -> Shape:
        """Return how many whole frames lie along each axis of the grid in the `shape` of a chunk, a shard or the image."""
        return tuple(
            size // (frame_shape[INSIDE.index(inside)] if inside else 1)
            for size, cut, inside in zip(shape, self.cut, self.inside, strict=True)
            if cut
        )

    def tile(self, chunks: Sequence[int], frame_shape: Sequence[int]) -> Shape:
        """Return the part of a frame, ``(row, column[, sample])``, that a chunk of shape `chunks` holds."""
        sizes = {
            inside: frame_shape[INSIDE.index(inside)] if cut else size
            for size, cut, inside in zip(chunks, self.cut, self.inside, strict=True)
            if inside
        }
        return tuple(sizes[name] for name in INSIDE[: len(frame_shape)])

    def along(self, coordinates: Sequence[int]) -> Shape:
        """Return one number per dimension: the coordinate in the grid, or 0 if the dimension doesn't tell frames apart."""
        given = iter(coordinates)
        return tuple(next(given) if cut else 0 for cut in self.cut)

    def fold(self, frames: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Arrange frames ``(frame, row, column[, sample])``, neighbours along the grid's last axis, as the array has them."""
        cells = (*(1 for _ in self.grid[1:]), len(frames))
        return frames.transpose(_order(self)).reshape(self.shape(cells, frames.shape[1:]))

    def unfold(self, values: npt.NDArray[Any], frame_shape: Shape) -> npt.NDArray[Any]:
        """Undo :meth:`fold`."""
        order = _order(self)
        sizes = (self.cells(values.shape, frame_shape)[-1], *frame_shape)
        return values.reshape([sizes[axis] for axis in order]).transpose(np.argsort(order))


@lru_cache(maxsize=64)
def _order(axes: Axes) -> Shape:
    """Return the axes of ``(frame, row, column[, sample])`` in the order in which they lie along the dimensions."""
    last = axes.cut.index(axes.grid[-1])
    order: list[int] = []
    for dimension, inside in enumerate(axes.inside):
        order += [0] if dimension == last else []
        order += [1 + INSIDE.index(inside)] if inside else []
    return tuple(order)


@lru_cache(maxsize=8)
def frame_axes(dimensions: int) -> Axes:
    """Return the axes of frames in a row, with this number of dimensions: ``(frame, y, x)``, or ``(t, c, y, x)`` in colour.

    Colour is planar, and its frames lie along ``t``, because OME-Zarr 0.5 allows no axis of another kind than time and
    channel before the spatial ones, and the channel after time. That they follow each other in time is assumed.
    """
    if dimensions == 1 + len(INSIDE):
        return Axes(("t", "c", "y", "x"), ("t", "", "", ""), ("", "sample", "row", "column"))
    return Axes(("frame", "y", "x"), ("frame", "", ""), ("", "row", "column"))


@dataclass(frozen=True, slots=True)
class Grid(Compact):
    """The frames of an image as a box of cells, cut into shards. Both tuples have one entry per axis."""

    sizes: Shape
    """Cells along each axis."""
    shard: Shape
    """Cells of a whole shard along each axis."""

    @property
    def positions(self) -> int:
        """The number of positions, which is the number of frames."""
        return math.prod(self.sizes)

    @property
    def shards(self) -> int:
        """The number of shards."""
        return math.prod(self._counts)

    @property
    def _counts(self) -> Shape:
        return tuple(-(-size // step) for size, step in zip(self.sizes, self.shard, strict=True))

    @property
    def is_c_ordered(self) -> bool:
        """Whether positions equal the C order of the grid: behind the first axis longer than 1, no shard ends early."""
        thick = next((i for i, step in enumerate(self.shard) if min(step, self.sizes[i]) > 1), len(self.sizes))
        return all(step >= size for step, size in zip(self.shard[thick + 1 :], self.sizes[thick + 1 :], strict=True))

    def shard_coordinates(self, number: int) -> Shape:
        """Return a shard's coordinates among the shards, whose numbers are in C order."""
        return tuple(_unravel(number, self._counts, self.shards))

    def shard_slices(self, number: int) -> tuple[slice, ...]:
        """Return the cells of a shard, as slices of an array with the grid's shape."""
        starts = [at * step for at, step in zip(self.shard_coordinates(number), self.shard, strict=True)]
        ends = [min(start + step, size) for start, step, size in zip(starts, self.shard, self.sizes, strict=True)]
        return tuple(map(slice, starts, ends))

    def shard_positions(self, number: int) -> range:
        """Return the positions of a shard."""
        slices = self.shard_slices(number)
        start, before, left = 0, 1, self.positions
        for cells, size in zip(slices, self.sizes, strict=True):
            left //= size
            start += before * cells.start * left
            before *= cells.stop - cells.start
        return range(start, start + before)

    def shard_of(self, position: int) -> int:
        """Return the number of the shard that holds a position."""
        self._check(position)
        at, _, _ = self._locate(position, min)
        return int(_ravel(at, self._counts))

    def whole_shards(self, positions: range) -> range | None:
        """Return the numbers of the shards that the positions consist of; None if they aren't whole shards."""
        first, last = self._shard_beginning_at(positions.start), self._shard_beginning_at(positions.stop)
        return None if first is None or last is None else range(first, last)

    def _shard_beginning_at(self, position: int) -> int | None:
        """Return the number of the shard that begins at a position, None if none does; the grid's end counts as a beginning."""
        if position == self.positions:
            return self.shards
        if not 0 <= position < self.positions:
            return None
        at, _, offset = self._locate(position, min)
        return None if offset else int(_ravel(at, self._counts))

    def coordinates(self, position: int) -> Shape:
        """Return a position's coordinates in the grid; IndexError if it lies outside."""
        self._check(position)
        return tuple(self._coordinates(position, min))

    def position(self, coordinates: Sequence[int]) -> int:
        """Return the position at some coordinates; IndexError if they lie outside the grid."""
        if len(coordinates) != len(self.sizes) or not all(
            0 <= c < n for c, n in zip(coordinates, self.sizes, strict=True)
        ):
            raise IndexError(f"{tuple(coordinates)} lies outside a grid of {self.sizes}")
        at = [c // step for c, step in zip(coordinates, self.shard, strict=True)]
        number = int(_ravel(at, self._counts))
        cells = self.shard_slices(number)
        inner = [c - part.start for c, part in zip(coordinates, cells, strict=True)]
        return self.shard_positions(number).start + int(_ravel(inner, [part.stop - part.start for part in cells]))

    def index(self, position: int) -> int:
        """Return a position's index in the C order of the grid; IndexError if it lies outside."""
        return int(_ravel(self.coordinates(position), self.sizes))

    def indices(self, positions: range) -> Integers:
        """Return the :meth:`index` of many positions, shape ``(position,)``."""
        numbers = np.arange(positions.start, positions.stop, positions.step, dtype=np.int64)
        if self.is_c_ordered:
            return numbers
        found: Integers = _ravel(self._coordinates(numbers, np.minimum), self.sizes)
        return found

    def spread(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return values by position, shape ``(position, …)``, in the grid's shape, ``(*sizes, …)``; the result is read-only."""
        shape = (*self.sizes, *values.shape[1:])
        if self.is_c_ordered:
            return values.reshape(shape) if len(self.sizes) > 1 else values
        ordered = np.empty_like(values)
        ordered[self.indices(range(self.positions))] = values
        return ordered.reshape(shape)

    def runs(self, positions: range, most: int) -> Iterator[tuple[int, Shape, int]]:
        """Yield runs of at most `most` positions along the last axis: first position, its coordinates, and length."""
        step = self.sizes[-1] if self.is_c_ordered else self.shard[-1]
        start = positions.start
        while start < positions.stop:
            at = self.coordinates(start)
            end = min(self.sizes[-1], (at[-1] // step + 1) * step)
            count = min(most, positions.stop - start, end - at[-1])
            yield start, at, count
            start += count

    def _check(self, position: int) -> None:
        if not 0 <= position < self.positions:
            raise IndexError(f"position {position} lies outside a grid of {self.sizes}")

    def _coordinates(self, position: Any, least: Callable[[Any, Any], Any]) -> list[Any]:
        at, extents, offset = self._locate(position, least)
        inner = _unravel(offset, extents, math.prod(extents))
        return [place * step + more for place, step, more in zip(at, self.shard, inner, strict=True)]

    def _locate(self, position: Any, least: Callable[[Any, Any], Any]) -> tuple[list[Any], list[Any], Any]:
        """Return the coordinates of a position's shard, the shard's size along each axis, and the cell's number in the shard.

        `position` is a number or an array of numbers; `least` returns the smaller of two of these. The shards that share a
        coordinate along an axis form a slab of the grid: as wide as the grid along all later axes, as thick as the shard
        along the earlier ones.
        """
        at, extents = [], []
        before, left = 1, self.positions
        for size, step in zip(self.sizes, self.shard, strict=True):
            left //= size
            place, position = divmod(position, before * step * left)
            extent = least(step, size - place * step)
            at.append(place)
            extents.append(extent)
            before = before * extent
        return at, extents, position


def _ravel(coordinates: Sequence[Any], sizes: Sequence[Any]) -> Any:
    """Return the index of coordinates in C order."""
    index = 0
    for coordinate, size in zip(coordinates, sizes, strict=True):
        index = index * size + coordinate
    return index


def _unravel(index: Any, sizes: Sequence[Any], total: Any) -> list[Any]:
    """Return the coordinates of an index in C order, of `total`."""
    found = []
    for size in sizes:
        total = total // size
        place, index = divmod(index, total)
        found.append(place)
    return found
