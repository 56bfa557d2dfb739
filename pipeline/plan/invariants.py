"""The promises of a plan, checked on the finished value, independently of the code that made it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import accumulate

from pipeline.errors import PlanError
from pipeline.model import INSIDE, PATIENT_ATTRIBUTES, Axes, ImageSpec, Placement, Plan, Region, unpack_patient
from pipeline.plan.layout import Layout
from pipeline.plan.selection import select_frames
from pipeline.plan.task_memory import mebibytes, project_image


def verify(plan: Plan, layout: Layout) -> None:
    """Check every invariant of `plan`, in time linear in its instances, images and tasks.

    The invariants, by their names in messages: *instances are accounted for*, *every selected frame exactly
    once*, *spans fill the image*, *one pixel format an image*, *one patient an image*, *chunk divides shard*,
    *shards cover whole frames*, *paths are unique and not nested*, *tasks are numbered*, *every shard is owned*, *no two
    tasks share a shard*, *memory is projected*, *memory within the limit*.

    Raises
    ------
    PlanError
        Names the broken invariant, the place, and the numbers.
    """
    verify_images(plan, layout)
    _check_frames(plan, layout)


def verify_images(plan: Plan, layout: Layout) -> None:
    """Check the invariants that hold for each image and its tasks, whatever becomes of other instances.

    Raises
    ------
    PlanError
        As :func:`verify`.
    """
    _check_paths(plan.images)
    for image in plan.images:
        _check_shapes(image)
        _check_placements(plan, image)
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
    if name := _wrong_shapes(image.axes, image.sizes, image.chunks, image.shards, image.format.frame_shape):
        found = f"{image.sizes} frame(s) of {image.format.frame_shape}, chunks {image.chunks}, shards {image.shards}"
        raise _broken(name, f"{image.path}: {found}, along {image.axes.names}")


@lru_cache(1024)
def _wrong_shapes(
    axes: Axes, sizes: tuple[int, ...], chunks: tuple[int, ...], shards: tuple[int, ...], frame_shape: tuple[int, ...]
) -> str:
    """Return the invariant that an image's shapes break, empty if none; cached, as many images share few shapes."""
    if (len(sizes), len(axes.names) - axes.inside.count("")) != (len(axes.grid), len(frame_shape)) or min(sizes) < 1:
        return "spans fill the image"
    shape = axes.shape(sizes, frame_shape)
    alike = len(shape) == len(chunks) == len(shards)
    if not alike or min(chunks) < 1 or any(map(int.__mod__, shards, chunks)):
        return "chunk divides shard"
    for cut, inside, size, chunk, shard in zip(axes.cut, axes.inside, shape, chunks, shards, strict=True):
        covered = (chunk <= size and shard < size + chunk) if cut else 0 <= shard - size < chunk
        if not covered or (cut and inside and chunk % frame_shape[INSIDE.index(inside)]):
            return "shards cover whole frames"
    # Frames of a chunk must be neighbours in the order of storage.
    return "chunk divides shard" if max(axes.cells(chunks, frame_shape)[:-1], default=1) > 1 else ""


def _check_placements(plan: Plan, image: ImageSpec) -> None:
    end = 0
    for placement in image.placements:
        count = len(placement)
        if placement.position != end or not count:
            raise _broken(
                "spans fill the image", f"{image.path}: {placement} of {count} frame(s) where position {end} is next"
            )
        if not 0 <= placement.instance < len(plan.instances):
            raise _broken(
                "instances are accounted for", f"{image.path}: {placement} of {len(plan.instances)} instance(s)"
            )
        instance = plan.instances[placement.instance]
        if instance.format != image.format:
            found = f"{image.path} has {image.format}, {instance.source} has {instance.format}"
            raise _broken("one pixel format an image", found)
        end += count
    if end != image.frames or not end:
        raise _broken(
            "spans fill the image", f"{image.path}: {end} frame(s) in placements, {image.frames} in the image"
        )


def _check_patient(plan: Plan, image: ImageSpec) -> None:
    patients = {plan.instances[placement.instance].patient for placement in image.placements}
    if len(patients) > 1:
        for name, values in zip(PATIENT_ATTRIBUTES, zip(*map(unpack_patient, patients), strict=True), strict=True):
            if len({*values} - {b""}) > 1:
                raise _broken("one patient an image", f"{image.path}: its files differ in {name}")


def _check_frames(plan: Plan, layout: Layout) -> None:
    stored: defaultdict[int, list[Placement]] = defaultdict(list)
    for image in plan.images:
        for placement in image.placements:
            stored[placement.instance].append(placement)
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
    for position, placements in stored.items():
        instance = plan.instances[position]
        _check_instance(instance.source, placements, selected(instance.number_of_frames))
    for position in unselected:
        instance = plan.instances[position]
        if frames := selected(instance.number_of_frames):
            raise _broken("every selected frame exactly once", f"{instance.source}: {len(frames)} frame(s) left out")


def _check_instance(source: str, placements: Sequence[Placement], expected: range | tuple[int, ...]) -> None:
    ranges = [placement.frames for placement in placements]
    if len(ranges) == 1 and ranges[0] == expected:
        return
    ranges.sort(key=lambda frames: frames.start)
    if sum(map(len, ranges)) != len(expected) or not _follow(ranges, expected):
        raise _broken(
            "every selected frame exactly once",
            f"{source}: {sum(map(len, ranges))} frame(s) stored, {len(expected)} selected, in {len(ranges)} placement(s)",
        )


def _follow(ranges: Sequence[range], expected: range | tuple[int, ...]) -> bool:
    """Return whether `ranges`, one after the other, are the expected frames; compares runs, as there may be 2**31 frames."""
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
        _check_owners(image, sorted(owned, key=lambda owner: owner[0].start))


def _check_owners(image: ImageSpec, owned: Sequence[tuple[Region, int]]) -> None:
    """Check that each shard of the image belongs to exactly one region, and that no region ends inside a shard."""
    grid = image.grid
    next_shard = 0
    for region, task in owned:
        shards = grid.whole_shards(region.positions)
        shared = shards is None or shards.start < next_shard
        if shards is None or shared or shards.start > next_shard or not shards:
            raise _broken(
                "no two tasks share a shard" if shared else "every shard is owned",
                f"{image.path}: task {task} has {region}; shard {next_shard}, of {' x '.join(map(str, grid.shard))} frame(s), is next",
            )
        next_shard = shards.stop
    if next_shard != grid.shards:
        raise _broken("every shard is owned", f"{image.path}: {next_shard} of {grid.shards} shard(s)")


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
