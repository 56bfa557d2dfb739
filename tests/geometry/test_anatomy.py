"""Axes as viewers and arrays want them: names, scale and translation, coordinates, RAS."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.geometry import (
    axis_coordinates,
    directions,
    find_slices,
    make_planes,
    orientation_names,
    scale_and_translation,
    to_ras,
)
from support.geometry_stacks import stacks

AXES = [{"right-to-left", "left-to-right"}, {"anterior-to-posterior", "posterior-to-anterior"}]
AXES.append({"inferior-to-superior", "superior-to-inferior"})


def affine(*columns, origin=(0, 0, 0)):
    matrix = np.eye(4)
    matrix[:3] = np.array([*columns, origin], float).T
    return matrix


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        # Axial, head first and supine: columns go to the left, rows to the back.
        ([(1, 0, 0), (0, 1, 0), (0, 0, 1)], ("inferior-to-superior", "anterior-to-posterior", "right-to-left")),
        # Prone.
        ([(-1, 0, 0), (0, -1, 0), (0, 0, 1)], ("inferior-to-superior", "posterior-to-anterior", "left-to-right")),
        # Sagittal.
        ([(0, 1, 0), (0, 0, -1), (-1, 0, 0)], ("left-to-right", "superior-to-inferior", "anterior-to-posterior")),
        # Coronal.
        ([(1, 0, 0), (0, 0, -1), (0, 1, 0)], ("anterior-to-posterior", "superior-to-inferior", "right-to-left")),
        # Two axes nearest to the same one of the patient: the best assignment names it once.
        (
            [(0.8, 0.6, 0), (0.75, -0.66, 0), (0, 0, 1)],
            ("inferior-to-superior", "posterior-to-anterior", "right-to-left"),
        ),
        ([(0.66, 0.75, 0), (0.6, -0.8, 0.1), (0.7, 0.7, 0.14)], None),
    ],
)
def test_names_of_directions(columns, names):
    found = orientation_names(affine(*columns))
    assert names is None or found == names
    assert all(len(axis & set(found)) == 1 for axis in AXES)


def test_scaling_changes_no_name():
    columns = np.array([(0.8, 0.6, 0), (0.75, -0.66, 0), (0, 0, 1)])
    plain = orientation_names(affine(*columns))
    assert orientation_names(affine(*(columns * [[9], [0.1], [20]]))) == plain


@given(stack=stacks())
@settings(deadline=None, max_examples=150)
def test_coordinates_times_directions_are_the_affine(stack):
    found = find_slices(stack.planes())
    geometry, slices = found.geometry, len(found.positions)
    sizes = (slices, 3, 2)
    axes, (along_z, along_y, along_x) = axis_coordinates(geometry, sizes), directions(geometry.matrix)
    assert tuple(map(len, axes)) == sizes
    index = geometry.slice_index(slices)
    for k, j, i in itertools.product(*map(range, sizes)):
        expected = (geometry.matrix @ [i, j, index[k], 1])[:3]
        assert axes[0][k] * along_z + axes[1][j] * along_y + axes[2][i] * along_x == pytest.approx(expected, abs=7e-6)
    names = orientation_names(geometry.matrix)
    assert all(len(axis & set(names)) == 1 for axis in AXES)
    if stack.displaced == "above":
        true = axis_coordinates(geometry, sizes, found.positions)[0]
        assert true[[0, -1]] == pytest.approx(axes[0][[0, -1]], abs=1e-6)
        along = np.outer(true, along_z) + axes[1][0] * along_y + axes[2][0] * along_x - found.positions
        # What z can't tell lies in the plane.
        assert np.abs(along @ np.cross(along_x, along_y)).max() < 1e-6


@given(stack=stacks())
@settings(deadline=None, max_examples=100)
def test_scale_and_translation(stack):
    found = find_slices(stack.planes())
    scale, translation = scale_and_translation(found.geometry)
    assert scale[1:] == pytest.approx(stack.spacing[1:])
    z, y, x = axis_coordinates(found.geometry, (len(found.positions), 1, 1))
    assert translation[1:] == pytest.approx((y[0], x[0]))
    if stack.verdict == "regular":
        assert scale[0] == pytest.approx(found.geometry.spacing[0])
        assert translation[0] == pytest.approx(z[0])
    else:
        assert (scale[0], translation[0]) == (1, 0)


def test_translation_is_the_position_in_the_axes_of_the_image():
    planes = make_planes([(3, 4, 5), (3, 4, 7)], [(0, 1, 0, 0, 0, -1)], [(0.5, 0.25)])
    geometry = find_slices(planes).geometry
    assert geometry.verdict == "coincident"
    planes = make_planes([(3, 4, 5), (1, 4, 5)], [(0, 1, 0, 0, 0, -1)], [(0.5, 0.25)])
    geometry = find_slices(planes).geometry
    assert scale_and_translation(geometry) == ((2, 0.5, 0.25), (-3, -5, 4))
    sheared = make_planes([(0, 10, 0), (0, 13, 4)], [(1, 0, 0, 0, 1, 0)], [(1, 1)])
    geometry = find_slices(sheared).geometry
    assert (geometry.sheared, geometry.spacing[0]) == (True, 5)
    scale, translation = scale_and_translation(geometry)
    assert scale == (5, 1, 1)
    assert translation == pytest.approx((0, 10, 0))
    moved = find_slices(replace(sheared, positions=sheared.positions + np.array([0, 3, 4]))).geometry
    assert scale_and_translation(moved)[1] == pytest.approx((5, 10, 0))


@given(st.lists(st.floats(-9, 9), min_size=16, max_size=16))
def test_ras(values):
    matrix = np.array(values).reshape(4, 4)
    ras = to_ras(matrix)
    assert np.array_equal(ras, [[-1], [-1], [1], [1]] * matrix)
    assert np.array_equal(to_ras(ras), matrix)
