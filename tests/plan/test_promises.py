"""The plan's promises, proved by enumerating every frame and shard, without the code that checks them."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from pipeline.errors import PlanError
from pipeline.model import Instance, PixelFormat, Placement, Region
from pipeline.plan import Layout, digest, make_plan, task_inputs, verify

KiB = 2**10
FORMATS = [
    PixelFormat(16, 16, 1, "uint8", "MONOCHROME2"),
    PixelFormat(16, 16, 1, "int16", "MONOCHROME2"),
    PixelFormat(7, 30, 3, "uint8", "RGB"),
    PixelFormat(64, 48, 1, "uint16", "MONOCHROME1"),
    PixelFormat(5000, 3500, 1, "uint8", "MONOCHROME2"),  # 16.7 MiB: tiled
]
AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
SAGITTAL = ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0))
NATIVE, DEFLATED, JPEG_LS = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.80"

uids = st.sampled_from(["1.2", "1.2.3", "1.2.03", "", "../x", "A", "a"])


@st.composite
def an_instance(draw, key):
    frames = draw(st.sampled_from([0, 1, 1, 1, 1, 2, 13, 40]))
    pixel_format = draw(st.sampled_from(FORMATS))
    number = st.none() | st.integers(-2, 9)
    heights = st.floats(-9, 9) | st.sampled_from([0.0, 1.0, math.nan])
    return Instance(
        source=f"/in/{key}",
        size=draw(st.integers(200, 300)),
        mtime_ns=0,
        study_instance_uid=draw(st.sampled_from(["1.2", "../x"])),
        series_instance_uid=draw(st.sampled_from(["1.2", "1.3"])),
        sop_instance_uid=draw(uids | st.just(f"1.2.{key}")),
        modality=draw(st.sampled_from(["CT", "CT", "MR"])),
        transfer_syntax_uid=draw(st.sampled_from([NATIVE, DEFLATED, JPEG_LS])),
        format=pixel_format,
        number_of_frames=frames,
        encoded_bytes=draw(st.integers(0, 2 * max(1, frames) * pixel_format.frame_bytes)),
        segment=0,
        row=key,
        position=draw(st.none() | st.tuples(st.just(0.0), st.just(0.0), heights)),
        orientation=draw(st.sampled_from([AXIAL, AXIAL, AXIAL, SAGITTAL, None])),
        instance_number=draw(number),
        image_type=draw(st.sampled_from(["", "", "ORIGINAL"])),
        patient=draw(st.sampled_from([b"", b"", b"patient1", b"patient2", b"patient1with ids"])),
    )


@st.composite
def some_instances(draw):
    made = [draw(an_instance(key)) for key in range(draw(st.integers(0, 20)))]
    copied = draw(st.lists(st.sampled_from(made), max_size=6)) if made else []
    copies = [replace(one, source=f"/copies/{key}", size=1) for key, one in enumerate(copied)]
    return draw(st.permutations([*made, *copies]))


indices = st.integers(-14, 41)
slices = st.builds(
    lambda *parts: ":".join("" if part is None else str(part) for part in parts),
    st.none() | indices,
    st.none() | indices,
    st.none() | indices.filter(bool),
)
layouts = st.builds(
    Layout,
    grouping=st.sampled_from(["series", "series", "instance"]),
    frames=st.none() | slices | st.lists(indices, max_size=12).map(tuple),
    chunk_frames=st.integers(1, 5),
    chunk_rows=st.just("auto") | st.integers(1, 40),
    chunk_columns=st.just("auto") | st.integers(1, 40),
    shard_bytes=st.integers(1, 20 * KiB),
    frame_limit=st.sampled_from([2**30, 1000]),
    task_memory=st.sampled_from([2**30, 2**30, 80 * KiB, 4 * KiB]),
    task_bytes=st.integers(1, 64 * 2**20),
)


def expected_frames(setting, count):
    """The frames that plain Python selects."""
    existing = list(range(count))
    if setting is None:
        return existing
    if isinstance(setting, str):
        start, stop, step = ([int(part) if part else None for part in setting.split(":")] + [None])[:3]
        return sorted(existing[slice(start, stop, step)])
    return sorted({existing[i] for i in setting if -count <= i < count})


def largest_encoded(instance):
    count = instance.number_of_frames
    average = math.ceil(instance.encoded_bytes / count)
    encoded = average if count == 1 else min(instance.encoded_bytes, max(average, instance.format.frame_bytes))
    return encoded + (16 * 2**20 if instance.transfer_syntax_uid == DEFLATED else 0)


def memory(instance, shard_frames, chunks):
    """The documented sum, for one instance."""
    shape = instance.format.frame_shape
    tile = [*chunks[-2:], *chunks[1:-2]]  # a chunk of colour is planar
    padded = [math.ceil(size / part) * part for size, part in zip(shape, tile, strict=True)]
    item = np.dtype(instance.format.dtype).itemsize
    frame, padded_frame = math.prod(shape) * item, math.prod(padded) * item
    chunk = math.prod(chunks) * item
    return shard_frames * padded_frame + chunks[0] * frame + 2 * chunk + 2 * frame + largest_encoded(instance)


def planned(instances, layout):
    """Make the plan; None if it is rightly refused."""
    try:
        return make_plan(instances, layout)
    except PlanError as error:
        event("refused")
        (needed,) = re.findall(r"limits\.task_memory to at least (\d+) bytes", str(error))
        assert int(needed) > layout.task_memory
        # What it asks for is enough for this image; instances that were too large before may ask for more.
        planned(instances, replace(layout, task_memory=int(needed)))
        return None


@given(instances=some_instances(), layout=layouts)
@settings(deadline=None, max_examples=120)
def test_promises(instances, layout):
    plan = planned(instances, layout)
    if plan is None:
        return
    event(f"{min(len(plan.images), 5)} images")
    assert plan.instances == tuple(instances)
    every_selected_frame_exactly_once(plan, layout)
    no_two_tasks_share_a_shard(plan)
    chunk_divides_shard(plan)
    memory_within_limit(plan, layout)
    paths_are_safe_and_unique(plan)
    no_two_patients_share_an_image(plan)


def every_selected_frame_exactly_once(plan, layout):
    """Count frames as the workers see them: in the tasks' inputs, frame by frame, by position."""
    places = Counter()
    frames = Counter()
    for task in task_inputs(plan):
        for piece in task.regions:
            assert piece.instances.keys() == {placement.instance for placement in piece.spec.placements}
            for placement in piece.spec.placements:
                instance = piece.instances[placement.instance]
                assert instance is plan.instances[placement.instance]
                assert instance.format == piece.spec.format
                for place, frame in enumerate(placement.frames, placement.position):
                    assert piece.region.start <= place < piece.region.stop
                    places[piece.region.image, place] += 1
                    frames[instance.source, frame] += 1
    assert places == Counter((i, place) for i, image in enumerate(plan.images) for place in range(image.frames))
    refused = {position for position, _ in plan.refused}
    expected = {i: expected_frames(layout.frames, one.number_of_frames) for i, one in enumerate(plan.instances)}
    stored = {(plan.instances[i].source, frame) for i, f in expected.items() if i not in refused for frame in f}
    assert frames == Counter(stored)
    assert set(plan.unselected) == {i for i, selected in expected.items() if not selected}
    for i, failure in plan.refused:
        too_large = plan.instances[i].format.frame_bytes > layout.frame_limit
        assert failure.reason == ("frame_too_large" if too_large else "task_memory_exceeded")


