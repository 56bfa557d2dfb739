"""Cut images into tasks that own whole shards, each about a second of work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pipeline.model import ImageSpec, Instance, Region, Task, syntaxes
from pipeline.plan.costs import IMAGE_COST, INSTANCE_COST, weight
from pipeline.plan.layout import Layout
from pipeline.plan.task_inputs import cut_placements

IMAGES_PER_TASK = 256
INSTANCES_PER_TASK = 512
"""Small images are packed together up to these numbers: a task that dies loses no more than that."""
LAST_TASKS = 16
"""A task is at most this part of the work left …"""
SMALLEST_PART = 8
"""… but at least this part of a full task, because a task by itself costs some milliseconds."""


@dataclass(frozen=True, slots=True)
class _Work:
    """The work of one image."""

    cost: int
    divisible: bool


@dataclass(slots=True)
class _Pack:
    """Small images that wait to become one task."""

    regions: list[Region] = field(default_factory=list)
    cost: int = 0
    memory: int = 0
    instances: int = 0

    def takes(self, work: _Work, instances: int, target: int) -> bool:
        return not self.regions or (
            self.cost + work.cost <= target
            and len(self.regions) < IMAGES_PER_TASK
            and self.instances + instances <= INSTANCES_PER_TASK
        )


def cut_tasks(
    layout: Layout, instances: Sequence[Instance], images: Sequence[ImageSpec], memory: Sequence[int]
) -> tuple[Task, ...]:
    """Cut all `images`, each with its projected `memory`, into tasks, in the order of the images.

    Large images become several tasks of some shards each; small ones are packed together. The last tasks are smaller
    than the others, so that all workers end at about the same time. A deflated instance stays in one task, because none of
    its frames can be reached without inflating everything before it.
    """
    cuts = sorted(_cuts(layout, instances, images, memory), key=lambda cut: (cut[0][0].image, cut[0][0].start))
    return tuple(make_task(number, instances, images, *cut) for number, cut in enumerate(cuts))


def _cuts(
    layout: Layout, instances: Sequence[Instance], images: Sequence[ImageSpec], memory: Sequence[int]
) -> Iterator[tuple[list[Region], int]]:
    """Yield the regions and the memory of each task."""
    works = [_work(instances, image) for image in images]
    left = sum(work.cost for work in works)
    pack = _Pack()
    for i, (image, work) in enumerate(zip(images, works, strict=True)):
        target = _target(layout, left)
        if work.cost >= target:
            yield from (([Region(i, run.start, run.stop)], memory[i]) for run in _split(layout, image, work, left))
        else:
            if not pack.takes(work, len(image.placements), target):
                yield pack.regions, pack.memory
                pack = _Pack()
            pack.regions.append(Region(i, 0, image.frames))
            pack.cost += work.cost
            pack.memory = max(pack.memory, memory[i])
            pack.instances += len(image.placements)
        left -= work.cost
    if pack.regions:
        yield pack.regions, pack.memory


def _target(layout: Layout, left: int) -> int:
    """Return the work of the next task if `left` is still to be cut: guided self-scheduling (Polychronopoulos 1987)."""
    return max(layout.task_bytes // SMALLEST_PART, min(layout.task_bytes, left // LAST_TASKS))


def _work(instances: Sequence[Instance], image: ImageSpec) -> _Work:
    cost = IMAGE_COST
    divisible = True
    previous = -1
    for placement in image.placements:
        instance = instances[placement.instance]
        cost += int(len(placement) * image.format.frame_bytes * weight(instance.transfer_syntax_uid))
        cost += INSTANCE_COST if placement.instance != previous else 0
        previous = placement.instance
        divisible &= instance.transfer_syntax_uid != syntaxes.DEFLATED or instance.number_of_frames == 1
    return _Work(cost, divisible)


def _split(layout: Layout, image: ImageSpec, work: _Work, left: int) -> Iterator[range]:
    """Yield the positions of runs of whole shards; `left` is the work from this image on."""
    grid = image.grid
    a_shard = work.cost / grid.shards
    shard = start = 0
    while shard < grid.shards:
        count = max(1, round(_target(layout, left) / a_shard)) if work.divisible else grid.shards
        shard = min(shard + count, grid.shards)
        stop = grid.shard_positions(shard - 1).stop
        yield range(start, stop)
        start, left = stop, left - int(count * a_shard)


def make_task(
    number: int, instances: Sequence[Instance], images: Sequence[ImageSpec], regions: list[Region], memory: int
) -> Task:
    """Return the task that writes `regions`, with the bytes that it reads and stores."""
    encoded = sum(_encoded_bytes(instances, images[region.image], region) for region in regions)
    stored = sum(len(region.positions) * images[region.image].format.frame_bytes for region in regions)
    return Task(number, tuple(regions), memory, encoded, stored)


def _encoded_bytes(instances: Sequence[Instance], image: ImageSpec, region: Region) -> int:
    """Return the bytes to read, assuming equally long frames in an instance; a deflated instance is read whole."""
    total = 0
    previous = -1
    for placement in cut_placements(image.placements, region.positions):
        instance = instances[placement.instance]
        if instance.transfer_syntax_uid == syntaxes.DEFLATED:
            total += instance.encoded_bytes if placement.instance != previous else 0
        else:
            total += -(-instance.encoded_bytes * len(placement) // instance.number_of_frames)
        previous = placement.instance
    return total
