"""The digest that tells one plan from another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from pipeline.model import Plan, without_collections


@without_collections
def digest(plan: Plan, *settings: str) -> str:
    """Return a SHA-256, in hexadecimal digits, of everything that decides which tasks write what where.

    Two plans with the same digest have the same instances (including source, size and time of change) at the same
    positions, the same images and the same tasks, so finished work of one plan counts for the other.

    Parameters
    ----------
    plan : Plan
        The plan.
    *settings : str
        Further settings that decide what is written, such as the codec and the decoding options.
    """
    sha = hashlib.sha256()
    for part in _parts(plan, settings):
        sha.update(repr(part).encode("utf-8", "surrogateescape"))
    return sha.hexdigest()


def _parts(plan: Plan, settings: tuple[str, ...]) -> Iterator[object]:
    yield settings
    for instance in plan.instances:
        yield (
            instance.source,
            instance.size,
            instance.mtime_ns,
            instance.sop_instance_uid,
            instance.transfer_syntax_uid,
            instance.number_of_frames,
        )
    for image in plan.images:
        yield image.path, image.shape, image.format.dtype, image.chunks, image.shards, image.order
        for placement in image.placements:
            yield placement.instance, placement.start, placement.stop, placement.step, placement.position
    for task in plan.tasks:
        yield task.id, [(region.image, region.start, region.stop) for region in task.regions]
