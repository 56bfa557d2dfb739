"""The fold of frames into a grid ``(t, c, z)``: every frame in a cell of its own, no cell without frame, or no fold at all."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pipeline.geometry.fold_keys import KEYS
from pipeline.geometry.frame_keys import CodedKey, FrameKeys, Values, encode, encode_dimension_index
from pipeline.model import Coordinate, Integers, Origin

INSTANCE_NUMBER = "InstanceNumber"
"""Named as the origin of an assumed ``t``."""
MOST_KEYS = 3
"""Keys that may be needed together to tell the frames of a position apart."""
_NAMED_CELLS = 10
"""Missing cells that are named."""


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """A grid ``(t, c, z)`` of frames."""

    sizes: tuple[int, int, int]
    """Steps along ``t``, ``c`` and ``z``; 1 without such a dimension."""
    cells: Integers
    """Cell ``(t, c, z)`` of each frame, shape ``(frame, 3)``; -1 for the frames of :attr:`rest`."""
    coordinates: tuple[Coordinate, ...] = ()
    assumed: bool = False
    """Whether only the order of Instance Numbers tells the steps of ``t`` apart."""
    rest: Integers = field(default_factory=lambda: np.empty(0, np.int64))
    """Numbers of the frames outside the grid: the last ``t`` of an aborted series, which isn't complete."""
    reasons: tuple[str, ...] = ()

    @property
    def origins(self) -> tuple[tuple[str, Origin], ...]:
        """Where the values of ``t`` and ``c`` come from, for those that there are."""
        names = {axis: tuple(c.name for c in self.coordinates if c.axis == axis) for axis in ("t", "c")}
        return tuple((axis, Origin(keys, self.assumed and axis == "t")) for axis, keys in names.items() if keys)


@dataclass(frozen=True, slots=True, eq=False)
class Unfolded:
    """Why frames make no grid."""

    verdict: str
    """``incomplete`` or ``coincident``."""
    reasons: tuple[str, ...]
    missing: Integers = field(default_factory=lambda: np.empty((0, 3), np.int64))
    """The cells ``(t, c, z)`` without frame, if keys tell which, shape ``(cell, 3)``."""


def fold_frames(slices: Values, keys: FrameKeys) -> Fold | Unfolded:
    """Fold frames into a grid.

    Keys are tried alone, in pairs, then in triples, Dimension Index Values before and Acquisition Number after all others; the
    first that gives every frame a cell of its own and every cell a frame is taken. The first time key becomes ``t``, all others together ``c``. If no
    key does so, the nth frame at each position, in the order of :attr:`FrameKeys.order`, is step n of an assumed ``t``.

    Parameters
    ----------
    slices : array of int
        Slice of each frame, numbered from 0, shape ``(frame,)``; every slice has a frame.
    keys : FrameKeys
    """
    slices = np.asarray(slices, np.int64)
    counts = np.bincount(slices)
    if counts.max() == 1:
        return Fold((1, 1, len(counts)), _cells(np.zeros_like(slices), np.zeros_like(slices), slices))
    coded = encode(keys)
    if counts.min() == counts.max():
        found = _fold_by_keys(slices, coded, keys) or _fold_by_order(slices, keys)
        repeated = f"nothing tells the {counts[0]} frames at each position apart"
        return found or Unfolded("coincident", (repeated,))
    return _fold_aborted(slices, coded, keys) or _explain_missing(slices, coded)


def _cells(t: Integers, c: Integers, z: Integers) -> Integers:
    return np.stack([t, c, z], axis=1)


def _fold_by_keys(slices: Integers, coded: Sequence[CodedKey], keys: FrameKeys) -> Fold | None:
    pointed = encode_dimension_index(keys)
    for together in itertools.chain([pointed] if pointed else [], _combinations(coded)):
        found = _fold_by(together, slices)
        if found:
            return found
    return None