def no_two_tasks_share_a_shard(plan):
    owners = {}
    for task in plan.tasks:
        for region in task.regions:
            image = plan.images[region.image]
            for frame in range(region.start, region.stop):
                assert owners.setdefault((region.image, frame // image.shards[0]), task.id) == task.id
    assert set(owners) == {(i, f // m.shards[0]) for i, m in enumerate(plan.images) for f in range(m.frames)}
    assert [task.id for task in plan.tasks] == list(range(len(plan.tasks)))
    for task in plan.tasks:
        deflated = [r for r in task.regions if deflated_multiframe(plan, plan.images[r.image])]
        assert all((r.start, r.stop) == (0, plan.images[r.image].frames) for r in deflated)


def deflated_multiframe(plan, image):
    one = plan.instances[image.placements[0].instance]
    return one.transfer_syntax_uid == DEFLATED and one.number_of_frames > 1


def chunk_divides_shard(plan):
    for image in plan.images:
        assert all(shard % chunk == 0 for shard, chunk in zip(image.shards, image.chunks, strict=True))
        assert all(chunk <= size for chunk, size in zip(image.chunks, image.shape, strict=True))
        assert all(shard >= size for shard, size in zip(image.shards[1:], image.shape[1:], strict=True))


def memory_within_limit(plan, layout):
    needed = [
        max(memory(plan.instances[placement.instance], image.shards[0], image.chunks) for placement in image.placements)
        for image in plan.images
    ]
    for task in plan.tasks:
        assert task.memory_bytes == max(needed[region.image] for region in task.regions) <= layout.task_memory
        sizes = [(r.stop - r.start) * plan.images[r.image].format.frame_bytes for r in task.regions]
        assert task.stored_bytes == sum(sizes)


def paths_are_safe_and_unique(plan):
    paths = [image.path.casefold() for image in plan.images]
    assert len(set(paths)) == len(paths)
    part = r"[A-Za-z0-9]([A-Za-z0-9_-]|\.(?![./]|$))*"
    assert all(re.fullmatch(f"{part}/{part}/{part}", image.path) for image in plan.images)


def no_two_patients_share_an_image(plan):
    for image in plan.images:
        patients = {plan.instances[placement.instance].patient for placement in image.placements}
        assert len({patient[:8] for patient in patients if patient}) <= 1


@given(instances=some_instances(), layout=layouts, shuffled=st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=80)
def test_the_order_of_the_files_changes_nothing(instances, layout, shuffled):
    other = list(instances)
    shuffled.shuffle(other)
    one, two = planned(instances, layout), planned(other, layout)
    assert (one is None) == (two is None)
    if one is None:
        return
    assert by_source(one) == by_source(two)
    assert one.tasks == two.tasks
    assert (digest(one) == digest(two)) == (one.instances == two.instances)


def by_source(plan):
    """All images, with sources instead of positions."""
    return [
        (
            replace(image, placements=()),
            [
                (plan.instances[placement.instance].source, replace(placement, instance=0))
                for placement in image.placements
            ],
        )
        for image in plan.images
    ]


@given(
    instances=some_instances().filter(lambda many: any(one.number_of_frames for one in many)),
    layout=layouts.map(lambda layout: replace(layout, task_memory=2**33, frame_limit=2**33, frames=None)),
    data=st.data(),
)
@settings(deadline=None, max_examples=120)
def test_verify_notices_any_number_that_changes(instances, layout, data):
    plan = make_plan(instances, layout)
    change = data.draw(st.sampled_from([change_placement, change_region, change_image, drop_or_double]))
    with pytest.raises(PlanError, match="Broken invariant"):
        verify(change(plan, data.draw), layout)


def put(items, position, *new):
    """`items` with one item replaced by others."""
    return (*items[:position], *new, *items[position + 1 :])


def a_place(draw, items):
    return draw(st.integers(0, len(items) - 1))


def change_placement(plan, draw):
    i = a_place(draw, plan.images)
    placements = plan.images[i].placements
    k = a_place(draw, placements)
    name = draw(st.sampled_from(["instance", "start", "stop", "position"]))
    placements = put(
        placements, k, replace(placements[k], **{name: getattr(placements[k], name) + draw(st.sampled_from([-1, 1]))})
    )
    return replace(plan, images=put(plan.images, i, replace(plan.images[i], placements=placements)))


def change_region(plan, draw):
    i = a_place(draw, plan.tasks)
    regions = plan.tasks[i].regions
    k = a_place(draw, regions)
    name = draw(st.sampled_from(["image", "start", "stop"]))
    regions = put(regions, k, replace(regions[k], **{name: getattr(regions[k], name) + draw(st.sampled_from([-1, 1]))}))
    return replace(plan, tasks=put(plan.tasks, i, replace(plan.tasks[i], regions=regions)))


def change_image(plan, draw):
    i = a_place(draw, plan.images)
    return replace(
        plan, images=put(plan.images, i, replace(plan.images[i], sizes=(plan.images[i].frames + draw(st.just(1)),)))
    )


def drop_or_double(plan, draw):
    name = draw(st.sampled_from(["images", "tasks"]))
    items = getattr(plan, name)
    i = a_place(draw, items)
    return replace(plan, **{name: put(items, i, *[items[i]] * draw(st.sampled_from([0, 2])))})


@pytest.fixture
def plan(instance):
    """Three images: a stack of three, one of 20 frames in five shards and tasks, one of two."""
    files = [
        *(instance(k, format=FORMATS[0], position=(0.0, 0.0, float(k)), orientation=AXIAL) for k in range(3)),
        instance(3, format=FORMATS[0], number_of_frames=20),
        instance(4, format=FORMATS[0], number_of_frames=2),
    ]
    made = make_plan(files, LAYOUT)
    assert [image.shape for image in made.images] == [(20, 16, 16), (2, 16, 16), (3, 16, 16)]
    assert [image.shards[0] for image in made.images] == [4, 2, 3]
    assert [task.regions for task in made.tasks] == [
        *((Region(0, k, k + 4),) for k in range(0, 20, 4)),
        (Region(1, 0, 2),),
        (Region(2, 0, 3),),
    ]
    return made


LAYOUT = Layout(shard_bytes=KiB, task_bytes=1)


def with_image(plan, position, **fields):
    return replace(plan, images=put(plan.images, position, replace(plan.images[position], **fields)))


def with_task(plan, position, **fields):
    return replace(plan, tasks=put(plan.tasks, position, replace(plan.tasks[position], **fields)))


BROKEN = {
    "two tasks write one shard": (
        "no two tasks share a shard",
        lambda plan: with_task(plan, 1, regions=(Region(0, 0, 8),)),
    ),
    "a region starts inside a shard": (
        "no two tasks share a shard",
        lambda plan: with_task(with_task(plan, 0, regions=(Region(0, 0, 5),)), 1, regions=(Region(0, 5, 8),)),
    ),
    "a region written twice by one task": (
        "no two tasks share a shard",
        lambda plan: with_task(plan, 0, regions=plan.tasks[0].regions * 2),
    ),
    "a shard without a task": ("every shard is owned", lambda plan: with_task(plan, 2, regions=())),
    "the last shard without a task": ("every shard is owned", lambda plan: with_task(plan, 4, regions=())),
    "an image without a task": ("every shard is owned", lambda plan: with_task(plan, 6, regions=())),
    "a region of no image": ("every shard is owned", lambda plan: with_task(plan, 6, regions=(Region(3, 0, 3),))),
    "a region without frames": (
        "every shard is owned",
        lambda plan: with_task(plan, 1, regions=(Region(0, 4, 4), Region(0, 4, 8))),
    ),
    "a region longer than its image": (
        "no two tasks share a shard",
        lambda plan: with_task(plan, 4, regions=(Region(0, 16, 24),)),
    ),
    "a chunk that doesn't divide its shard": (
        "chunk divides shard",
        lambda plan: with_image(plan, 0, chunks=(3, 16, 16)),
    ),
    "a chunk of nothing": ("chunk divides shard", lambda plan: with_image(plan, 0, chunks=(-1, 16, 16))),
    "a chunk with a dimension too few": ("chunk divides shard", lambda plan: with_image(plan, 0, chunks=(1, 16))),
    "a shard of half frames": (
        "shards cover whole frames",
        lambda plan: with_image(plan, 0, chunks=(1, 8, 16), shards=(4, 8, 16)),
    ),
    "a shard beyond the frame": ("shards cover whole frames", lambda plan: with_image(plan, 0, shards=(4, 32, 16))),
    "a chunk of more frames than there are": (
        "shards cover whole frames",
        lambda plan: with_image(plan, 1, chunks=(4, 16, 16), shards=(4, 16, 16)),
    ),
    "two images in one group": (
        "paths are unique and not nested",
        lambda plan: with_image(plan, 0, path=plan.images[1].path),
    ),
    "two images that differ in case only": (
        "paths are unique and not nested",
        lambda plan: with_image(with_image(plan, 0, path="A/b"), 1, path="a/B"),
    ),
    "an image in another one": (
        "paths are unique and not nested",
        lambda plan: with_image(plan, 0, path=f"{plan.images[1].path}/pixels"),
    ),
    "a path that leaves the output": (
        "paths are unique and not nested",
        lambda plan: with_image(plan, 0, path="../x"),
    ),
    "an absolute path": ("paths are unique and not nested", lambda plan: with_image(plan, 0, path="/x")),
    "placements in the wrong order": (
        "spans fill the image",
        lambda plan: with_image(plan, 2, placements=plan.images[2].placements[::-1]),
    ),
    "an image longer than its placements": ("spans fill the image", lambda plan: with_image(plan, 0, sizes=(21,))),
    "an image of nothing": ("", lambda plan: with_image(plan, 0, placements=(), sizes=(0,))),
    "an instance of another format": (
        "one pixel format an image",
        lambda plan: with_image(plan, 1, format=FORMATS[3], chunks=(1, 64, 48), shards=(2, 64, 48)),
    ),
    "a frame stored twice": (
        "every selected frame exactly once",
        lambda plan: with_image(plan, 1, placements=(Placement(4, 0, 1, 1, 0), Placement(4, 0, 1, 1, 1))),
    ),
    "a frame that wasn't selected": (
        "every selected frame exactly once",
        lambda plan: with_image(plan, 1, placements=(Placement(4, 1, 3, 1, 0),)),
    ),
    "an instance stored twice": (
        "instances are accounted for",
        lambda plan: with_image(plan, 2, placements=(*plan.images[2].placements[:2], Placement(1, 0, 1, 1, 2))),
    ),
    "an instance that isn't there": (
        "instances are accounted for",
        lambda plan: with_image(plan, 2, placements=(*plan.images[2].placements[:2], Placement(9, 0, 1, 1, 2))),
    ),
    "an instance stored and left out": ("instances are accounted for", lambda plan: replace(plan, unselected=(0,))),
    "an instance left out that has selected frames": (
        "every selected frame exactly once",
        lambda plan: replace(
            plan,
            images=(plan.images[0], plan.images[2]),
            tasks=(*plan.tasks[:5], replace(plan.tasks[6], id=5, regions=(Region(1, 0, 3),))),
            unselected=(4,),
        ),
    ),
    "a task with another number": ("tasks are numbered", lambda plan: with_task(plan, 3, id=4)),
    "less memory than needed": (
        "memory is projected",
        lambda plan: with_task(plan, 0, memory_bytes=plan.tasks[0].memory_bytes - 1),
    ),
    "more memory than allowed": (
        "memory within the limit",
        lambda plan: with_task(plan, 0, memory_bytes=LAYOUT.task_memory + 1),
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_verify_names_the_broken_invariant(plan, name):
    invariant, change = BROKEN[name]
    verify(plan, LAYOUT)
    with pytest.raises(PlanError, match=f"Broken invariant of the plan, .*{invariant}.*: "):
        verify(change(plan), LAYOUT)


def test_verify_follows_the_selection(plan):
    with pytest.raises(PlanError, match="every selected frame exactly once"):
        verify(plan, replace(LAYOUT, frames="::2"))


def test_verify_follows_the_memory_limit(plan):
    with pytest.raises(PlanError, match="memory within the limit"):
        verify(plan, replace(LAYOUT, task_memory=plan.tasks[0].memory_bytes - 1))


def test_the_digest_follows_everything_that_decides_what_is_written(plan):
    changed = [
        replace(plan, instances=put(plan.instances, 0, replace(plan.instances[0], mtime_ns=2))),
        replace(plan, instances=put(plan.instances, 0, replace(plan.instances[0], size=2))),
        replace(plan, instances=put(plan.instances, 0, replace(plan.instances[0], source="/else"))),
        with_image(plan, 0, path="x/y"),
        with_image(plan, 0, shards=(8, 16, 16)),
        with_image(plan, 2, placements=plan.images[2].placements[::-1]),
        with_task(plan, 0, regions=(Region(0, 0, 8),)),
    ]
    digests = [digest(plan), digest(plan, "blosc"), digest(plan, "blosc", "raw"), *map(digest, changed)]
    assert len(set(digests)) == len(digests)
    assert digest(replace(plan)) == digest(plan)
