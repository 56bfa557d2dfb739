"""A plan that follows another one when files have come or changed: what is unchanged stays, the rest is planned anew.

The earlier plan's instances keep their positions; a file that has changed is another instance, behind them. An image stays as
it is, with its path, layout and tasks, where its instances would be grouped and ordered as they are; where an original is
gone, it stays in any case, because it could not be made again. Every other image is planned like any: it takes over the path
of the image that it extends, if it extends one.

What an image holds isn't given up for one that is yet to be made: the caller keeps those that are left (:attr:`Growth.left`)
as *standing* images, a plan of their own (:func:`only`), and may put them back (:func:`give_back`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.model import Failure, ImageSpec, Instance, Plan, Task
from pipeline.plan.build import admit, planned_memory
from pipeline.plan.grouping import Group, group_instances
from pipeline.plan.invariants import verify
from pipeline.plan.layout import Layout
from pipeline.plan.layouts import image_spec, shape_chooser
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
    grown: tuple[str, ...] = ()
    """Paths of images that are made again, because instances have joined or left them."""
    left: tuple[int, ...] = ()
    """Images of the earlier plan, by position, that aren't in this one, whatever stands at their paths."""


def grow(
    before: Plan,
    new: Sequence[Instance],
    layout: Layout,
    gone: Collection[int] = (),
    replaced: Collection[int] = (),
    *,
    kept: Collection[int] = (),
) -> Growth:
    """Plan `new` instances in addition to an earlier plan's, and prove the plan's invariants.

    Parameters
    ----------
    before : Plan
    new : sequence of Instance
    layout : Layout
        The settings that `before` was made with.
    gone : collection of int
        Instances of `before`, by position, that can't be had again: their images stay.
    replaced : collection of int
        Instances of `before`, by position, whose files are others now: they leave all images but those that stay.
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
    frozen = {number for number, one in enumerate(members) if not lost.isdisjoint(one)} | set(kept)
    left = [i for number, one in enumerate(members) if number not in frozen for i in one if i not in others]
    groups = group_instances(instances, [*left, *fresh], layout.grouping)
    places = {one: number for number, one in enumerate(members) if number not in frozen}
    stays = frozen | {places[group.members] for group in groups if group.members in places}
    earlier = replace(before, refused=before.refused + refused, unselected=before.unselected + unselected)
    return _follow(
        earlier, instances, stays, [one for one in groups if one.members not in places], replaced=others, layout=layout
    )


def give_back(
    before: Plan, standing: Plan, wanted: Collection[int], layout: Layout, replaced: Collection[int] = ()
) -> Growth:
    """Put standing images back in place of those that were to replace them; what only these held is planned anew.

    Everything else stays. Images that can only be put back together are.

    Parameters
    ----------
    before, standing : Plan
        Their images and tasks count on in the result's mappings as :func:`together` has them.
    wanted : collection of int
        Images of `standing`, by position.
    layout : Layout
    replaced : collection of int
        As for :func:`grow`.
    """
    members, earlier = _members(before), _members(standing)
    returning = set(wanted)
    while True:
        held = {i for number in returning for i in earlier[number]}
        paths = {standing.images[number].path for number in returning}
        dissolved = {
            number
            for number, one in enumerate(members)
            if not held.isdisjoint(one) or before.images[number].path in paths
        }
        loose = {i for number in dissolved for i in members[number]}
        also = {number for number, one in enumerate(earlier) if not loose.isdisjoint(one)}
        if also <= returning:
            break
        returning |= also
    stays = set(range(len(members))) - dissolved | {len(members) + number for number in returning}
    groups = group_instances(before.instances, sorted(loose - held - set(replaced)), layout.grouping)
    return _follow(together(before, standing), before.instances, stays, groups, replaced=set(replaced), layout=layout)


def together(first: Plan, second: Plan) -> Plan:
    """Return the first plan with the images and tasks of the second behind its own, numbered on."""
    images, tasks = len(first.images), len(first.tasks)
    moved = (
        replace(task, id=tasks + n, regions=tuple(replace(r, image=images + r.image) for r in task.regions))
        for n, task in enumerate(second.tasks)
    )
    return replace(first, images=first.images + second.images, tasks=(*first.tasks, *moved))


def only(plan: Plan, images: Collection[int]) -> Growth:
    """Return some images of a plan, and what is left of its tasks, as a plan without instances of its own."""
    wanted = sorted(images)
    mapping = {number: position for position, number in enumerate(wanted)}
    chosen = tuple(plan.images[number] for number in wanted)
    tasks, numbers = _left_tasks(plan, plan.instances, chosen, mapping)
    return Growth(Plan((), chosen, tuple(tasks)), mapping, numbers)


def _members(plan: Plan) -> list[tuple[int, ...]]:
    """Return the instances of each image, in the order of their frames."""
    return [tuple(dict.fromkeys(placement.instance for placement in image.placements)) for image in plan.images]


def _follow(
    before: Plan,
    instances: Sequence[Instance],
    stays: Collection[int],
    groups: Sequence[Group],
    *,
    replaced: Collection[int],
    layout: Layout,
) -> Growth:
    """Return the plan of the images that stay, and of `groups`; `before` says which instances are in none, and why."""
    select, shapes = shape_chooser(layout)
    paths, grown = _paths(before, instances, groups, stays, replaced)
    made = sorted(
        (image_spec(instances, path, group, select, shapes) for path, group in zip(paths, groups, strict=True)),
        key=lambda image: image.path,
    )
    mapping = {number: position for position, number in enumerate(sorted(stays))}
    images = (*(before.images[number] for number in mapping), *made)
    tasks, numbers = _tasks(before, instances, images, mapping, layout)
    refused = _refused(before, images, replaced)
    plan = Plan(tuple(instances), images, tasks, refused, before.unselected)
    verify(plan, layout)
    left = tuple(number for number in range(len(before.images)) if number not in mapping)
    return Growth(plan, mapping, numbers, tuple(sorted(grown)), left)


def _refused(before: Plan, images: Sequence[ImageSpec], replaced: Collection[int]) -> tuple[tuple[int, Failure], ...]:
    """Return the instances that are in no image although frames of them are selected, and why."""
    stored = {placement.instance for image in images for placement in image.placements}
    refused = [(i, failure) for i, failure in before.refused if i not in stored]
    accounted = stored | {i for i, _ in refused} | set(before.unselected)
    return (*refused, *((i, _REPLACED) for i in sorted(set(replaced) - accounted)))


def _paths(
    before: Plan,
    instances: Sequence[Instance],
    groups: Sequence[Group],
    stays: Collection[int],
    replaced: Collection[int],
) -> tuple[list[str], list[str]]:
    """Name the new images; returns the paths, and those of them that are taken over from an image that is made again."""
    owner, sizes = _owners(before, instances, stays, replaced), [len(one) for one in _members(before)]
    taken = {before.images[number].path.casefold() for number in stays}
    paths: dict[int, str] = {}
    for position, group in enumerate(groups):
        first = instances[group.members[0]]
        found = {owner[i] for i in group.members if i in owner}
        earlier = sorted((-sizes[n], n) for n in found if _extends(group, first, before.images[n]))
        wanted = next(
            (before.images[n].path for _, n in earlier if before.images[n].path.casefold() not in taken), None
        )
        if wanted is not None:
            paths[position] = wanted
            taken.add(wanted.casefold())
    for position, path in enumerate(image_paths(instances, groups)):
        if position not in paths:
            paths[position] = _free(path, taken)
            taken.add(paths[position].casefold())
    left = {before.images[number].path for number in range(len(before.images)) if number not in stays}
    return [paths[position] for position in range(len(groups))], [path for path in paths.values() if path in left]


def _owners(
    before: Plan, instances: Sequence[Instance], stays: Collection[int], replaced: Collection[int]
) -> dict[int, int]:
    """Return, for instances of images that don't stay, and for those that replace them, the number of the image."""
    current = {one.source: i for i, one in enumerate(instances) if i not in replaced}
    owner: dict[int, int] = {}
    for number, one in enumerate(_members(before)):
        if number not in stays:
            owner |= {(current.get(instances[i].source, i) if i in replaced else i): number for i in one}
    return owner


