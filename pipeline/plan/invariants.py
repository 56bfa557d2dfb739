"""The promises of a plan, checked on the finished value without the code that made it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from itertools import accumulate

from pipeline.errors import PlanError
from pipeline.model import PATIENT_ATTRIBUTES, ImageSpec, Plan, Region, Span, unpack_patient
from pipeline.plan.layout import Layout
from pipeline.plan.selection import select_frames
from pipeline.plan.task_memory import mebibytes, project_image


def verify(plan: Plan, layout: Layout) -> None:
    """Check every invariant of `plan`, in time linear in its instances, images and tasks.

    The invariants, by the names that the messages bear: *instances are accounted for*, *every selected frame exactly
    once*, *spans fill the image*, *one pixel format an image*, *one patient an image*, *chunk divides shard*,
    *shards cover whole frames*, *paths are unique and not nested*, *tasks are numbered*, *every shard is owned*, *no two
    tasks share a shard*, *memory is projected*, *memory within the limit*.

    Raises
    ------
    PlanError
        Naming the invariant, where it breaks, and the numbers.
    """
    verify_images(plan, layout)
    _check_frames(plan, layout)


def verify_images(plan: Plan, layout: Layout) -> None:
    """Check those of the invariants that hold for each image and its tasks, whatever becomes of other instances.

    Raises
    ------
    PlanError
        As :func:`verify`.
    """
    _check_paths(plan.images)
    for image in plan.images:
        _check_shapes(image)
        _check_spans(plan, image)
        _check_patient(plan, image)
    _check_shards(plan)
    _check_memory(plan, layout)


def _broken(invariant: str, found: str) -> PlanError:
    return PlanError(f"Broken invariant of the plan, {invariant}: {found}")


def _check_paths(images: Sequence[ImageSpec]) -> None:
    name = "paths are unique and not nested"
    paths: set[str] = set()
    parents: set[str] = set()
    for image in images:
        path = image.path.casefold()
        parts = path.split("/")
        if path in paths:
            raise _broken(name, f"{image.path!r} twice, case aside")
        if not all(part.strip(".") for part in parts):
            raise _broken(name, f"{image.path!r} has an empty part or one of dots only")
        paths.add(path)
        parents.update("/".join(parts[:depth]) for depth in range(1, len(parts)))
    if not paths.isdisjoint(parents):
        raise _broken(name, f"other images lie inside {min(paths & parents)!r}")


def _check_shapes(image: ImageSpec) -> None:
    shape, chunks, shards = image.shape, image.chunks, image.shards
    found = f"{image.path}: shape {shape}, chunks {chunks}, shards {shards}"
    if not len(shape) == len(chunks) == len(shards):
        raise _broken("chunk divides shard", found)
    if min(chunks) < 1 or any(map(int.__mod__, shards, chunks)):
        raise _broken("chunk divides shard", found)
    padding = map(int.__sub__, shards[1:], shape[1:])
    if not all(0 <= more < chunk for more, chunk in zip(padding, chunks[1:], strict=True)):
        raise _broken("shards cover whole frames", found)
    if chunks[0] > shape[0] or shards[0] >= shape[0] + chunks[0]:
        raise _broken("shards cover whole frames", found)


def _check_spans(plan: Plan, image: ImageSpec) -> None:
    end = 0
    for span in image.spans:
        count = len(span)
        if span.frame_start != end or not count:
            raise _broken("spans fill the image", f"{image.path}: {span} of {count} frame(s) where frame {end} is next")
        if not 0 <= span.instance < len(plan.instances):
            raise _broken("instances are accounted for", f"{image.path}: {span} of {len(plan.instances)} instance(s)")
        instance = plan.instances[span.instance]
        if instance.format != image.format:
            found = f"{image.path} has {image.format}, {instance.source} has {instance.format}"
            raise _broken("one pixel format an image", found)
        end += count
    if end != image.frames or not end:
        raise _broken("spans fill the image", f"{image.path}: {end} frame(s) in spans, {image.frames} in the image")


def _check_patient(plan: Plan, image: ImageSpec) -> None:
    patients = {plan.instances[span.instance].patient for span in image.spans}
    if len(patients) > 1:
        for name, values in zip(PATIENT_ATTRIBUTES, zip(*map(unpack_patient, patients), strict=True), strict=True):
            if len({*values} - {b""}) > 1:
                raise _broken("one patient an image", f"{image.path}: its files differ in {name}")


def _check_frames(plan: Plan, layout: Layout) -> None:
    stored: defaultdict[int, list[Span]] = defaultdict(list)
    for image in plan.images:
        for span in image.spans:
            stored[span.instance].append(span)
    unselected = set(plan.unselected)
    everything = stored.keys() | unselected | {position for position, _ in plan.refused}
    counts = (len(stored), len(plan.refused), len(plan.unselected))
    if everything != set(range(len(plan.instances))) or sum(counts) != len(plan.instances):
        raise _broken(
            "instances are accounted for",
            f"{len(plan.instances)} instance(s), of which {counts[0]} are in images, {counts[1]} refused and "
            f"{counts[2]} not selected; together {len(everything)}",
        )
    selected = cache(lambda frames: select_frames(layout.frames, frames))
    for position, spans in stored.items():
        instance = plan.instances[position]
        _check_instance(instance.source, spans, selected(instance.number_of_frames))
    for position in unselected:
        instance = plan.instances[position]
        if frames := selected(instance.number_of_frames):
            raise _broken("every selected frame exactly once", f"{instance.source}: {len(frames)} frame(s) left out")


def _check_instance(source: str, spans: Sequence[Span], expected: range | tuple[int, ...]) -> None:
    ranges = [range(span.start, span.stop, span.step) for span in spans]
    if len(ranges) == 1 and ranges[0] == expected:
        return
    ranges.sort(key=lambda frames: frames.start)
    if sum(map(len, ranges)) != len(expected) or not _follow(ranges, expected):
        raise _broken(
            "every selected frame exactly once",
            f"{source}: {sum(map(len, ranges))} frame(s) stored, {len(expected)} selected, in {len(ranges)} span(s)",
        )


def _follow(ranges: Sequence[range], expected: range | tuple[int, ...]) -> bool:
    """Whether `ranges` are, one after the other, what is expected; compared run by run, for there may be 2**31 frames."""
    starts = accumulate(map(len, ranges), initial=0)
    pieces = (expected[start : start + len(frames)] for start, frames in zip(starts, ranges, strict=False))
    return all(
        piece == (frames if isinstance(piece, range) else tuple(frames))
        for frames, piece in zip(ranges, pieces, strict=True)
    )


def _check_shards(plan: Plan) -> None:
    owners: list[list[tuple[Region, int]]] = [[] for _ in plan.images]
    for number, task in enumerate(plan.tasks):
        if task.id != number:
            raise _broken("tasks are numbered", f"task {task.id} is at position {number}")
        for region in task.regions:
            if not 0 <= region.image < len(owners):
                raise _broken("every shard is owned", f"task {task.id}: {region}, of {len(owners)} image(s)")
            owners[region.image].append((region, task.id))
    for image, owned in zip(plan.images, owners, strict=True):
        _check_owners(image, sorted(owned, key=lambda owner: owner[0].frame_start))


def _check_owners(image: ImageSpec, owned: Sequence[tuple[Region, int]]) -> None:
    """Every shard number of the image belongs to one region, and no region ends inside a shard."""
    depth = image.shards[0]
    next_shard = 0
    for region, task in owned:
        first, last = region.frame_start // depth, math.ceil(region.frame_stop / depth)
        whole = region.frame_start % depth == 0 and region.frame_stop == min(last * depth, image.frames)
        shared = first < next_shard or not whole
        if shared or first > next_shard or last <= first:
            raise _broken(
                "no two tasks share a shard" if shared else "every shard is owned",
                f"{image.path}: task {task} has {region}; shard {next_shard}, of {depth} frame(s), is next",
            )
        next_shard = last
    shards = math.ceil(image.frames / depth)
    if next_shard != shards:
        raise _broken("every shard is owned", f"{image.path}: {next_shard} of {shards} shard(s)")


def _check_memory(plan: Plan, layout: Layout) -> None:
    needed = [project_image(plan.instances, image).total for image in plan.images]
    for task in plan.tasks:
        name = f"task {task.id} of {len(task.regions)} region(s)"
        projected = max((needed[region.image] for region in task.regions), default=0)
        if task.memory_bytes < projected:
            found = f"{name} states {mebibytes(task.memory_bytes)}, its shards need {mebibytes(projected)}"
            raise _broken("memory is projected", found)
        if task.memory_bytes > layout.task_memory:
            found = f"{name} needs {mebibytes(task.memory_bytes)} of {mebibytes(layout.task_memory)}"
            raise _broken("memory within the limit", found)
