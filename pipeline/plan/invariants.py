"""The promises of a plan, checked on the finished value without the code that made it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from functools import cache

from pipeline.errors import PlanError
from pipeline.model import ImageSpec, Plan, Region, Span, Task
from pipeline.plan.layout import Layout
from pipeline.plan.memory import mebibytes, project_image
from pipeline.plan.selection import select_frames


def verify(plan: Plan, layout: Layout) -> None:
    """Check every invariant of `plan`, in time linear in its instances, images and tasks.

    The invariants, by the names that the messages bear: *instances are accounted for*, *every selected frame exactly
    once*, *spans fill the image*, *one pixel format an image*, *chunk divides shard*, *shards cover whole frames*,
    *paths are unique and not nested*, *tasks are numbered*, *every shard is owned*, *no two tasks share a shard*,
    *memory is projected*, *memory within the limit*.

    Raises
    ------
    PlanError
        Naming the invariant, where it breaks, and the numbers.
    """
    _check_paths(plan.images)
    for image in plan.images:
        _check_shapes(image)
        _check_spans(plan, image)
    _check_frames(plan, layout)
    _check_shards(plan)
    for number, task in enumerate(plan.tasks):
        _require(task.id == number, "tasks are numbered", f"task {task.id} is at position {number}")
    _check_memory(plan, layout)


def _require(holds: bool, invariant: str, found: str) -> None:
    if not holds:
        raise PlanError(f"Broken invariant of the plan, {invariant}: {found}")


def _check_paths(images: Sequence[ImageSpec]) -> None:
    name = "paths are unique and not nested"
    paths: set[str] = set()
    for image in images:
        parts = image.path.split("/")
        _require(all(part.strip(".") for part in parts), name, f"{image.path!r} has an empty part or only dots")
        _require(image.path.casefold() not in paths, name, f"{image.path!r} twice, case aside")
        paths.add(image.path.casefold())
    for path in paths:
        parts = path.split("/")
        parents = ("/".join(parts[:depth]) for depth in range(1, len(parts)))
        _require(paths.isdisjoint(parents), name, f"{path!r} lies inside another image")


def _check_shapes(image: ImageSpec) -> None:
    shape, chunks, shards = image.shape, image.chunks, image.shards
    found = f"{image.path}: shape {shape}, chunks {chunks}, shards {shards}"
    _require(len(shape) == len(chunks) == len(shards), "chunk divides shard", found)
    _require(min(chunks) > 0 and not any(map(int.__mod__, shards, chunks)), "chunk divides shard", found)
    covered = all(
        size <= shard < size + chunk for size, shard, chunk in zip(shape[1:], shards[1:], chunks[1:], strict=True)
    )
    _require(covered, "shards cover whole frames", found)
    _require(chunks[0] <= shape[0] and shards[0] < shape[0] + chunks[0], "shards cover whole frames", found)


def _check_spans(plan: Plan, image: ImageSpec) -> None:
    end = 0
    for span in image.spans:
        count = len(span)
        found = f"{image.path}: {span} of {count} frame(s) where frame {end} of {image.frames} is next"
        _require(span.frame_start == end and count > 0, "spans fill the image", found)
        _require(0 <= span.instance < len(plan.instances), "instances are accounted for", found)
        instance = plan.instances[span.instance]
        _require(
            instance.format == image.format,
            "one pixel format an image",
            f"{image.path} has {image.format}, {instance.source} has {instance.format}",
        )
        end += count
    _require(end == image.frames > 0, "spans fill the image", f"{image.path}: {end} frame(s) for {image.frames}")


def _check_frames(plan: Plan, layout: Layout) -> None:
    stored: defaultdict[int, list[Span]] = defaultdict(list)
    for image in plan.images:
        for span in image.spans:
            stored[span.instance].append(span)
    refused = {position for position, _ in plan.refused}
    unselected = set(plan.unselected)
    left_out = len(plan.refused) + len(plan.unselected)
    everything = stored.keys() | refused | unselected
    _require(
        len(stored) + left_out == len(everything) == len(plan.instances) and everything <= set(range(len(everything))),
        "instances are accounted for",
        f"{len(plan.instances)} instance(s), of which {len(stored)} are in images, {len(plan.refused)} refused and "
        f"{len(plan.unselected)} not selected; together {len(everything)}",
    )
    selected = cache(lambda frames: select_frames(layout.frames, frames))
    for position, instance in enumerate(plan.instances):
        expected = selected(instance.number_of_frames)
        if position in stored:
            _check_instance(f"{instance.source}", stored[position], expected)
        elif position in unselected:
            _require(not expected, "every selected frame exactly once", f"{instance.source}: {len(expected)} left out")


def _check_instance(source: str, spans: Sequence[Span], expected: range | tuple[int, ...]) -> None:
    ranges = [range(span.start, span.stop, span.step) for span in spans]
    if len(ranges) == 1 and isinstance(expected, range):
        holds = ranges[0] == expected
    else:
        holds = sorted(frame for frames in ranges for frame in frames) == list(expected)
    _require(
        holds,
        "every selected frame exactly once",
        f"{source}: {sum(map(len, ranges))} frame(s) stored, {len(expected)} selected, in {len(ranges)} span(s)",
    )


def _check_shards(plan: Plan) -> None:
    owners: list[list[tuple[Region, int]]] = [[] for _ in plan.images]
    for task in plan.tasks:
        for region in task.regions:
            known = 0 <= region.image < len(owners)
            _require(known, "every shard is owned", f"task {task.id}: {region}, of {len(owners)} image(s)")
            owners[region.image].append((region, task.id))
    for image, owned in zip(plan.images, owners, strict=True):
        _check_owners(image, sorted(owned, key=lambda owner: owner[0].frame_start))


def _check_owners(image: ImageSpec, owned: Sequence[tuple[Region, int]]) -> None:
    """Every shard number of the image belongs to one region, and no region ends inside a shard."""
    depth = image.shards[0]
    next_shard = 0
    for region, task in owned:
        first, last = region.frame_start // depth, math.ceil(region.frame_stop / depth)
        found = f"{image.path}: task {task} has {region}; shard {next_shard} of {depth} frame(s) each is next"
        _require(first >= next_shard, "no two tasks share a shard", found)
        _require(first == next_shard and last > first, "every shard is owned", found)
        whole = region.frame_start % depth == 0 and region.frame_stop in (last * depth, image.frames)
        _require(whole and region.frame_stop <= image.frames, "no two tasks share a shard", found)
        next_shard = last
    shards = math.ceil(image.frames / depth)
    _require(next_shard == shards, "every shard is owned", f"{image.path}: {next_shard} of {shards} shard(s)")


def _check_memory(plan: Plan, layout: Layout) -> None:
    needed = [project_image(plan.instances, image).total for image in plan.images]
    for task in plan.tasks:
        projected = max((needed[region.image] for region in task.regions), default=0)
        _require(
            task.memory_bytes >= projected,
            "memory is projected",
            f"{_name(task)} states {mebibytes(task.memory_bytes)}, its shards need {mebibytes(projected)}",
        )
        _require(
            task.memory_bytes <= layout.task_memory,
            "memory within the limit",
            f"{_name(task)} needs {mebibytes(task.memory_bytes)} of {mebibytes(layout.task_memory)}",
        )


def _name(task: Task) -> str:
    return f"task {task.id} of {len(task.regions)} region(s)"
