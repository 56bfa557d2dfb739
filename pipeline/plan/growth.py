"""A plan that follows another one when files have come: what is unchanged stays where it is, the rest is planned anew.

The earlier plan's instances keep their positions. An image stays as it is, with its path, layout and tasks, where its
instances would be grouped and ordered as they are; where an original is gone, it stays in any case, because it could not be
made again. Every other image is planned like any: it takes over the path of the image that it extends, if it extends one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.model import Failure, ImageSpec, Instance, Plan, Region, Task
from pipeline.plan.build import admit, image_spec, planned_memory, shape_chooser
from pipeline.plan.grouping import Group, group_instances
from pipeline.plan.invariants import verify
from pipeline.plan.layout import Layout
from pipeline.plan.paths import image_paths
from pipeline.plan.tasks import cut_tasks, task_of

_NUMBERED = re.compile(r"(.*?-)([0-9]+)")


_REPLACED = Failure("source_changed", "The file has been replaced since; its new content has a row of its own")


@dataclass(frozen=True, slots=True)
class Growth:
    """A plan, and how it follows the one before."""

    plan: Plan
    images: Mapping[int, int]
    """Position of an unchanged image in the earlier plan → its position in this one."""
    tasks: Mapping[int, int]
    """Number of a task in the earlier plan → the number of what is left of it in this one."""
    grown: tuple[str, ...]
    """Paths of images that are made again, because instances have joined them."""
    stale: tuple[str, ...]
    """Paths of images of the earlier plan that aren't in this one."""


def grow(
    before: Plan,
    new: Sequence[Instance],
    layout: Layout,
    gone: Collection[int] = (),
    replaced: Collection[int] = (),
) -> Growth:
    """Plan `new` instances in addition to an earlier plan's, and prove the plan's invariants.

    Parameters
    ----------
    before : Plan
    new : sequence of Instance
    layout : Layout
        The settings that `before` was made with.
    gone : collection of int
        Instances of `before`, by position, whose files are no longer there.
    replaced : collection of int
        Instances of `before`, by position, of which nothing could be stored and whose files are others now.

    Raises
    ------
    PlanError
        As :func:`pipeline.plan.make_plan`.
    """
    instances = (*before.instances, *new)
    select, shapes = shape_chooser(layout)
    kept, unselected, refused = admit(instances, layout, select, first=len(before.instances))
    members = [tuple(dict.fromkeys(span.instance for span in image.spans)) for image in before.images]
    frozen = {number for number, one in enumerate(members) if not set(gone).isdisjoint(one)}
    left = [i for number, one in enumerate(members) if number not in frozen for i in one]
    dropped = sorted(set(left) & set(replaced))
    open_members = [i for i in left if i not in replaced]
    refused += tuple((i, _REPLACED) for i in dropped)
    groups = group_instances(instances, [*open_members, *kept], layout.grouping)
    places = {one: number for number, one in enumerate(members) if number not in frozen}
    stays = frozen | {places[group.members] for group in groups if group.members in places}
    fresh = [group for group in groups if group.members not in places]
    paths, grown = _paths(before, instances, fresh, members, stays)
    made = sorted(
        (image_spec(instances, path, group, select, shapes) for path, group in zip(paths, fresh, strict=True)),
        key=lambda image: image.path,
    )
    old = sorted(stays)
    images = (*(before.images[number] for number in old), *made)
    mapping = {number: position for position, number in enumerate(old)}
    tasks, numbers = _tasks(before, instances, images, mapping, layout)
    plan = Plan(instances, images, tasks, before.refused + refused, before.unselected + unselected)
    verify(plan, layout)
    stale = {image.path for image in before.images} - {image.path for image in images}
    return Growth(plan, mapping, numbers, tuple(sorted(grown)), tuple(sorted(stale)))


def _paths(
    before: Plan,
    instances: Sequence[Instance],
    groups: Sequence[Group],
    members: Sequence[tuple[int, ...]],
    stays: Collection[int],
) -> tuple[list[str], list[str]]:
    """Name the new images; returns the paths, and those of them that are taken over from an image that grew."""
    owner = {i: number for number, one in enumerate(members) if number not in stays for i in one}
    sizes = {number: len(one) for number, one in enumerate(members)}
    taken = {before.images[number].path.casefold() for number in stays}
    paths: dict[int, str] = {}
    for position, group in enumerate(groups):
        earlier = sorted({owner[i] for i in group.members if i in owner}, key=lambda number: (-sizes[number], number))
        wanted = next((before.images[n].path for n in earlier if before.images[n].path.casefold() not in taken), None)
        if wanted is not None:
            paths[position] = wanted
            taken.add(wanted.casefold())
    grown = list(paths.values())
    for position, path in enumerate(image_paths(instances, groups)):
        if position not in paths:
            paths[position] = _free(path, taken)
            taken.add(paths[position].casefold())
    return [paths[position] for position in range(len(groups))], grown


def _free(path: str, taken: Collection[str]) -> str:
    """Return `path`, or the next number of it that no other image has."""
    match = _NUMBERED.fullmatch(path) if path.rpartition("/")[2].startswith("stack-") else None
    stem, number = (match[1], int(match[2])) if match else (f"{path}-", 1)
    while path.casefold() in taken:
        number += 1
        path = f"{stem}{number}"
    return path


def _tasks(
    before: Plan, instances: Sequence[Instance], images: Sequence[ImageSpec], mapping: Mapping[int, int], layout: Layout
) -> tuple[tuple[Task, ...], dict[int, int]]:
    """Return what is left of the earlier tasks, then those of the new images; and where the earlier ones are now."""
    tasks: list[Task] = []
    numbers: dict[int, int] = {}
    for task in before.tasks:
        regions = [replace(r, image=mapping[r.image]) for r in task.regions if r.image in mapping]
        if regions:
            numbers[task.id] = len(tasks)
            tasks.append(task_of(len(tasks), instances, images, regions, task.memory_bytes))
    made = images[len(mapping) :]
    for task in cut_tasks(layout, instances, made, planned_memory(layout, instances, made)):
        regions = [Region(r.image + len(mapping), r.frame_start, r.frame_stop) for r in task.regions]
        tasks.append(replace(task, id=len(tasks), regions=tuple(regions)))
    return tuple(tasks), numbers
