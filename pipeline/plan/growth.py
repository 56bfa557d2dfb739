"""Extend a plan after files have come or changed: unchanged images stay, all others are planned again.

The earlier plan's instances keep their positions; a changed file becomes another instance, behind them. An image stays as
it is, with its path, layout and tasks, if its instances would be grouped and ordered the same way again. An image whose
original is gone stays in any case, because it couldn't be made again. Every other image is planned like any; if it extends an
earlier image, it takes over that image's path.

A finished image isn't given up for one that is yet to be made: the caller keeps the images that are left (:attr:`Growth.left`)
as *standing* images, in a plan of their own (:func:`select_images`), and may put them back (:func:`restore_standing`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.model import Failure, ImageSpec, Instance, Plan, Task
from pipeline.plan.build import admit, project_memory
from pipeline.plan.grouping import Group, group_instances
from pipeline.plan.invariants import verify
from pipeline.plan.layout import Layout
from pipeline.plan.layouts import lay_out_image, shape_chooser
from pipeline.plan.paths import image_paths
from pipeline.plan.task_cutting import cut_tasks, make_task

_NUMBERED = re.compile(r"(.*?-)([0-9]+)")

_REPLACED = Failure("source_changed", "The file has been replaced since; its new content has a row of its own")


@dataclass(frozen=True, slots=True)
class Growth:
    """A plan, and how it relates to the earlier one."""

    plan: Plan
    images: Mapping[int, int]
    """Position of an unchanged image in the earlier plan → its position in this one."""
    tasks: Mapping[int, int]
    """Number of a task in the earlier plan → the number of its remaining part in this one."""
    grown: tuple[str, ...] = ()
    """Paths of images that are made again because instances have joined or left them."""
    left: tuple[int, ...] = ()
    """Images of the earlier plan, by position, that aren't in this one, whichever images have their paths now."""


def grow(
    before: Plan,
    new: Sequence[Instance],
    layout: Layout,
    gone: Collection[int] = (),
    replaced: Collection[int] = (),
    *,
    kept: Collection[int] = (),
) -> Growth:
    """Plan `new` instances in addition to those of an earlier plan, and prove the plan's invariants.

    Parameters
    ----------
    before : Plan
    new : sequence of Instance
    layout : Layout
        The settings that `before` was made with.
    gone : collection of int
        Instances of `before`, by position, that can't be read again: their images stay.
    replaced : collection of int
        Instances of `before`, by position, whose files have been replaced: they leave all images except those that stay.
    kept : collection of int
        Images of `before`, by position, that stay as they are in any case.

    Raises
    ------
    PlanError
        As :func:`pipeline.plan.make_plan`.
    """
    instances = (*before.instances, *new)
    select, _ = shape_chooser(layout)
    fresh, unselected, refused = admit(instances, layout, select, first=len(before.instances))
    members, lost, others = _members(before), set(gone), set(replaced)
    frozen = {number for number, held in enumerate(members) if not lost.isdisjoint(held)} | set(kept)
    left = [i for number, held in enumerate(members) if number not in frozen for i in held if i not in others]
    groups = group_instances(instances, [*left, *fresh], layout.grouping)
    places = {held: number for number, held in enumerate(members) if number not in frozen}
    stays = frozen | {places[group.members] for group in groups if group.members in places}
    earlier = replace(before, refused=before.refused + refused, unselected=before.unselected + unselected)
    return _make_growth(
        earlier,
        instances,
        stays,
        [group for group in groups if group.members not in places],
        replaced=others,
        layout=layout,
    )


