"""What tells one plan from another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from pipeline.model import Plan, without_collections


@without_collections
def digest(plan: Plan, *settings: str) -> str:
    """Return a SHA-256, in hexadecimal, of all that decides what the plan's tasks write where.

    Two plans with one digest have the same instances (source, size and time of change included) at the same
    positions, the same images and the same tasks, so that finished work of the one counts for the other.

    Parameters
    ----------
    plan : Plan
        The plan.
    *settings : str
        More that decides what is written, such as the codec and the decoding options.
    """
    sha = hashlib.sha256()
    for part in _parts(plan, settings):
        sha.update(repr(part).encode("utf-8", "surrogateescape"))
    return sha.hexdigest()


def _parts(plan: Plan, settings: tuple[str, ...]) -> Iterator[object]:
    yield settings
    for one in plan.instances:
        yield one.source, one.size, one.mtime_ns, one.sop_instance_uid, one.transfer_syntax_uid, one.number_of_frames
    for image in plan.images:
        yield image.path, image.shape, image.format.dtype, image.chunks, image.shards, image.order
        for placement in image.placements:
            yield placement.instance, placement.start, placement.stop, placement.step, placement.position
    for task in plan.tasks:
        yield task.id, [(region.image, region.start, region.stop) for region in task.regions]