def _combinations(coded: Sequence[CodedKey]) -> list[tuple[CodedKey, ...]]:
    """Return the keys alone, in pairs and in triples; after all of these, the same with the last key."""
    sizes = range(1, MOST_KEYS + 1)
    together = itertools.chain.from_iterable(itertools.combinations(coded, size) for size in sizes)
    return sorted(together, key=lambda keys: keys[-1].key is KEYS[-1])


def _fold_by(together: Sequence[CodedKey], slices: Integers) -> Fold | None:
    """Return the fold by these keys; None if a cell would have no frame or several."""
    if math.prod(len(coded.values) for coded in together) < len(slices) // (slices.max() + 1):
        return None
    t, c, coordinates = _divide(together)
    sizes = _size(t), _size(c), _size(slices)
    if math.prod(sizes) != len(slices) or np.bincount(_numbers(sizes, t, c, slices)).max() > 1:
        return None
    return Fold(sizes, _cells(t, c, slices), coordinates)


def _numbers(sizes: Sequence[int], t: Integers, c: Integers, z: Integers) -> Integers:
    return (t * sizes[1] + c) * sizes[2] + z


def _size(codes: Integers) -> int:
    return int(codes.max()) + 1


def _divide(together: Sequence[CodedKey]) -> tuple[Integers, Integers, tuple[Coordinate, ...]]:
    """Return the step of each frame along ``t``, which is the first time key, and along ``c``, all others; and their values."""
    time = next((coded for coded in together if coded.key.axis == "t"), None)
    others = [coded for coded in together if coded is not time]
    zeros = np.zeros_like(together[0].codes)
    coordinates = [Coordinate(time.key.name, "t", time.key.unit, time.values)] if time else []
    c, steps = zeros, np.zeros((len(others), 1), np.int64)
    for row, coded in enumerate(others):
        distinct, c = np.unique(c * len(coded.values) + coded.codes, return_inverse=True)
        before, own = np.divmod(distinct, len(coded.values))
        steps = steps[:, before]
        steps[row] = own
    for coded, codes in zip(others, steps.tolist(), strict=True):
        values = tuple(coded.values[code] for code in codes)
        coordinates.append(Coordinate(coded.key.name, "c", coded.key.unit, values))
    return time.codes if time else zeros, c, tuple(coordinates)


def _fold_by_order(slices: Integers, keys: FrameKeys) -> Fold | None:
    """Return the fold whose ``t`` is the nth occurrence at each position; None if the frames of a position have no order."""
    nth = _count_occurrences(slices, keys.order)
    return None if nth is None else _assume(nth, slices)


def _assume(t: Integers, slices: Integers) -> Fold:
    sizes = (_size(t), 1, _size(slices))
    steps = Coordinate(INSTANCE_NUMBER, "t", "", tuple(range(sizes[0])))
    reason = "no key tells the steps of t apart: they follow each other as the Instance Numbers do"
    return Fold(sizes, _cells(t, np.zeros_like(t), slices), (steps,), assumed=True, reasons=(reason,))


def _count_occurrences(slices: Integers, order: Values | None) -> Integers | None:
    """Return how many frames at the same position come before each frame; None if the order doesn't tell."""
    if order is None or (order.dtype.kind == "f" and np.isnan(order).any()):
        return None
    sequence = np.lexsort((order, slices))
    ordered, places = order[sequence], slices[sequence]
    if ((np.diff(places) == 0) & (np.diff(ordered) == 0)).any():
        return None
    starts = np.flatnonzero(np.diff(places, prepend=-1))
    nth = np.empty_like(slices)
    nth[sequence] = np.arange(len(slices)) - np.repeat(starts, np.diff(starts, append=len(slices)))
    return nth


