"""Two patients never share an image: proved pair by pair, by comparing values known to the test."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from hashlib import sha256
from itertools import combinations, product
from time import process_time

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from plan.conftest import BASE

from pipeline.errors import PlanError
from pipeline.model import Failure, Plan
from pipeline.model.patient_hashes import PATIENT_ATTRIBUTES, PATIENT_HASH_BYTES, pack_patient, unpack_patient
from pipeline.plan import Layout, digest, find_kept_apart, grow, make_plan, verify
from pipeline.plan.patient_division import divide

Person = tuple[int, ...]
"""A number for each attribute, 0 for a missing one."""
NOBODY: Person = (0,) * len(PATIENT_ATTRIBUTES)

people = st.lists(
    st.tuples(*(st.sampled_from([0, 0, 1, 1, 2]) for _ in range(3))).map(lambda values: (*values, *NOBODY[3:])),
    min_size=1,
    max_size=12,
)


def hashed(person: Person, salt: str = "") -> bytes:
    """Hashes like the scan's: equal if the values are equal, under one salt."""
    return pack_patient(
        [sha256(f"{salt}{value}".encode()).digest()[:PATIENT_HASH_BYTES] if value else b"" for value in person]
    )


def person(**values: int) -> Person:
    """A person with a Patient ID, an issuer, …, in this order."""
    names = ("number", "issuer", "name", "ideographic", "phonetic", "born", "study_date", "accession", "series")
    return tuple(values.get(name, 0) for name in names)


def slices(persons, salt="", **fields):
    """A single-frame instance of each person, each at another height."""
    axial = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    return [
        replace(
            BASE,
            **{
                "source": f"/in/{k:05}",
                "sop_instance_uid": f"1.2.{k + 1}",
                "position": (0.0, 0.0, float(k)),
                "orientation": axial,
                "instance_number": k,
                "patient": hashed(one, salt),
                **fields,
            },
        )
        for k, one in enumerate(persons)
    ]


def images(plan: Plan) -> list[list[int]]:
    """The instances of each image, by the number in the source's name."""
    return [
        [int(plan.instances[placement.instance].source[-5:]) for placement in image.placements] for image in plan.images
    ]


def contradict(one: Person, other: Person) -> bool:
    return any(a and b and a != b for a, b in zip(one, other, strict=True))


@given(persons=people)
@settings(deadline=None, max_examples=300)
def test_no_image_holds_two_patients_and_each_file_goes_where_it_fits(persons: list[Person]) -> None:
    plan = make_plan(slices(persons))
    event(f"{len(plan.images)} images")
    home = {member: number for number, members in enumerate(images(plan)) for member in members}
    assert sorted(home) == list(range(len(persons)))
    enemies = [{k for k, other in enumerate(persons) if contradict(one, other)} for one in persons]
    for one, other in combinations(range(len(persons)), 2):
        together = home[one] == home[other]
        assert not (together and other in enemies[one])
        assert together == (enemies[one] == enemies[other]), "whoever contradicts the same files is of one party"


@given(persons=people, shuffled=st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=100)
def test_neither_the_order_of_the_files_nor_the_salt_changes_anything(persons, shuffled) -> None:
    plan = make_plan(slices(persons))
    other = slices(persons, salt="another output's")
    salted = make_plan(other)
    assert (salted.images, salted.tasks, digest(salted)) == (plan.images, plan.tasks, digest(plan))
    shuffled.shuffle(other)
    moved = make_plan(other)
    assert [image.path for image in moved.images] == [image.path for image in plan.images]
    assert images(moved) == images(plan)


@given(persons=people, later=people)
@settings(deadline=None, max_examples=150)
def test_files_that_come_later_never_join_another_patient(persons, later) -> None:
    instances = slices([*persons, *later])
    before = make_plan(instances[: len(persons)])
    growth = grow(before, instances[len(persons) :], Layout())
    whole = make_plan(instances)
    assert sorted(images(growth.plan)) == sorted(images(whole)), "growing ends where one run would have"


ONE, TWO, UNKNOWN = person(number=1), person(number=2), NOBODY
NAMED = person(number=1, name=7, born=3)