def _extends(group: Group, first: Instance, image: ImageSpec) -> bool:
    """Whether a stack may have the path of an earlier one. All others are named after their instance."""
    series = (first.study_instance_uid, first.series_instance_uid)
    return (
        group.stacked
        and image.order != "frame_number"
        and series == (image.study_instance_uid, image.series_instance_uid)
    )


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
    tasks, numbers = _left_tasks(before, instances, images, mapping)
    made = images[len(mapping) :]
    for task in cut_tasks(layout, instances, made, planned_memory(layout, instances, made)):
        regions = [replace(r, image=r.image + len(mapping)) for r in task.regions]
        tasks.append(replace(task, id=len(tasks), regions=tuple(regions)))
    return tuple(tasks), numbers


def _left_tasks(
    before: Plan, instances: Sequence[Instance], images: Sequence[ImageSpec], mapping: Mapping[int, int]
) -> tuple[list[Task], dict[int, int]]:
    """Return what is left of a plan's tasks, numbered anew, where images are left; and their numbers by the earlier ones."""
    tasks: list[Task] = []
    numbers: dict[int, int] = {}
    for task in before.tasks:
        regions = [replace(r, image=mapping[r.image]) for r in task.regions if r.image in mapping]
        if regions:
            numbers[task.id] = len(tasks)
            tasks.append(task_of(len(tasks), instances, images, regions, task.memory_bytes))
    return tasks, numbers