def restore_standing(
    before: Plan, standing: Plan, wanted: Collection[int], layout: Layout, replaced: Collection[int] = ()
) -> Growth:
    """Put standing images back in place of the images that were to replace them; plan the rest of their instances again.

    Everything else stays. If images can only be put back together, all of them are.

    Parameters
    ----------
    before, standing : Plan
        Their images and tasks are numbered in the result's mappings as :func:`concatenate_plans` numbers them.
    wanted : collection of int
        Images of `standing`, by position.
    layout : Layout
    replaced : collection of int
        As for :func:`grow`.
    """
    members, earlier = _members(before), _members(standing)
    returning = set(wanted)
    while True:
        returned = {i for number in returning for i in earlier[number]}
        paths = {standing.images[number].path for number in returning}
        dissolved = {
            number
            for number, instances in enumerate(members)
            if not returned.isdisjoint(instances) or before.images[number].path in paths
        }
        loose = {i for number in dissolved for i in members[number]}
        also = {number for number, instances in enumerate(earlier) if not loose.isdisjoint(instances)}
        if also <= returning:
            break
        returning |= also
    stays = set(range(len(members))) - dissolved | {len(members) + number for number in returning}
    groups = group_instances(before.instances, sorted(loose - returned - set(replaced)), layout.grouping)
    return _make_growth(
        concatenate_plans(before, standing), before.instances, stays, groups, replaced=set(replaced), layout=layout
    )


def concatenate_plans(first: Plan, second: Plan) -> Plan:
    """Return the first plan with the second one's images and tasks behind its own, renumbered."""
    images, tasks = len(first.images), len(first.tasks)
    moved = (
        replace(task, id=tasks + n, regions=tuple(replace(r, image=images + r.image) for r in task.regions))
        for n, task in enumerate(second.tasks)
    )
    return replace(first, images=first.images + second.images, tasks=(*first.tasks, *moved))


def select_images(plan: Plan, images: Collection[int]) -> Growth:
    """Return some images of a plan, and the remaining parts of its tasks, as a plan without instances."""
    wanted = sorted(images)
    mapping = {number: position for position, number in enumerate(wanted)}
    chosen = tuple(plan.images[number] for number in wanted)
    tasks, numbers = _remaining_tasks(plan, plan.instances, chosen, mapping)
    return Growth(Plan((), chosen, tuple(tasks)), mapping, numbers)


def _members(plan: Plan) -> list[tuple[int, ...]]:
    """Return the instances of each image, in the order of their frames."""
    return [tuple(image.members) for image in plan.images]


def _make_growth(
    before: Plan,
    instances: Sequence[Instance],
    stays: Collection[int],
    groups: Sequence[Group],
    *,
    replaced: Collection[int],
    layout: Layout,
) -> Growth:
    """Return the plan of the images that stay, and of `groups`; `before` tells which instances are in no image, and why."""
    select, shapes = shape_chooser(layout)
    paths, grown = _name_images(before, instances, groups, stays, replaced)
    made = sorted(
        (lay_out_image(instances, path, group, select, shapes) for path, group in zip(paths, groups, strict=True)),
        key=lambda image: image.path,
    )
    mapping = {number: position for position, number in enumerate(sorted(stays))}
    images = (*(before.images[number] for number in mapping), *made)
    tasks, numbers = _make_tasks(before, instances, images, mapping, layout)
    refused = _find_refused(before, images, replaced)
    plan = Plan(tuple(instances), images, tasks, refused, before.unselected)
    verify(plan, layout)
    left = tuple(number for number in range(len(before.images)) if number not in mapping)
    return Growth(plan, mapping, numbers, tuple(sorted(grown)), left)


def _find_refused(
    before: Plan, images: Sequence[ImageSpec], replaced: Collection[int]
) -> tuple[tuple[int, Failure], ...]:
    """Return the instances with selected frames that are in no image, and why."""
    stored = {placement.instance for image in images for placement in image.placements}
    refused = [(i, failure) for i, failure in before.refused if i not in stored]
    accounted = stored | {i for i, _ in refused} | set(before.unselected)
    return (*refused, *((i, _REPLACED) for i in sorted(set(replaced) - accounted)))


