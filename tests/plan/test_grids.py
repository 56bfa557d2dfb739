"""The plan's promises for images whose frames lie on grids of several axes, in shards that are square in tiles."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise, product

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from plan.conftest import BASE

from pipeline.errors import PlanError
from pipeline.model import Axes, ImageSpec, PixelFormat, Placement, Plan, Region
from pipeline.plan import Layout, task_inputs, verify
from pipeline.plan.build import project_memory
from pipeline.plan.task_cutting import cut_tasks

TILE = PixelFormat(16, 16, 1, "uint8", "MONOCHROME2")
NATIVE, JPEG_LS = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.80"
NAMES = ("t", "c", "z")


def axes_of(count):
    """Axes of tiles and as many further axes as needed; one axis alone is a stack."""
    if count == 1:
        return Axes(("z", "y", "x"), ("z", "", ""), ("", "row", "column"))
    more = NAMES[: count - 2]
    none = ("",) * len(more)
    return Axes((*more, "y", "x"), (*more, "tile_row", "tile_column"), (*none, "row", "column"))


def image_of(number, first, cuts, grid):
    """An image with these sizes and shards, filled by instances that begin at `cuts`."""
    sizes, cells = grid
    axes, total, count = axes_of(len(sizes)), 1, len(sizes)
    for size in sizes:
        total *= size
    chunks, shards = (axes.shape(each, TILE.frame_shape) for each in ((1,) * count, cells))
    starts = sorted({0, *(cut % total for cut in cuts)})
    made = [
        replace(BASE, source=f"/in/{first + k}", format=TILE, number_of_frames=stop - start, row=first + k,
                transfer_syntax_uid=(NATIVE, JPEG_LS)[k % 2], encoded_bytes=256 * (stop - start))
        for k, (start, stop) in enumerate(zip(starts, [*starts[1:], total], strict=True))
    ]  # fmt: skip
    placements = tuple(
        Placement(first + k, 0, one.number_of_frames, 1, start)
        for k, (one, start) in enumerate(zip(made, starts, strict=True))
    )
    path = f"1.2/1.3/image-{number}"
    return made, ImageSpec(path, "1.2", "1.3", "SM", TILE, axes, sizes, chunks, shards, "frame_number", placements)


@st.composite
def a_grid(draw):
    sizes = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=5)))
    side = draw(st.integers(1, 3))
    return sizes, tuple(min(side, size) for size in sizes)


@st.composite
def plans(draw):
    grids = draw(st.lists(a_grid(), min_size=1, max_size=3))
    layout = Layout(task_bytes=draw(st.sampled_from([1, 2**10, 2**14, 2**23, 2**26])))
    return plan_of(grids, layout, draw(st.lists(st.integers(0, 10**4), max_size=5))), layout


def plan_of(grids, layout, cuts=()):
    instances, images = [], []
    for number, grid in enumerate(grids):
        made, image = image_of(number, len(instances), cuts, grid)
        instances += made
        images.append(image)
    return Plan(
        tuple(instances), tuple(images), cut_tasks(layout, instances, images, project_memory(layout, instances, images))
    )


@given(made=plans())
@settings(deadline=None, max_examples=100)
def test_every_promise_holds_on_any_grid(made):
    plan, layout = made
    event(f"{max(len(image.sizes) for image in plan.images)} axes, {min(len(plan.tasks), 9)} tasks")
    verify(plan, layout)
    frames, owners = Counter(), {}
    for task in task_inputs(plan):
        for piece in task.regions:
            image = plan.images[piece.region.image]
            cells = image.axes.cells(image.shards, TILE.frame_shape)
            for placement in piece.spec.placements:
                for position, frame in zip(placement.positions, placement.frames, strict=True):
                    assert position in piece.region.positions
                    cell = image.grid.coordinates(position)
                    shard = tuple(at // step for at, step in zip(cell, cells, strict=True))
                    assert owners.setdefault((piece.region.image, shard), task.id) == task.id
                    frames[placement.instance, frame] += 1
                    frames["cell", piece.region.image, cell] += 1
    expected = Counter((i, frame) for i, one in enumerate(plan.instances) for frame in range(one.number_of_frames))
    for number, image in enumerate(plan.images):
        expected += Counter(("cell", number, cell) for cell in product(*map(range, image.sizes)))
    assert frames == expected


def with_image(plan, **fields):
    return replace(plan, images=(replace(plan.images[0], **fields), *plan.images[1:]))


def with_task(plan, number, **fields):
    return replace(plan, tasks=tuple(replace(t, **fields) if t.id == number else t for t in plan.tasks))


def shifted(plan, number, **by):
    (region,) = plan.tasks[number].regions
    return with_task(plan, number, regions=(replace(region, **{k: getattr(region, k) + n for k, n in by.items()}),))


@given(made=plans(), data=st.data())
@settings(deadline=None, max_examples=100)
def test_no_region_moves_unnoticed(made, data):
    plan, layout = made
    task = data.draw(st.sampled_from(plan.tasks))
    k = data.draw(st.integers(0, len(task.regions) - 1))
    name, by = data.draw(st.sampled_from(["start", "stop"])), data.draw(st.sampled_from([-1, 1]))
    region = replace(task.regions[k], **{name: getattr(task.regions[k], name) + by})
    with pytest.raises(PlanError, match=r"Broken invariant.*shard"):
        verify(with_task(plan, task.id, regions=(*task.regions[:k], region, *task.regions[k + 1 :])), layout)


LAYOUT = Layout(task_bytes=1)
PLANES = ((2, 3, 5), (1, 2, 2))


@pytest.fixture
def plan():
    """Two planes of 3 x 5 tiles in shards of 2 x 2, one task each; and ten tiles in a row."""
    made = plan_of([PLANES, ((10,), (4,))], LAYOUT, (7,))
    bounds = [0, 4, 8, 10, 12, 14, 15, 19, 23, 25, 27, 29, 30]
    assert [task.regions for task in made.tasks[:12]] == [(Region(0, a, b),) for a, b in pairwise(bounds)]
    return made


BROKEN = {
    "a region of two shards, one of another task": ("no two tasks share a shard", lambda p: shifted(p, 0, stop=4)),
    "a region that ends inside a shard": ("no two tasks share a shard", lambda p: shifted(p, 2, stop=1)),
    "an edge shard taken for a whole one": ("no two tasks share a shard", lambda p: shifted(p, 5, stop=3)),
    "a region beyond the grid": ("no two tasks share a shard", lambda p: shifted(p, 11, stop=3)),
    "a shard without a task": ("every shard is owned", lambda p: with_task(p, 3, regions=())),
    "the last shard without a task": ("every shard is owned", lambda p: with_task(p, 11, regions=())),
    "a region without frames": (
        "every shard is owned",
        lambda p: with_task(p, 1, regions=(Region(0, 4, 4), Region(0, 4, 8))),
    ),
    "a region of no image": ("every shard is owned", lambda p: shifted(p, 3, image=7)),
    "tasks in another order": ("tasks are numbered", lambda p: replace(p, tasks=p.tasks[::-1])),
    "shards of other cells than the tasks'": ("no two tasks share a shard", lambda p: with_image(p, shards=(1, 48, 32))),
    "a grid of other sizes": ("spans fill the image", lambda p: with_image(p, sizes=(2, 5, 5))),
    "a grid with a size too few": ("spans fill the image", lambda p: with_image(p, sizes=(6, 5))),
    "a grid of nothing": ("spans fill the image", lambda p: with_image(p, sizes=(0, 3, 5))),
    "frames of other axes than the format's": (
        "spans fill the image",
        lambda p: with_image(p, format=replace(TILE, samples_per_pixel=3)),
    ),
    "a placement too early": (
        "spans fill the image",
        lambda p: with_image(p, placements=(p.images[0].placements[0], replace(p.images[0].placements[1], position=6))),
    ),
    "a chunk of a part of a tile": ("shards cover whole frames", lambda p: with_image(p, chunks=(1, 8, 16))),
    "a shard that ends inside a tile": (
        "shards cover whole frames",
        lambda p: with_image(p, chunks=(1, 24, 16), shards=(1, 24, 32)),
    ),
    "a shard beyond the grid": ("shards cover whole frames", lambda p: with_image(p, shards=(4, 32, 32))),
    "a chunk of several rows of tiles": ("chunk divides shard", lambda p: with_image(p, chunks=(1, 32, 16))),
    "a chunk that doesn't divide its shard": ("chunk divides shard", lambda p: with_image(p, chunks=(1, 16, 48))),
    "a frame stored twice": (
        "every selected frame exactly once",
        lambda p: with_image(p, placements=(p.images[0].placements[0], Placement(1, 0, 12, 1, 7), Placement(1, 0, 11, 1, 19))),
    ),
    "an instance that is missing": (
        "instances are accounted for",
        lambda p: with_image(p, placements=(p.images[0].placements[0], replace(p.images[0].placements[1], instance=44))),
    ),
    "an instance of other frames": (
        "one pixel format an image",
        lambda p: replace(p, instances=(replace(p.instances[0], format=replace(TILE, rows=8)), *p.instances[1:])),
    ),
    "two patients": (
        "one patient an image",
        lambda p: replace(
            p,
            instances=(
                replace(p.instances[0], patient=b"patient1"),
                replace(p.instances[1], patient=b"patient2"),
                *p.instances[2:],
            ),
        ),
    ),
    "an image in another one": (
        "paths are unique and not nested",
        lambda p: with_image(p, path=f"{p.images[1].path}/pixels"),
    ),
    "memory for one frame": ("memory is projected", lambda p: with_task(p, 0, memory_bytes=256)),
    "more memory than allowed": ("memory within the limit", lambda p: with_task(p, 0, memory_bytes=2**40)),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_verify_names_the_broken_invariant(plan, name):
    invariant, change = BROKEN[name]
    verify(plan, LAYOUT)
    with pytest.raises(PlanError, match=f"Broken invariant of the plan, .*{invariant}.*: "):
        verify(change(plan), LAYOUT)


def test_a_shard_needs_the_memory_of_all_its_tiles(plan):
    # four encoded tiles a shard, a chunk of one, a tile cut out and its copy, two decoded frames, one encoded
    assert plan.tasks[0].memory_bytes == 256 * (4 + 1 + 2 + 2) + 256
