"""Images whose headers give positions in their own way: segmentations, which leave frames out, and RT doses."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.geometry import arrange_frames, arrange_segments, dose_positions, make_planes

AXIAL = np.array([[1.0, 0, 0], [0, 1, 0]])


def planes_at(*offsets):
    return make_planes([(0, 0, z) for z in offsets], [AXIAL], [(1, 1)])


@given(
    cells=st.lists(st.tuples(st.integers(1, 4), st.integers(0, 9)), min_size=1, max_size=25, unique=True),
    step=st.floats(0.5, 5),
)
@settings(deadline=None, max_examples=200)
def test_segments_share_the_union_of_positions_with_gaps_filled(cells, step):
    numbers, places = map(sorted, map(set, zip(*cells, strict=True)))
    assume(min(np.diff(places), default=1) == 1)
    found = arrange_segments(planes_at(*(step * z for _, z in cells)), np.array([number for number, _ in cells]))
    slices = places[-1] - places[0] + 1
    assert found.fold.sizes == (1, len(numbers), slices)
    assert found.fold.cells.tolist() == [[0, numbers.index(number), z - places[0]] for number, z in cells]
    assert found.geometry.verdict == ("regular" if slices > 1 else "single_slice")
    assert (found.geometry.missing_slices, found.fold.coordinates[0].values) == ((), tuple(numbers))
    assert found.geometry.to_json()["dimensions"] == {"c": {"from": ["ReferencedSegmentNumber"], "assumed": False}}
    for (_, z), cell in zip(cells, found.fold.cells, strict=True):
        assert (found.geometry.matrix @ [0, 0, cell[2], 1])[2] == pytest.approx(step * z, abs=1e-3)


def test_a_labelmap_has_no_segments():
    found = arrange_segments(planes_at(3, 0, 1), None)
    assert (found.fold.sizes, found.fold.cells[:, 2].tolist(), found.fold.origins) == ((1, 1, 4), [3, 0, 1], ())


def test_segments_that_are_no_grid_keep_their_frames():
    uneven = arrange_segments(planes_at(0, 1, 2.5, 3.5), np.ones(4))
    assert (uneven.fold, uneven.geometry.verdict, uneven.geometry.affine) == (None, "irregular", None)
    twice = arrange_segments(planes_at(0, 1, 1), np.array([1, 2, 2]))
    assert (twice.fold, twice.geometry.verdict) == (None, "coincident")
    unknown = arrange_segments(make_planes([None], [AXIAL], [(1, 1)]), np.ones(1))
    assert (unknown.fold, unknown.geometry.verdict) == (None, "no_geometry")


TILTED = np.array([[1, 0, 0], [0, 0.8, 0.6]])


@pytest.mark.parametrize("sign", [1, -1])
def test_dose_planes_relative_to_the_first(sign):
    # PS3.3 C.8.8.3.2, option a: along row x column direction, whatever the orientation.
    offsets = sign * np.array([0, 5.0, 10])
    for orientation, normal in ((AXIAL, (0, 0, 1)), (TILTED, (0, -0.6, 0.8)), (AXIAL * [[-1], [1]], (0, 0, -1))):
        found = dose_positions(np.array([1.0, 2, 3]), orientation, offsets)
        assert found == pytest.approx(np.array([1, 2, 3]) + np.outer(offsets, normal))
    planes = make_planes(dose_positions(np.array([1.0, 2, 3]), AXIAL, offsets), [AXIAL], [(2, 2)])
    arranged = arrange_frames(planes)
    assert arranged.fold.cells[:, 2].tolist() == ([0, 1, 2] if sign > 0 else [2, 1, 0])
    assert arranged.geometry.spacing == pytest.approx((5, 2, 2))


def test_dose_planes_in_the_coordinates_of_the_patient():
    # Option b: the first value is the z of the position, and the planes are transverse.
    found = dose_positions(np.array([1.0, 2, 30]), AXIAL, np.array([30.0, 33, 39]))
    assert found.tolist() == [[1, 2, 30], [1, 2, 33], [1, 2, 39]]


@pytest.mark.parametrize(
    ("position", "orientation", "offsets"),
    [
        ((1, 2, 30), AXIAL, (31, 33)),
        ((1, 2, 30), TILTED, (30, 33)),
        ((1, 2, 30), AXIAL * -1, (30, 33)),
        ((1, 2, 30), AXIAL, ()),
        ((1, 2, np.nan), AXIAL, (0, 3)),
        ((1, 2, 30), AXIAL, (0, np.inf)),
    ],
)
def test_dose_planes_that_the_standard_does_not_define(position, orientation, offsets):
    assert dose_positions(np.array(position, float), orientation, np.array(offsets, float)) is None


def test_every_present_cell_of_many_segments_is_found_once():
    cells = list(itertools.product(range(1, 6), range(40)))[::3]
    found = arrange_segments(planes_at(*(z for _, z in cells)), np.array([number for number, _ in cells]))
    assert len({tuple(cell) for cell in found.fold.cells.tolist()}) == len(cells)