def _name_images(
    before: Plan,
    instances: Sequence[Instance],
    groups: Sequence[Group],
    stays: Collection[int],
    replaced: Collection[int],
) -> tuple[list[str], list[str]]:
    """Name the new images; return the paths, and those of them that are taken over from images that are made again."""
    owner, sizes = _find_owners(before, instances, stays, replaced), [len(held) for held in _members(before)]
    taken = {before.images[number].path.casefold() for number in stays}
    paths: dict[int, str] = {}
    for position, group in enumerate(groups):
        first = instances[group.members[0]]
        found = {owner[i] for i in group.members if i in owner}
        earlier = sorted((-sizes[n], n) for n in found if _may_extend(group, first, before.images[n]))
        wanted = next(
            (before.images[n].path for _, n in earlier if before.images[n].path.casefold() not in taken), None
        )
        if wanted is not None:
            paths[position] = wanted
            taken.add(wanted.casefold())
    for position, path in enumerate(image_paths(instances, groups)):
        if position not in paths:
            paths[position] = _free_path(path, taken)
            taken.add(paths[position].casefold())
    left = {before.images[number].path for number in range(len(before.images)) if number not in stays}
    return [paths[position] for position in range(len(groups))], [path for path in paths.values() if path in left]


def _find_owners(
    before: Plan, instances: Sequence[Instance], stays: Collection[int], replaced: Collection[int]
) -> dict[int, int]:
    """Return the image's number for instances of images that don't stay, and for the instances that replace them."""
    current = {instance.source: i for i, instance in enumerate(instances) if i not in replaced}
    owner: dict[int, int] = {}
    for number, held in enumerate(_members(before)):
        if number not in stays:
            owner |= {(current.get(instances[i].source, i) if i in replaced else i): number for i in held}
    return owner


def _may_extend(group: Group, first: Instance, image: ImageSpec) -> bool:
    """Return whether a stack may take over the path of an earlier image. All other images are named after their instance."""
    series = (first.study_instance_uid, first.series_instance_uid)
    return (
        group.stacked
        and image.order != "frame_number"
        and series == (image.study_instance_uid, image.series_instance_uid)
    )


def _free_path(path: str, taken: Collection[str]) -> str:
    """Return `path` if it is free, else the path with the next free number."""
    match = _NUMBERED.fullmatch(path) if path.rpartition("/")[2].startswith("stack-") else None
    stem, number = (match[1], int(match[2])) if match else (f"{path}-", 1)
    while path.casefold() in taken:
        number += 1
        path = f"{stem}{number}"
    return path


def _make_tasks(
    before: Plan, instances: Sequence[Instance], images: Sequence[ImageSpec], mapping: Mapping[int, int], layout: Layout
) -> tuple[tuple[Task, ...], dict[int, int]]:
    """Return the remaining earlier tasks, then those of the new images; and the new numbers of the earlier ones."""
    tasks, numbers = _remaining_tasks(before, instances, images, mapping)
    made = images[len(mapping) :]
    for task in cut_tasks(layout, instances, made, project_memory(layout, instances, made)):
        regions = [replace(r, image=r.image + len(mapping)) for r in task.regions]
        tasks.append(replace(task, id=len(tasks), regions=tuple(regions)))
    return tuple(tasks), numbers


def _remaining_tasks(
    before: Plan, instances: Sequence[Instance], images: Sequence[ImageSpec], mapping: Mapping[int, int]
) -> tuple[list[Task], dict[int, int]]:
    """Return the parts of a plan's tasks whose images remain, renumbered; and their new numbers by the earlier ones."""
    tasks: list[Task] = []
    numbers: dict[int, int] = {}
    for task in before.tasks:
        regions = [replace(r, image=mapping[r.image]) for r in task.regions if r.image in mapping]
        if regions:
            numbers[task.id] = len(tasks)
            tasks.append(make_task(len(tasks), instances, images, regions, task.memory_bytes))
    return tasks, numbers