@pytest.mark.parametrize(
    ("persons", "expected"),
    [
        ([ONE, ONE, TWO, TWO], [[0, 1], [2, 3]]),
        ([ONE, TWO, ONE, TWO], [[0, 2], [1, 3]]),
        ([ONE, UNKNOWN, ONE], [[0, 1, 2]]),
        ([ONE, UNKNOWN, TWO], [[0], [1], [2]]),
        ([UNKNOWN, ONE, UNKNOWN, TWO, UNKNOWN], [[0, 2, 4], [1], [3]]),
        ([NAMED, ONE, person(name=7), person(number=2, name=8)], [[0, 1, 2], [3]]),
        ([NAMED, ONE, person(name=7), person(number=2, name=7)], [[0, 1], [2], [3]]),
        ([person(number=1, issuer=1), person(number=1, issuer=2), ONE], [[0], [1], [2]]),
        ([person(number=1, issuer=1), ONE, TWO], [[0, 1], [2]]),
        ([person(name=1, ideographic=1), person(name=1), person(ideographic=1)], [[0, 1, 2]]),
        ([person(name=1, ideographic=1), person(name=1, ideographic=2)], [[0], [1]]),
        ([person(name=1, born=1), person(name=1, born=2)], [[0], [1]]),
        ([person(study_date=1), person(study_date=2)], [[0], [1]]),
        ([person(number=1, series=1), person(number=1, series=2), ONE], [[0], [1], [2]]),
    ],
)
def test_who_goes_with_whom(persons, expected) -> None:
    assert sorted(images(make_plan(slices(persons)))) == expected


def test_images_are_named_in_the_order_of_their_files() -> None:
    plan = make_plan(slices([TWO, ONE, TWO, ONE]))
    found = {image.path.rsplit("/", 1)[1]: members for image, members in zip(plan.images, images(plan), strict=True)}
    assert found == {"stack-1": [0, 2], "stack-2": [1, 3]}


def test_one_sop_instance_uid_for_all_files_of_two_patients() -> None:
    plan = make_plan(slices([ONE, TWO, ONE, TWO], sop_instance_uid="1.2.9"))
    assert sorted(images(plan)) == [[0], [1], [2], [3]]


def test_multi_frame_instances_and_those_kept_single_are_images_anyway() -> None:
    for fields, layout in (({"number_of_frames": 3}, Layout()), ({}, Layout(grouping="instance"))):
        assert sorted(images(make_plan(slices([ONE, TWO, ONE], **fields), layout))) == [[0], [1], [2]]


def test_patients_of_other_series_decide_nothing() -> None:
    here, there = slices([ONE, UNKNOWN]), slices([TWO], series_instance_uid="1.2.99", source="/in/00009")
    assert sorted(images(make_plan([*here, *there]))) == [[0, 1], [9]]


def test_the_attributes_that_keep_files_apart_are_named() -> None:
    plan = make_plan(slices([NAMED, person(number=2, name=7, born=4), ONE]))
    assert find_kept_apart(plan) == dict.fromkeys(range(3), "Patient ID, Patient's Birth Date")
    assert find_kept_apart(make_plan(slices([NAMED, ONE, UNKNOWN]))) == {}
    assert find_kept_apart(make_plan(slices([ONE, TWO], number_of_frames=2))) == {}


def test_files_that_are_not_stored_keep_nobody_apart() -> None:
    instances = slices([ONE, TWO, ONE])
    plan = make_plan([instances[0], replace(instances[1], format=replace(BASE.format, rows=513)), instances[2]])
    refused = replace(plan, instances=instances, images=plan.images[:1], refused=((1, Failure("frame_too_large", "")),))
    assert [placement.instance for placement in refused.images[0].placements] == [0, 2]
    assert find_kept_apart(refused) == {}


def test_the_invariant_is_checked_without_the_code_that_keeps_it() -> None:
    plan = make_plan(slices([ONE, UNKNOWN, ONE]))
    mixed = replace(plan, instances=(*plan.instances[:2], replace(plan.instances[2], patient=hashed(TWO))))
    with pytest.raises(
        PlanError, match=r"one patient an image: 1\.2\.3/1\.2\.3\.4/stack-1: its files differ in Patient ID$"
    ):
        verify(mixed, Layout())
    verify(replace(plan, instances=(*plan.instances[:2], replace(plan.instances[2], patient=b""))), Layout())


@given(
    st.lists(
        st.binary(min_size=PATIENT_HASH_BYTES, max_size=PATIENT_HASH_BYTES).filter(any) | st.just(b""),
        min_size=9,
        max_size=9,
    )
)
def test_hashes_are_packed_without_loss(hashes: list[bytes]) -> None:
    assert list(unpack_patient(pack_patient(hashes))) == hashes
    assert unpack_patient(pack_patient([])) == (b"",) * 9


def test_dividing_stays_linear_if_every_file_is_of_another_patient() -> None:
    """Constant UIDs in a whole archive, with all combinations of missing attributes."""
    masks = list(product([0, 1], repeat=6))

    def seconds(count: int) -> float:
        many = {hashed((*(k * there for there in masks[k % len(masks)]), 0, 0, 0)) for k in range(count)}
        begin = process_time()
        parties = Counter(divide(many).values())
        spent = process_time() - begin
        assert set(parties.values()) == {1}
        return spent

    assert seconds(16_000) < 24 * min(seconds(2000) for _ in range(3)), "eight times as many; squared, it would be 64"
