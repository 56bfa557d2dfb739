"""Check that :func:`pipeline.plan.make_plan` could have made a plan that was read from an output directory.

A plan says which files are written and removed, and how much memory that takes. A plan that somebody has changed must lead
neither out of the output directory nor beyond the limits; :mod:`.invariants` proves that it also keeps its promises.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from pipeline.errors import PlanError
from pipeline.model import (
    ImageSpec,
    Instance,
    PixelFormat,
    Plan,
    Region,
    RegionResult,
    Task,
    TaskResult,
    without_collections,
)
from pipeline.plan.invariants import verify, verify_images
from pipeline.plan.layout import Layout
from pipeline.plan.paths import is_clean
from pipeline.plan.task_inputs import cut_placements
from pipeline.storage import OutputDir

MOST_FRAMES = 2**31 - 1
"""Largest Number of Frames, which is an Integer String (PS3.5 6.2)."""
MOST_SIDE = 2**16 - 1
"""Largest Rows and Columns, which are unsigned short."""
MOST_SAMPLES = 2**8
_DTYPES = frozenset(
    {"bool", *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)), "float32", "float64"}
)
_DEPTH = 3
"""Number of names in the path of an image: study, series, image."""
_LONGEST = 2**16
"""Most characters of a text: far more than any path or UID has."""
_DIGEST = re.compile("[0-9a-f]{32}|")


@without_collections
def check_plan(plan: Plan, layout: Layout, standing: Plan | None = None) -> None:
    """Refuse a plan that leads out of the output directory or breaks a promise.

    Parameters
    ----------
    plan : Plan
    layout : Layout
    standing : Plan, optional
        Images of the plan's instances that stay until new ones replace them, and their tasks.

    Raises
    ------
    PlanError
        Names the first thing that is wrong.
    """
    formats: dict[int, PixelFormat] = {}  # by their id: most instances share one object
    for instance in plan.instances:
        check_instance(instance)
        formats[id(instance.format)] = instance.format
    for image in (*plan.images, *(standing.images if standing else ())):
        _check_image(image)
        formats[id(image.format)] = image.format
    for pixels in formats.values():
        check_format(pixels)
    verify(plan, layout)
    if standing:
        verify_images(replace(standing, instances=plan.instances), layout)


def _check_image(image: ImageSpec) -> None:
    check_path(image.path)
    if min(image.shards, default=0) < 1 or min(image.sizes) < 1 or image.frames > MOST_FRAMES:
        raise _wrong(f"an image of {image.frames} frame(s) in shards of {image.shards}")
    if any(placement.step == 0 for placement in image.placements):
        raise _wrong("a placement whose step is 0")


def check_path(path: str) -> None:
    """Refuse a path that :func:`pipeline.plan.paths.image_paths` can't have made; PlanError."""
    names = path.split("/")
    if len(names) != _DEPTH or not all(map(is_clean, names)):
        raise _wrong(f"{path[:200]!r} isn't an image's path")


def check_instance(instance: Instance) -> None:
    """Refuse an instance, read from an output directory, that no scan can have found; PlanError."""
    if instance.frame_index_file and instance.frame_index_file != OutputDir.frame_index(instance.segment, instance.row):
        raise _wrong(f"{instance.frame_index_file[:200]!r} isn't the place of a frame index")
    if not 0 <= instance.number_of_frames <= MOST_FRAMES:
        raise _wrong(f"an instance of {instance.number_of_frames} frames")
    if instance.segment < 0 or instance.row < 0 or instance.encoded_bytes < 0 or instance.size < -1:
        raise _wrong(f"an instance with a negative number, in row {instance.row} of segment {instance.segment}")
    if len(instance.source) > _LONGEST or len(instance.sop_instance_uid) > _LONGEST:
        raise _wrong("a text longer than any path or UID")


def check_format(pixels: PixelFormat) -> None:
    """Refuse a pixel format that no header can describe; PlanError."""
    sides = 0 < pixels.rows <= MOST_SIDE and 0 < pixels.columns <= MOST_SIDE
    if not (sides and 0 < pixels.samples_per_pixel <= MOST_SAMPLES and pixels.dtype in _DTYPES):
        raise _wrong(f"frames of {pixels.rows} x {pixels.columns} x {pixels.samples_per_pixel} {pixels.dtype[:20]!r}")


def _wrong(what: str) -> PlanError:
    return PlanError(f"no run of this program can have planned {what}")


def is_result_of(plan: Plan, result: TaskResult) -> bool:
    """Return whether a recorded result can be that of its task: it concerns the task's shards and instances, and no others."""
    if not 0 <= result.task < len(plan.tasks):
        return False
    task = plan.tasks[result.task]
    shards = {(region.image, region.start) for region in result.regions}
    owned: defaultdict[int, list[Region]] = defaultdict(list)
    for region in task.regions:
        owned[region.image].append(region)
    return (
        len(shards) == len(result.regions)
        and all(_is_shard_of(plan, owned.get(region.image, ()), region) for region in result.regions)
        and {outcome.instance for outcome in result.outcomes} <= _instances(plan, task)
        and min(result.frames, result.encoded_bytes, result.decoded_bytes) >= 0
    )


def _is_shard_of(plan: Plan, regions: Iterable[Region], region: RegionResult) -> bool:
    if not any(region.start in candidate.positions for candidate in regions):
        return False
    grid = plan.images[region.image].grid
    frames = len(region.positions)
    return (
        region.positions == grid.shard_positions(grid.shard_of(region.start))
        and len(region.checksums) == 8 * frames
        and len(region.valid) == frames
        and region.valid.count(0) + region.valid.count(1) == frames
        and region.stored_bytes >= 0
        and _DIGEST.fullmatch(region.digest) is not None
    )


def _instances(plan: Plan, task: Task) -> set[int]:
    return {
        placement.instance
        for region in task.regions
        for placement in cut_placements(plan.images[region.image].placements, region.positions)
    }
