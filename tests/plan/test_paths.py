from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.plan import Layout, make_plan
from pipeline.plan.paths import clean_name

UID = "1.2.840.113619.2.55.3.604688119.969.1268071029.320"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (UID, UID),
        ("", "unknown"),
        ("..", "unknown"),
        ("../../etc/passwd", "etc_passwd"),
        ("/abs/path", "abs_path"),
        ("a/../b", "a_._b"),
        ("1..2", "1.2"),
        ("C:\\temp\\x", "C_temp_x"),
        ("1.2.3\x00", "1.2.3_"),
        ("1.2.", "1.2"),
        (" 1.2 ", "1.2_"),
        ("né", "n_"),
        ("zarr.json", "x-zarr.json"),
        ("Zarr.JSON", "x-Zarr.JSON"),
        ("__hidden", "hidden"),
        ("-rf", "rf"),
        ("CON", "x-CON"),
        ("lpt1.txt", "x-lpt1.txt"),
        ("9" * 65, "9" * 64),
        ("1." * 40, ("1." * 32)[:63]),
    ],
)
def test_clean_names(text, name):
    assert clean_name(text) == name


@given(st.text(max_size=90) | st.text("./\\_-aA1", max_size=90))
@settings(deadline=None, max_examples=300)
def test_every_text_becomes_a_safe_name(text):
    name = clean_name(text)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name)
    assert ".." not in name
    assert not name.endswith(".")
    assert clean_name(name) == name


def paths(instances, **layout):
    """The path of each file's image."""
    plan = make_plan(instances, Layout(**layout))
    return {
        plan.instances[placement.instance].source: image.path for image in plan.images for placement in image.placements
    }


def test_stacks_are_numbered_by_their_first_instance_number(axial):
    files = [
        *(axial(z, instance_number=z + 2) for z in range(3)),
        axial(8, instance_number=1, orientation=None),
        axial(9, orientation=None, image_type="DERIVED"),
    ]
    assert paths(files) == {
        "/in/8": "1.2.3/1.2.3.4/stack-1",
        "/in/0": "1.2.3/1.2.3.4/stack-2",
        "/in/1": "1.2.3/1.2.3.4/stack-2",
        "/in/2": "1.2.3/1.2.3.4/stack-2",
        "/in/9": "1.2.3/1.2.3.4/stack-3",
    }


def test_copies_come_after_the_first(axial):
    files = [axial(0, source="/in/b"), axial(0, source="/in/a")]
    assert paths(files) == {"/in/a": "1.2.3/1.2.3.4/stack-1", "/in/b": "1.2.3/1.2.3.4/stack-2"}


def test_images_of_one_instance_bear_its_uid_and_both_of_two_files_are_stored(instance):
    files = [instance(k, number_of_frames=3, sop_instance_uid="1.7") for k in "ba"]
    expected = {"/in/a": "1.2.3/1.2.3.4/1.7", "/in/b": "1.2.3/1.2.3.4/1.7-2"}
    assert paths(files) == expected
    assert paths([instance(k, sop_instance_uid="1.7") for k in "ab"], grouping="instance") == expected


def test_uids_that_differ_in_case_or_in_forbidden_characters_share_no_folder(instance):
    files = [
        instance(0, study_instance_uid="1.2/x"),
        instance(1, study_instance_uid="1.2_x"),
        instance(2, study_instance_uid="1.2_X"),
        instance(3, study_instance_uid=""),
        instance(4, study_instance_uid="unknown", series_instance_uid="../.."),
        instance(5, study_instance_uid="unknown", series_instance_uid=""),
        instance(
            6, study_instance_uid="unknown", series_instance_uid="", number_of_frames=2, sop_instance_uid="stack-1"
        ),
        instance(7, study_instance_uid="unknown", series_instance_uid="", number_of_frames=2, sop_instance_uid=""),
    ]
    assert paths(files) == {
        "/in/0": "1.2_x-3/1.2.3.4/stack-1",
        "/in/1": "1.2_x-2/1.2.3.4/stack-1",
        "/in/2": "1.2_X/1.2.3.4/stack-1",
        "/in/3": "unknown-2/1.2.3.4/stack-1",
        "/in/4": "unknown/unknown-2/stack-1",
        "/in/5": "unknown/unknown/stack-1",
        "/in/6": "unknown/unknown/stack-1-2",
        "/in/7": "unknown/unknown/unknown",
    }


def test_a_suffix_never_collides_with_a_name_of_its_own(instance):
    uids = ["a", "A", "a-2", "A-2", "x" * 64, "x" * 80, "x" * 62 + "-2", "y" * 70, "y" * 71]
    files = [instance(k, number_of_frames=2, sop_instance_uid=uid) for k, uid in enumerate(uids)]
    names = [path.rsplit("/", 1)[1] for path in paths(files).values()]
    assert len({name.casefold() for name in names}) == len(uids)
    assert max(map(len, names)) == 64
