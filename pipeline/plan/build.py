"""Make a plan from instances: select, group, order, lay out, cut into tasks, verify."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from pipeline.errors import PlanError
from pipeline.model import Failure, ImageSpec, Instance, Plan, without_collections
from pipeline.plan.grouping import group_instances
from pipeline.plan.invariants import verify
from pipeline.plan.layout import Layout
from pipeline.plan.layouts import Select, lay_out_image, shape_chooser, tile_shape
from pipeline.plan.paths import image_paths
from pipeline.plan.task_cutting import cut_tasks
from pipeline.plan.task_memory import Projection, largest_encoded_frame, mebibytes, project, project_image


@without_collections
def make_plan(instances: Sequence[Instance], layout: Layout | None = None) -> Plan:
    """Plan the conversion of `instances`, and prove the plan's invariants.

    Images are sorted by path, and depend on the instances but not on their order, which :attr:`Plan.instances`
    keeps.

    Parameters
    ----------
    instances : sequence of Instance
        Instances to store, without those that the configuration leaves out and without byte-identical copies.
    layout : Layout, optional
        The settings.

    Raises
    ------
    ConfigError
        If the selection of frames can't be understood.
    PlanError
        If shards or chunks of more than one frame need more memory than a task may have, with the numbers.
    """
    layout = layout or Layout()
    instances = tuple(instances)
    select, shapes = shape_chooser(layout)
    kept, unselected, refused = admit(instances, layout, select)
    groups = group_instances(instances, kept, layout.grouping)
    named = sorted(zip(image_paths(instances, groups), groups, strict=True), key=lambda pair: pair[0])
    images = tuple(lay_out_image(instances, path, group, select, shapes) for path, group in named)
    memory = project_memory(layout, instances, images)
    plan = Plan(instances, images, cut_tasks(layout, instances, images, memory), refused, unselected)
    verify(plan, layout)
    return plan


def admit(
    instances: Sequence[Instance], layout: Layout, select: Select, first: int = 0
) -> tuple[list[int], tuple[int, ...], tuple[tuple[int, Failure], ...]]:
    """Divide the positions from `first` on into those to store, those without a selected frame, and those too large."""
    kept: list[int] = []
    unselected: list[int] = []
    refused: list[tuple[int, Failure]] = []
    one_frame = cache(lambda pixel_format: project(pixel_format, tile_shape(layout, pixel_format), 1, 1, 0))
    for position, instance in enumerate(instances[first:], first):
        if not select(instance.number_of_frames):
            unselected.append(position)
        elif failure := _too_large(instance, layout, one_frame(instance.format)):
            refused.append((position, failure))
        else:
            kept.append(position)
    return kept, tuple(unselected), tuple(refused)


def _too_large(instance: Instance, layout: Layout, one_frame: Projection) -> Failure | None:
    if one_frame.frame > layout.frame_limit:
        return Failure(
            "frame_too_large",
            f"A decoded frame has {mebibytes(one_frame.frame)}, more than limits.frame allows "
            f"({mebibytes(layout.frame_limit)})",
        )
    encoded = largest_encoded_frame(instance)
    if one_frame.total + encoded > layout.task_memory:
        needed = replace(one_frame, encoded_frame=encoded)
        return Failure(
            "task_memory_exceeded",
            f"Storing one frame needs {needed}, more than limits.task_memory allows "
            f"({mebibytes(layout.task_memory)}); raise it to at least {needed.total} bytes",
        )
    return None


def project_memory(layout: Layout, instances: Sequence[Instance], images: Sequence[ImageSpec]) -> list[int]:
    """Project each image's memory; PlanError for the largest, if it is more than a task may have."""
    needed = [project_image(instances, image).total for image in images]
    worst = max(range(len(images)), key=needed.__getitem__, default=None)
    if worst is not None and needed[worst] > layout.task_memory:
        count = sum(total > layout.task_memory for total in needed)
        raise PlanError(_memory_message(layout, project_image(instances, images[worst]), images[worst], count))
    return needed


def _memory_message(layout: Layout, needed: Projection, image: ImageSpec, count: int) -> str:
    most = needed.frames_within(layout.task_memory)
    if most >= image.chunk_frames:
        shard_frames = most - most % image.chunk_frames
        remedy = f"set output.shard to at most {shard_frames * needed.frame} bytes"
    else:
        remedy = f"set output.chunk.frame to at most {needed.chunk_frames_within(layout.task_memory)}"
    return (
        f"A task may have {mebibytes(layout.task_memory)} (limits.task_memory), but {count} image(s) need more. Most is "
        f"needed for {image.path}: {needed}. Its shards are {image.shards}, its chunks {image.chunks}, a frame is "
        f"{mebibytes(needed.frame)}. Either {remedy}, or raise limits.task_memory to at least {needed.total} bytes"
    )