def _fold_aborted(slices: Integers, coded: Sequence[CodedKey], keys: FrameKeys) -> Fold | None:
    """Return the fold of a series that is complete but for its last ``t``; None if it isn't such a series."""
    pointed = encode_dimension_index(keys)
    for time in (one for one in (*pointed, *coded) if one.key.axis == "t"):
        last = time.codes == len(time.values) - 1
        if _is_aborted(slices, last, len(time.values) - 1):
            found = fold_frames(slices[~last], keys.select(~last))
            if isinstance(found, Fold) and not found.assumed and not len(found.rest):
                return _with_rest(found, last)
    order = keys.order
    if order is None or _count_occurrences(slices, order) is None or len(np.unique(order)) < len(slices):
        return None  # frames of different slices with one number may follow each other in any order
    return _fold_aborted_order(slices, np.argsort(order, kind="stable"))


def _fold_aborted_order(slices: Integers, sequence: Integers) -> Fold | None:
    """Return the fold of a series whose frames go through all positions in the same order again and again, and end in between.

    Any other order could hide a frame that is missing in the middle, after which each step would be taken for the next one.
    """
    positions = _size(slices)
    complete = len(slices) // positions
    steps = np.arange(len(slices)) // positions
    visited = slices[sequence]
    if complete < 2 or (visited != visited[np.arange(len(slices)) % positions]).any():  # noqa: PLR2004  one isn't again
        return None
    t = np.empty_like(slices)
    t[sequence] = steps
    last = t == complete
    return _with_rest(_assume(t[~last], slices[~last]), last)


def _is_aborted(slices: Integers, last: npt.NDArray[np.bool_], complete: int) -> bool:
    """Return whether the frames outside `last` are `complete` steps of all positions, and `last` is a part of a step."""
    positions = _size(slices)
    counts = np.bincount(slices[~last], minlength=positions)
    each, left = divmod(int(counts[0]), complete)
    if not each or left or counts.min() < counts.max():
        return False
    return int(last.sum()) < each * positions and int(np.bincount(slices[last]).max()) <= each


def _with_rest(found: Fold, rest: npt.NDArray[np.bool_]) -> Fold:
    cells = np.full((len(rest), 3), -1, np.int64)
    cells[~rest] = found.cells
    reason = f"the last t is incomplete: its {rest.sum()} frames are an image of their own"
    reasons = (*found.reasons, reason)
    return Fold(found.sizes, cells, found.coordinates, found.assumed, np.flatnonzero(rest), reasons)


def _explain_missing(slices: Integers, coded: Sequence[CodedKey]) -> Unfolded:
    """Name the cells that lack a frame, by the first keys that give each frame a cell of its own; else the positions."""
    for together in _combinations(coded):
        t, c, coordinates = _divide(together)
        sizes = _size(t), _size(c), _size(slices)
        if not len(slices) < math.prod(sizes) <= 2 * len(slices):
            continue
        counts = np.bincount(_numbers(sizes, t, c, slices), minlength=math.prod(sizes))
        if counts.max() == 1:
            missing = np.stack(np.unravel_index(np.flatnonzero(counts == 0), sizes), axis=1)
            named = [_name_cell(cell, coordinates) for cell in missing[:_NAMED_CELLS].tolist()]
            reason = f"{len(missing)} of {math.prod(sizes)} cells are missing: {_shorten(named, len(missing))}"
            return Unfolded("incomplete", (reason,), missing)
    counts = np.bincount(slices)
    fewer = np.flatnonzero(counts < counts.max())
    named = [f"{counts[place]} at slice {place}" for place in fewer[:_NAMED_CELLS].tolist()]
    reason = (
        f"most positions have {counts.max()} frames" if len(fewer) * 2 < len(counts) else "positions differ in frames"
    )
    return Unfolded("incomplete", (f"{reason}: {_shorten(named, len(fewer))}",))


def _name_cell(cell: Sequence[int], coordinates: Sequence[Coordinate]) -> str:
    t, c, z = cell
    values = [f"{one.name} {one.values[t if one.axis == 't' else c]}" for one in coordinates]
    return f"{', '.join(values)} at slice {z}"


def _shorten(named: Sequence[str], count: int) -> str:
    return "; ".join(named) + ("; …" if count > len(named) else "")
