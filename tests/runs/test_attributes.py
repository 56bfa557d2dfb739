"""Values that hold for the whole image become attributes, varying ones arrays, and nothing is invented."""

from __future__ import annotations

import numpy as np

from pipeline.model import ImageSpec, PixelFormat, Placement, frame_axes
from pipeline.store import split_attributes
from pipeline.store.constant_and_varying import as_array
from pipeline.tasks.frame_sources import frame_sources

FORMAT = PixelFormat(4, 5, 1, "int16", "MONOCHROME2")
OWNER, FRAME = np.array([7, 7, 9]), np.array([0, 2, 0])


def test_frames_know_their_instance_and_frame():
    spec = ImageSpec(
        *("a", "study", "series", "CT", FORMAT, frame_axes(3), (3,), (1, 4, 5), (3, 4, 5), "frame_number"),
        placements=(Placement(7, 0, 3, 2, 0), Placement(9, 0, 1, 1, 2)),
    )
    owner, frame = frame_sources(spec)
    assert owner.tolist() == OWNER.tolist()
    assert frame.tolist() == FRAME.tolist()


def test_equal_values_are_attributes_and_others_arrays():
    constant = {7: {"Units": "HU", "RescaleSlope": 1.0}, 9: {"Units": "HU", "RescaleSlope": 2.5}}
    shared, varying = split_attributes(constant, {}, OWNER, FRAME)
    assert shared == {"Units": "HU"}
    assert varying["RescaleSlope"].tolist() == [1.0, 1.0, 2.5]


def test_a_value_that_one_instance_lacks_is_no_attribute_of_the_image():
    shared, varying = split_attributes({7: {"RescaleSlope": 2.0}, 9: {}}, {}, OWNER, FRAME)
    assert shared == {}
    np.testing.assert_array_equal(varying["RescaleSlope"], [2.0, 2.0, np.nan])


def test_values_by_frame_are_taken_at_the_selected_frames():
    by_frame = {7: {"WindowCenter": [10, 20, 30]}}
    shared, varying = split_attributes({7: {}, 9: {"WindowCenter": 40}}, by_frame, OWNER, FRAME)
    assert shared == {}
    assert varying["WindowCenter"].tolist() == [10.0, 30.0, 40.0]


def test_vectors_become_a_second_axis_and_the_missing_nan():
    array = as_array([[1.0, 2.0], None, [3, 4]])
    np.testing.assert_array_equal(array, [[1, 2], [np.nan, np.nan], [3, 4]])


def test_values_that_fit_no_plain_array_become_json_text():
    rows = as_array([[1.0, 2.0], [3.0], None, 4, [5.0, None]])  # of another length: NaN fills up
    np.testing.assert_array_equal(rows, [[1, 2], [3, np.nan], [np.nan] * 2, [4, np.nan], [5, np.nan]])
    assert as_array([[1.0, 2.0], "far"]).tolist() == ["[1.0, 2.0]", '"far"']
    assert as_array(["a", 1, None]).tolist() == ['"a"', "1", ""]
    assert as_array(["a", None]).tolist() == ["a", ""]
