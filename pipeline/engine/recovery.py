"""Going on from what an earlier run recorded, after a look at whether it is all still there."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from pipeline import ledger, store
from pipeline.engine.converting import Conversion
from pipeline.engine.state import Prepared
from pipeline.model import Plan, RegionResult


@dataclass(slots=True)
class _Records:
    """What the ledger has on each task: which of its records counts, and whether its shards are there."""

    last: dict[int, int] = field(default_factory=dict)
    """Task → how many records of it there are; the last one counts."""
    whole: set[int] = field(default_factory=set)


def restore(conversion: Conversion, prepared: Prepared) -> int:
    """Take into `conversion` the finished tasks and images of earlier runs; returns how many tasks these are.

    A task of which a shard has vanished or has another size isn't finished, nor is an image with such a task: it is
    closed to readers until it is complete again. Costs a look at each shard's size; reads the ledger twice, so that
    only unfinished images' checksums are ever held.
    """
    out, plan = conversion.job.out, prepared.plan
    records = _look(out, prepared)
    conversion.complete |= _complete(out, prepared, records)
    for image, spec in enumerate(plan.images):
        if image not in conversion.complete:
            store.withdraw_image(out, spec.path)
    seen: defaultdict[int, int] = defaultdict(int)
    for result in ledger.results(out, prepared.id):
        seen[result.task] += 1
        if result.task in records.whole and seen[result.task] == records.last[result.task]:
            conversion.absorb(result)
    return len(records.whole)


def _look(out: str, prepared: Prepared) -> _Records:
    records = _Records()
    for result in ledger.results(out, prepared.id):
        records.last[result.task] = records.last.get(result.task, 0) + 1
        if all(_is_there(out, prepared.plan, region) for region in result.regions):
            records.whole.add(result.task)
        else:
            records.whole.discard(result.task)
    return records


def _is_there(out: str, plan: Plan, region: RegionResult) -> bool:
    """Whether a region's shard has the size that was recorded; one without a valid frame needn't exist."""
    return not region.stored_bytes or region.stored_bytes == store.shard_size(
        out, plan.images[region.image], region.frame_start
    )


def _complete(out: str, prepared: Prepared, records: _Records) -> set[int]:
    """Return the images that were finalised, are there, and of which every task is finished."""
    broken = {region.image for task in prepared.plan.tasks if task.id not in records.whole for region in task.regions}
    finalised = ledger.images(out, prepared.id).keys() - broken
    return {image for image in finalised if store.is_image(out, prepared.plan.images[image].path)}
