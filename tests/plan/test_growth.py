"""Successive plans over folders that change at random: unchanged images stay as they are, and nothing is lost."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.model import Instance, PixelFormat, Plan
from pipeline.plan import Layout, concatenate_plans, grow, make_plan, restore_standing, select_images, verify

LAYOUT = Layout(shard_bytes=2**10, task_bytes=2**10)
FORMATS = (PixelFormat(16, 16, 1, "uint8", "MONOCHROME2"), PixelFormat(8, 8, 1, "uint8", "MONOCHROME2"))
AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))


@st.composite
def a_file(draw, source, row):
    """One version of a file."""
    series, number = draw(st.sampled_from(["1.2", "1.3"])), draw(st.integers(0, 9))
    frames = draw(st.sampled_from([1, 1, 1, 1, 3]))
    kind = draw(st.sampled_from((FORMATS[0], *FORMATS)))
    return Instance(
        source=source,
        size=300,
        mtime_ns=row,
        study_instance_uid="1",
        series_instance_uid=series,
        sop_instance_uid=f"{series}.{source}",
        modality="CT",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        format=kind,
        number_of_frames=frames,
        encoded_bytes=frames * kind.frame_bytes,
        segment=0,
        row=row,
        position=(0.0, 0.0, float(number)),
        orientation=AXIAL,
        instance_number=number,
    )


def members(image):
    return tuple(dict.fromkeys(placement.instance for placement in image.placements))


def replaced(plan: Plan) -> set[int]:
    """Every version of a file except its last."""
    last = {one.source: i for i, one in enumerate(plan.instances)}
    return {i for i, one in enumerate(plan.instances) if last[one.source] != i}


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_nothing_that_must_stay_is_touched(data):
    plan = make_plan([data.draw(a_file(str(n), n)) for n in range(data.draw(st.integers(1, 8)))], LAYOUT)
    standing = Plan((), (), ())
    for step in range(data.draw(st.integers(1, 3))):
        sources = sorted({one.source for one in plan.instances})
        changed = data.draw(st.lists(st.sampled_from(sources), unique=True, max_size=3))
        new = [data.draw(a_file(name, 100 * step + n)) for n, name in enumerate([*changed, f"new-{step}"])]
        away = data.draw(st.sets(st.sampled_from(sources), max_size=2))
        gone = {i for i, one in enumerate(plan.instances) if one.source in away}
        before, number = plan, len(plan.instances)
        earlier = replaced(plan) | {i for i, one in enumerate(plan.instances) if one.source in changed}
        growth = grow(before, new, LAYOUT, gone, earlier)
        plan = growth.plan
        for n, image in enumerate(before.images):
            if not gone.isdisjoint(members(image)):
                assert plan.images[growth.images[n]] == image
        assert set(growth.left) == set(range(len(before.images))) - growth.images.keys()
        assert {i for image in plan.images for i in members(image)} >= set(range(number, len(plan.instances)))
        both, first = concatenate_plans(before, standing), len(before.images)
        held = {i for image in standing.images for i in members(image)}
        taken = {image.path for image in standing.images}
        left = [
            n for n in growth.left if held.isdisjoint(members(before.images[n])) and before.images[n].path not in taken
        ]
        kept = select_images(both, [*left, *range(first, len(both.images))])
        standing = kept.plan
        check_tasks(both, kept.plan, kept.tasks, kept.images)
        check_tasks(before, plan, growth.tasks, growth.images)
    if standing.images:
        wanted = data.draw(st.sets(st.integers(0, len(standing.images) - 1), min_size=1))
        check_back(plan, standing, wanted)


def check_back(plan: Plan, standing: Plan, wanted: set[int]) -> None:
    count = len(plan.images)
    back = restore_standing(plan, standing, wanted, LAYOUT, replaced(plan))
    verify(back.plan, LAYOUT)
    both = concatenate_plans(plan, standing)
    for n, position in back.images.items():
        assert back.plan.images[position] == both.images[n]
    returned = {n - count for n in back.images if n >= count}
    assert wanted <= returned
    held = {i for n in returned for i in members(standing.images[n])}
    paths = {standing.images[n].path for n in returned}
    dissolved = set(range(count)) - back.images.keys()
    assert all(held.intersection(members(plan.images[n])) or plan.images[n].path in paths for n in dissolved)
    stored = Counter(i for image in back.plan.images for i in members(image))
    assert set(stored.values()) <= {1}
    assert stored.keys() >= {i for image in plan.images for i in members(image)} - replaced(plan)
    check_tasks(both, back.plan, back.tasks, back.images)


def check_tasks(before: Plan, after: Plan, tasks: dict[int, int], images: dict[int, int]) -> None:
    """The remaining part of a task writes the same shards of the same images."""
    for task in before.tasks:
        regions = [replace(r, image=images[r.image]) for r in task.regions if r.image in images]
        assert (task.id in tasks) == bool(regions)
        if regions:
            assert list(after.tasks[tasks[task.id]].regions) == regions
