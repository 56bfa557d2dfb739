"""Inputs of tasks, which travel to workers: a task's regions with only the placements and instances that they need."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from operator import attrgetter

from pipeline.model import Placement, Plan, Region, RegionInput, Task, TaskInput


def task_inputs(plan: Plan) -> Iterator[TaskInput]:
    """Yield each task's input, one at a time, in the order of the tasks."""
    for task in plan.tasks:
        yield task_input(plan, task)


def task_input(plan: Plan, task: Task) -> TaskInput:
    """Return everything that `task` needs, taken from `plan`."""
    return TaskInput(task.id, tuple(_region_input(plan, region) for region in task.regions))


def cut_placements(placements: Sequence[Placement], positions: range) -> tuple[Placement, ...]:
    """Return the parts of an image's `placements` that lie at the given positions.

    `placements` are in the order of their positions; bisection finds the first that overlaps.
    """
    number = max(0, bisect_right(placements, positions.start, key=attrgetter("position")) - 1)
    cut = []
    while number < len(placements) and (placement := placements[number]).position < positions.stop:
        part = _cut(placement, positions)
        if part is not None:
            cut.append(part)
        number += 1
    return tuple(cut)


def _region_input(plan: Plan, region: Region) -> RegionInput:
    spec = plan.images[region.image]
    placements = cut_placements(spec.placements, region.positions)
    instances = {placement.instance: plan.instances[placement.instance] for placement in placements}
    return RegionInput(region, replace(spec, placements=placements), instances)


def _cut(placement: Placement, positions: range) -> Placement | None:
    """Return the part of a placement that lies at the positions; None if no part does."""
    length = len(placement)
    if positions.start <= placement.position and placement.position + length <= positions.stop:
        return placement
    skipped = max(0, positions.start - placement.position)
    count = min(length, positions.stop - placement.position)
    if skipped >= count:
        return None
    frames = placement.frames[skipped:count]
    return Placement(placement.instance, frames.start, frames.stop, frames.step, placement.position + skipped)
