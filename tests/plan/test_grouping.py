"""Which frames are stacked, and in which order: as a reader of the images would want it."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from pipeline.model import PixelFormat
from pipeline.plan import Layout, make_plan

SAGITTAL = ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0))
CORONAL = ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0))


def images(instances, **layout):
    """For each image of the plan: the key of its order, and the names of its files in order."""
    plan = make_plan(instances, Layout(**layout))
    return {
        (
            image.order,
            *(plan.instances[placement.instance].source.removeprefix("/in/") for placement in image.placements),
        )
        for image in plan.images
    }


def test_slices_are_stacked_from_feet_to_head(axial):
    files = [axial(z, instance_number=100 - z) for z in (3, -2, 10, 0)]
    assert images(files) == {("position", "-2", "0", "3", "10")}


def test_position_counts_along_the_normal_not_along_an_axis(instance):
    # Oblique, stepping along the normal while the first coordinate falls.
    half = math.sqrt(0.5)
    oblique = ((0.0, 1.0, 0.0), (half, 0.0, half))
    normal = (half, 0.0, -half)
    files = [
        instance(
            k, orientation=oblique, position=tuple(k * x + y for x, y in zip(normal, (5.0, 6.0, 7.0), strict=True))
        )
        for k in (2, 0, 1)
    ]
    assert images(files) == {("position", "0", "1", "2")}


def test_a_localizer_among_the_slices_is_an_image_of_its_own(axial):
    slices = [axial(z) for z in range(5)]
    scouts = [axial(100 + k, orientation=SAGITTAL) for k in (0, 0.5)]
    scout = axial(200, orientation=CORONAL)
    assert images([*slices, *scouts, scout]) == {
        ("position", "0", "1", "2", "3", "4"),
        ("instance_number" if scouts[0].instance_number else "sop_instance_uid", "100", "100.5"),
        ("frame_number", "200"),
    }


def test_rounding_and_noise_in_the_orientation_splits_nothing(axial):
    rng = random.Random(1)  # noqa: S311  noise
    files = [
        axial(z, orientation=tuple(tuple(x + rng.uniform(-3e-4, 3e-4) for x in v) for v in axial(0).orientation))
        for z in range(20)
    ]
    assert images(files) == {("position", *map(str, range(20)))}


def test_a_rotation_stays_one_image_in_the_order_of_its_numbers(instance):
    def radial(k):
        angle = math.radians(10 * k)
        return instance(
            k,
            instance_number=k,
            position=(0.0, 0.0, 0.0),
            orientation=((math.cos(angle), math.sin(angle), 0.0), (0.0, 0.0, -1.0)),
        )

    assert images([radial(k) for k in (4, 1, 3, 2)]) == {("instance_number", "1", "2", "3", "4")}
    # Three planes, one image each, are localizers.
    assert len(images([radial(k) for k in (0, 4, 9)])) == 3


def test_a_drifting_orientation_has_no_common_normal(instance):
    def drifting(k):
        angle = 5e-4 * k
        return instance(
            k,
            instance_number=50 - k,
            position=(0.0, 0.0, float(k)),
            orientation=((math.cos(angle), math.sin(angle), 0.0), (-math.sin(angle), math.cos(angle), 0.0)),
        )

    ((order, first, *_),) = images([drifting(k) for k in range(50)])
    assert (order, first) == ("instance_number", "49")


@pytest.mark.parametrize(
    "difference",
    [
        {"image_type": "DERIVED\\SECONDARY\\MPR"},
        {"modality": "MR"},
        {"series_instance_uid": "1.2.3.5"},
        {"study_instance_uid": "1.2.9"},
        {"orientation": None},
        *(
            {"format": replace(PixelFormat(512, 512, 1, "int16", "MONOCHROME2"), **other)}
            for other in (
                {"rows": 256},
                {"columns": 256},
                {"samples_per_pixel": 3},
                {"dtype": "uint16"},
                {"photometric_interpretation": "MONOCHROME1"},
            )
        ),
    ],
)
def test_differing_instances_are_kept_apart(axial, difference):
    files = [axial(0), axial(1), axial(2, **difference), axial(3, **difference)]
    assert {names[1:] for names in images(files)} == {("0", "1"), ("2", "3")}


def test_frames_at_one_position_stay_together_in_the_order_of_their_numbers(axial):
    # Two time points of three slices, numbered time point by time point.
    files = [
        axial(10 * time + z, position=(0.0, 0.0, -float(z)), instance_number=3 * time + z)
        for z in range(3)
        for time in range(2)
    ]
    assert images(files) == {("instance_number", "0", "1", "2", "10", "11", "12")}


def test_shared_numbers_follow_the_position(axial):
    # Numbers that start again at each time point.
    files = [axial(10 * k + z, position=(0.0, 0.0, float(k)), instance_number=z) for z in (1, 2) for k in (1, 0)]
    assert images(files) == {("instance_number", "1", "11", "2", "12")}


def test_noise_in_a_shared_position_is_no_order(axial):
    files = [
        axial(z, position=(0.0, 0.0, height), instance_number=number)
        for z, height, number in ((1, 2e-5, 1), (2, 1e-5, 1), (3, 0.0, 1), (4, 0.0, 2))
    ]
    assert images(files) == {("instance_number", "1", "2", "3", "4")}


def test_positions_that_coincide_within_a_micrometre_are_no_order(axial):
    files = [axial(z, position=(0.0, 0.0, z * 0.0005), instance_number=9 - z) for z in range(3)]
    assert images(files) == {("instance_number", "2", "1", "0")}


@pytest.mark.parametrize(
    "broken",
    [
        {"position": None},
        {"position": (0.0, 0.0, math.nan)},
        {"orientation": None},
        {"orientation": ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))},
        {"orientation": ((1.0, 0.0, 0.0), (1.0, 0.0, 0.0))},
        {"orientation": ((1.0, 0.0, 0.0), (0.99, 0.1, 0.0))},
        {"orientation": ((1.0, math.inf, 0.0), (0.0, 1.0, 0.0))},
    ],
)
def test_without_geometry_instance_numbers_order(axial, broken):
    files = [axial(z, instance_number=10 - z, **broken) for z in range(3)]
    assert images(files) == {("instance_number", "2", "1", "0")}


@pytest.mark.parametrize("numbers", [(1, None, 2), (None, None, None), (1, 1, 1)])
def test_without_numbers_uids_order_and_compare_as_numbers(instance, numbers):
    files = [
        instance(name, instance_number=number, sop_instance_uid=f"1.2.{name}")
        for name, number in zip((10, 9, 100), numbers, strict=True)
    ]
    assert images(files) == {("sop_instance_uid", "9", "10", "100")}


def test_a_second_copy_of_each_slice_is_a_second_stack(axial):
    first = [axial(z, source=f"/in/a{z}") for z in range(3)]
    second = [axial(z, source=f"/in/b{z}", size=7) for z in range(3)]
    mixed = [second[0], *first, *second[1:]]
    assert images(mixed) == {("position", "a0", "a1", "a2"), ("position", "b0", "b1", "b2")}


def test_instances_without_uid_are_no_copies_of_each_other(axial):
    assert images([axial(z, sop_instance_uid="") for z in range(3)]) == {("position", "0", "1", "2")}


def test_multi_frame_instances_are_images_of_their_own(axial):
    files = [axial(0), axial(1), axial(2, number_of_frames=2), axial(3, number_of_frames=2)]
    assert images(files) == {("position", "0", "1"), ("frame_number", "2"), ("frame_number", "3")}
    # also where one frame of them is selected
    assert images(files, frames=":1") == images(files)


def test_grouping_by_instance(axial):
    assert images([axial(0), axial(1)], grouping="instance") == {("frame_number", "0"), ("frame_number", "1")}


def test_instances_without_a_selected_frame_are_named(axial):
    plan = make_plan(
        [axial(0), axial(1, number_of_frames=5), axial(2), axial(3, number_of_frames=0)], Layout(frames="2:")
    )
    assert plan.unselected == (0, 2, 3)
    assert plan.refused == ()
    (image,) = plan.images
    assert (image.frames, image.placements[0].start) == (3, 2)


def test_the_plan_keeps_the_instances_in_the_order_given(axial):
    files = [axial(z) for z in (4, 1, 3)]
    assert make_plan(files).instances == tuple(files)
