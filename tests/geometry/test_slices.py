"""Geometry of slices: the verdict that was planted, and an affine that gives every position back."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from pipeline.geometry import arrange_frames, find_slices, make_planes, same_grid
from pipeline.model import Geometry
from support.geometry_stacks import stacks

AXIAL = [(1, 0, 0, 0, 1, 0)]
ONE_MM = [(1.0, 1.0)]


def along_z(*offsets, orientation=AXIAL, spacing=ONE_MM, **more):
    return make_planes([(0.0, 0.0, z) for z in offsets], orientation, spacing, **more)


@given(stack=stacks())
@settings(deadline=None, max_examples=400)
def test_the_planted_verdict_is_found_and_the_affine_gives_every_position_back(stack):
    event(f"{stack.verdict}, tilt {stack.tilt:.0f}, displaced {stack.displaced}")
    found = find_slices(stack.planes())
    geometry = found.geometry
    assert geometry.verdict == stack.verdict
    assert found.of_frames.tolist() == stack.slices.tolist()
    assert np.abs(found.positions - stack.positions).max() < 1e-9
    assert geometry.missing_slices == (stack.missing if geometry.verdict == "gaps" else ())
    index = geometry.slice_index(len(stack.positions))
    mapped = (geometry.matrix @ np.array([[0, 0, k, 1] for k in index]).T)[:3].T
    residual = np.linalg.norm(mapped - stack.positions, axis=1).max()
    assert math.isclose(geometry.position_residual_mm, residual, abs_tol=1e-9)
    if stack.displaced == "not":
        assert residual < 1e-3
        assert geometry.spacing_deviation_mm is None or geometry.spacing_deviation_mm < 1e-3
    if geometry.verdict in {"regular", "gaps"}:
        assert residual <= 0.01 * stack.spacing[0]
    if geometry.verdict == "irregular":
        assert residual > 0.01 * geometry.spacing[0]
        assert [tuple(mapped[0]), tuple(mapped[-1])] == [
            pytest.approx(tuple(stack.positions[0]), abs=1e-9),
            pytest.approx(tuple(stack.positions[-1]), abs=1e-9),
        ]


@given(stack=stacks().filter(lambda stack: stack.displaced == "not"))
@settings(deadline=None, max_examples=200)
def test_affine_spacing_and_shear_are_the_planted_ones(stack):
    geometry = find_slices(stack.planes()).geometry
    matrix, expected = geometry.matrix, stack.affine
    assert np.abs(matrix[:, [0, 1, 3]] - expected[:, [0, 1, 3]]).max() < 1e-9
    assert geometry.spacing[1:] == pytest.approx(stack.spacing[1:])
    if len(stack.positions) == 1:
        assert (geometry.spacing[0], geometry.sheared, geometry.tilt_degrees) == (None, False, 0.0)
        normal = np.cross(expected[:3, 0] / stack.spacing[2], expected[:3, 1] / stack.spacing[1])
        assert matrix[:3, 2] == pytest.approx(normal, abs=1e-9)
    else:
        assert np.abs(matrix[:, 2] - expected[:, 2]).max() < 1e-9
        assert geometry.spacing[0] == pytest.approx(stack.spacing[0])
        assert geometry.tilt_degrees == pytest.approx(stack.tilt, abs=1e-5)
        assert geometry.sheared == (stack.tilt > 0)


@given(stack=stacks(), data=st.data())
@settings(deadline=None, max_examples=100)
def test_the_order_of_the_frames_changes_nothing(stack, data):
    order = np.array(data.draw(st.permutations(range(len(stack.slices)))))
    first, second = find_slices(stack.planes()), find_slices(stack.planes(order))
    assert first.geometry == second.geometry
    assert first.of_frames[order].tolist() == second.of_frames.tolist()
    assert first.positions.tolist() == second.positions.tolist()


@given(stack=stacks())
@settings(deadline=None, max_examples=100)
def test_json_and_back(stack):
    geometry = arrange_frames(stack.planes()).geometry
    text = json.dumps(geometry.to_json(), allow_nan=False)
    assert Geometry.from_json(json.loads(text)) == geometry


def test_the_json_form():
    planes = make_planes([(1.0, 2.0, 3.0), (1.0, 2.0, 5.5)], AXIAL, [(0.5, 0.25)])
    found = arrange_frames(planes).geometry.to_json()
    assert found == {
        "version": 1,
        "verdict": "regular",
        "affine": [[0.25, 0, 0, 1], [0, 0.5, 0, 2], [0, 0, 2.5, 3], [0, 0, 0, 1]],
        "affine_maps": "(column, row, slice) -> LPS mm",
        "spacing": [2.5, 0.5, 0.25],
        "spacing_deviation_mm": 0.0,
        "position_residual_mm": 0.0,
        "tilt_degrees": 0.0,
        "sheared": False,
        "missing_slices": [],
        "repeats": 1,
        "dimensions": {},
        "reasons": [],
    }
    unknown = arrange_frames(make_planes([None], [None], [None])).geometry.to_json()
    assert (unknown["affine"], unknown["spacing"], unknown["sheared"]) == (None, [None] * 3, None)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", 2),
        ("verdict", "splendid"),
        ("affine", [[1, 0, 0, 0]] * 3),
        ("affine", [[1, 0, 0, math.nan]] * 4),
        ("spacing", [1, 1]),
        ("tilt_degrees", "steep"),
        ("spacing_deviation_mm", math.inf),
        ("missing_slices", None),
        ("dimensions", {"t": {"from": ["EchoTime"]}}),
    ],
)
def test_a_foreign_geometry_is_refused(key, value):
    sound = arrange_frames(along_z(0, 1)).geometry.to_json()
    with pytest.raises(ValueError, match="not a geometry"):
        Geometry.from_json({**sound, key: value})
    with pytest.raises(ValueError, match="not a geometry"):
        Geometry.from_json({name: sound[name] for name in sound if name != key})
    assert Geometry.from_json(sound).verdict == "regular"


@pytest.mark.parametrize(
    ("tolerance", "moved", "verdict"),
    [
        (0.01, 0.0099, "regular"),
        (0.01, 0.0101, "irregular"),
        (0.001, 0.0011, "irregular"),
        (0.05, 0.049, "regular"),
        (0.05, 0.051, "irregular"),
    ],
)
def test_the_tolerance_is_a_part_of_the_spacing(tolerance, moved, verdict):
    for sign in (1, -1):
        planes = along_z(0, 3, 6 + sign * 3 * moved, 9, 12)
        geometry = find_slices(planes, tolerance).geometry
        assert geometry.verdict == verdict
        assert geometry.position_residual_mm == pytest.approx(3 * moved)
        assert geometry.spacing_deviation_mm == pytest.approx(3 * moved)


def test_steps_that_are_no_multiples_are_irregular_and_coarse_ones_a_grid_of_their_own():
    assert find_slices(along_z(0, 1, 2.5, 3.5)).geometry.verdict == "irregular"
    assert find_slices(along_z(0, 10, 25)).geometry.verdict == "irregular"
    coarse = find_slices(along_z(0, 10, 20)).geometry
    assert (coarse.verdict, coarse.spacing[0]) == ("regular", 10)
    gaps = find_slices(along_z(0, 1, 2, 10, 11)).geometry
    assert gaps.missing_slices == (3, 4, 5, 6, 7, 8, 9)
    assert gaps.slice_index(5).tolist() == [0, 1, 2, 10, 11]


def test_a_far_away_slice_makes_no_list_of_a_million_gaps():
    geometry = find_slices(along_z(0, 1, 2, 1_000_000)).geometry
    assert (geometry.verdict, geometry.missing_slices) == ("irregular", ())
    assert find_slices(along_z(0, 1, 2, 10_000)).geometry.verdict == "gaps"


def test_a_single_slice_is_as_thick_as_the_spacing_between_slices_but_nothing_is_measured():
    for given_spacing, thickness in ((None, 1), (2.5, 2.5), (0, 1), (-3, 1), (math.nan, 1), (math.inf, 1)):
        geometry = find_slices(along_z(7, spacing_between_slices=given_spacing)).geometry
        assert (geometry.verdict, geometry.spacing[0]) == ("single_slice", None)
        assert geometry.matrix[:, 2].tolist() == [0, 0, thickness, 0]
    pair = find_slices(along_z(0, 4, spacing_between_slices=2.5)).geometry
    assert pair.spacing[0] == 4


def test_positions_within_a_thousandth_of_a_millimetre_are_one():
    planes = along_z(0, 0.0009, 5, 5.0009)
    assert find_slices(planes).of_frames.tolist() == [0, 0, 1, 1]
    assert find_slices(along_z(0, 0.0011)).of_frames.tolist() == [0, 1]
    # Many small steps don't make one position of what is a millimetre apart.
    assert find_slices(along_z(*np.arange(0, 1, 0.0009))).geometry.verdict == "coincident"


def test_stacks_that_one_image_can_hold():
    stack = find_slices(along_z(0, 2, 4, 6)).geometry
    assert same_grid(stack, find_slices(along_z(0.0005, 2, 4, 6.0005)).geometry, 4)
    for other in ((1, 3, 5, 7), (0, 3, 6, 9), (0, 2, 4, 8)):
        assert not same_grid(stack, find_slices(along_z(*other)).geometry, 4)
    assert not same_grid(stack, find_slices(along_z(0, 2, 4, 6, orientation=[(0, 1, 0, 1, 0, 0)])).geometry, 4)
    assert not same_grid(stack, find_slices(along_z(0, 2, 4, 6, spacing=[(1, 1.01)])).geometry, 4)
    assert not same_grid(stack, find_slices(make_planes([None], AXIAL, ONE_MM)).geometry, 4)
    # The thickness of a single slice is no part of where it lies.
    single = [find_slices(along_z(0, spacing_between_slices=thickness)).geometry for thickness in (1, 5)]
    assert same_grid(*single, 1)


def test_frames_side_by_side_in_one_plane_are_coincident():
    planes = make_planes([(0, 0, 0), (100, 0, 0), (0, 0, 5), (100, 0, 5)], AXIAL, ONE_MM)
    geometry = arrange_frames(planes).geometry
    assert (geometry.verdict, geometry.affine, geometry.spacing) == ("coincident", None, (None, 1, 1))
    assert geometry.reasons == ("frames lie in one plane at different positions",)


def test_near_equal_orientations_are_one_and_others_are_not():
    for angle, verdict in ((5e-6, "regular"), (9e-4, "regular"), (2e-3, "mixed_orientation")):
        turned = (math.cos(angle), math.sin(angle), 0, -math.sin(angle), math.cos(angle), 0)
        planes = make_planes([(0, 0, z) for z in range(3)], [*AXIAL, turned, *AXIAL], ONE_MM)
        geometry = find_slices(planes).geometry
        assert geometry.verdict == verdict
        assert (geometry.affine is None) == (verdict != "regular")
        assert geometry.spacing[1:] == (1, 1)


def test_several_pixel_spacings():
    for other, verdict in ((0.500_01, "regular"), (0.501, "mixed_spacing")):
        planes = make_planes([(0, 0, 0), (0, 0, 1)], AXIAL, [(0.5, 0.5), (0.5, other)])
        assert find_slices(planes).geometry.verdict == verdict


@pytest.mark.parametrize(
    ("position", "orientation", "spacing", "reason"),
    [
        (None, AXIAL[0], (1, 1), "1 of 2 frames lack Image Position (Patient)"),
        ((0, 0, math.inf), AXIAL[0], (1, 1), "1 of 2 frames lack Image Position (Patient)"),
        ((0, 0, 1e300), AXIAL[0], (1, 1), "1 of 2 frames lack Image Position (Patient)"),
        ((0, 0, 1), None, (1, 1), "1 of 2 frames lack Image Orientation (Patient)"),
        ((0, 0, 1), AXIAL[0], None, "1 of 2 frames lack Pixel Spacing"),
        ((0, 0, 1), AXIAL[0], (math.nan, 1), "1 of 2 frames lack Pixel Spacing"),
    ],
)
def test_what_is_missing_is_told(position, orientation, spacing, reason):
    planes = make_planes([(0, 0, 0), position], [AXIAL[0], orientation], [(1, 1), spacing])
    geometry = arrange_frames(planes).geometry
    assert (geometry.verdict, geometry.affine, geometry.reasons) == ("no_geometry", None, (reason,))


@pytest.mark.parametrize(
    ("orientation", "spacing", "reason"),
    [
        ((1, 0, 0, 1, 0, 0), (1, 1), "Image Orientation (Patient) isn't two unit vectors at right angles"),
        ((0, 0, 0, 0, 0, 0), (1, 1), "Image Orientation (Patient) isn't two unit vectors at right angles"),
        ((2, 0, 0, 0, 2, 0), (1, 1), "Image Orientation (Patient) isn't two unit vectors at right angles"),
        (AXIAL[0], (0, 1), "Pixel Spacing isn't positive"),
        (AXIAL[0], (1, -1), "Pixel Spacing isn't positive"),
    ],
)
def test_what_cannot_be_right_is_no_geometry(orientation, spacing, reason):
    geometry = find_slices(make_planes([(0, 0, 0), (0, 0, 1)], [orientation], [spacing])).geometry
    assert (geometry.verdict, geometry.affine, geometry.reasons) == ("no_geometry", None, (reason,))


def test_no_frame_has_no_geometry():
    with pytest.raises(ValueError, match="no frames"):
        find_slices(make_planes([], AXIAL, ONE_MM))
