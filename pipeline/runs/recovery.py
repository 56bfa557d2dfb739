"""Going on from what an earlier run recorded, after a look at whether it is all still there."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from pipeline import store
from pipeline.errors import RETRIED, OutputError, SourceError
from pipeline.model import Instance, Plan, RegionResult, TaskResult, local_path
from pipeline.output import ledger, recorded_results
from pipeline.plan import task_input
from pipeline.runs.conversion import Conversion
from pipeline.runs.state import Prepared
from pipeline.scan import digest, is_readable, look_at
from pipeline.storage import Carried, OutputDir, is_remote

_AT_A_TIME = 16
"""Images looked at side by side."""


@dataclass(slots=True)
class _Records:
    """What the ledger has on each task: which of its records counts, and whether its shards are there."""

    last: dict[int, int] = field(default_factory=dict)
    """Task → how many records of it there are; the last one counts."""
    whole: set[int] = field(default_factory=set)


def restore(
    conversion: Conversion, prepared: Prepared, only: Collection[int] | None = None, *, retrying: bool = True
) -> int:
    """Take into `conversion` the finished tasks and images of earlier runs; returns how many tasks these are.

    A task of which a shard has vanished or has another size isn't finished, nor is one with a file that failed for a
    reason outside of it; nor is an image with such a task: it is closed to readers until it is complete again. Costs a look
    at each shard's size; reads the ledger twice, so that only unfinished images' checksums are ever held.

    `only` are the numbers of the tasks to look at, where others work on the rest: no image is touched then. Without
    `retrying`, a task counts as finished whatever a file of it failed for.

    Raises
    ------
    OutputError
        Where a shard would have to be made again whose originals are gone (reason ``originals_gone``).
    """
    out, plan = conversion.job.out, conversion.plan
    found = _look(out, prepared.id, plan, only, retrying=retrying)
    for task in found.last.keys() - found.whole:
        _check_originals(plan, task)
    if only is None:
        conversion.outcomes.complete |= _complete(out, prepared.id, plan, found)
        for image, spec in enumerate(plan.images):
            if image not in conversion.outcomes.complete:
                store.withdraw_image(out, spec.path, aside=spec.aside)
    for result in recorded_results.latest_results(out, prepared.id, plan, found.last):
        if result.task in found.whole:
            conversion.restore(result)
    return len(found.whole)


def _look(out: OutputDir, plan_id: str, plan: Plan, only: Collection[int] | None, *, retrying: bool) -> _Records:
    found = _Records()
    missing: dict[int, set[int]] = {}
    """By task, images of which a shard isn't there."""
    failed: dict[int, set[int]] = {}
    """By task, instances of which nothing counts."""
    for result in recorded_results.results(out, plan_id, plan):
        if only is not None and result.task not in only:
            continue
        task = result.task
        found.last[task] = found.last.get(task, 0) + 1
        _note(missing, task, {region.image for region in result.regions if not _is_there(out, plan, region)})
        _note(failed, task, {one.instance for one in result.outcomes if one.failure and not one.failure.salvaged})
        found.whole.discard(task)
        if not (retrying and _worth_another_try(plan, result)):
            found.whole.add(task)
    lost = set().union(*failed.values())
    # of an image of which nothing could be stored, nothing is kept
    found.whole -= {task for task, images in missing.items() if any(not _is_discarded(plan, n, lost) for n in images)}
    return found


def _note(by_task: dict[int, set[int]], task: int, found: set[int]) -> None:
    """Keep what the last record of a task says, where it says anything."""
    by_task.pop(task, None)
    if found:
        by_task[task] = found


def _is_discarded(plan: Plan, image: int, failed: set[int]) -> bool:
    return all(placement.instance in failed for placement in plan.images[image].placements)


def _is_there(out: OutputDir, plan: Plan, region: RegionResult) -> bool:
    """Whether a region's shard has the size that was recorded; one without a valid frame needn't exist."""
    spec = plan.images[region.image]
    shard = spec.grid.shard_of(region.start)
    return not region.stored_bytes or region.stored_bytes == store.shard_size(out, spec, shard)


def _worth_another_try(plan: Plan, result: TaskResult) -> bool:
    """Whether a file failed for a reason that may be gone, and all files of the task can be read now."""
    failed = {one.instance for one in result.outcomes if one.failure and one.failure.reason in RETRIED}
    if not failed or not all(_original_is_there(one) for one in _instances(plan, result.task)):
        return False
    return any(is_readable(plan.instances[i].source) for i in failed)


def _check_originals(plan: Plan, task: int) -> None:
    """Refuse to write shards again whose originals are gone: what is left of them would be lost too."""
    for one in _instances(plan, task):
        if not _original_is_there(one):
            path = plan.images[plan.tasks[task].regions[0].image].path
            raise OutputError(
                f"{OutputDir.IMAGES}/{path}: a shard that was written is missing or has another size, and can't be made again, "
                f"because {one.source} is gone or has changed. Put back the file or the shard; 'dcm2zarr verify' lists "
                "all that is damaged",
                reason="originals_gone",
            )


def _instances(plan: Plan, task: int) -> list[Instance]:
    return [one for region in task_input(plan, plan.tasks[task]).regions for one in region.instances.values()]


def _original_is_there(one: Instance) -> bool:
    """Whether a local file is as it was scanned, or only touched since; of others it is taken for granted."""
    if is_remote(one.source):
        return True
    found = look_at(local_path(one.source))
    if (found.size, found.mtime_ns) == (one.size, one.mtime_ns):
        return True
    if found.size != one.size or not one.sha256:
        return False
    try:
        return digest(one.source) == one.sha256
    except SourceError:
        return False


def _complete(out: OutputDir, plan_id: str, plan: Plan, found: _Records) -> set[int]:
    """Return the images that were finalised, are there, and of which every task is finished.

    A run that ended has brought its images to the disk. Where the last one didn't, its machine may have lost power, and
    with it what was written last: then the files beside the shards, which aren't many, are held against their digest.
    """
    broken = {region.image for task in plan.tasks if task.id not in found.whole for region in task.regions}
    finalised = {
        image: code for image, code in recorded_results.images(out, plan_id, plan).items() if image not in broken
    }
    trusted = out.is_remote or bool(ledger.files(out, plan_id, at_the_end=True))

    def is_whole(image: int) -> bool:
        spec, code = plan.images[image], finalised[image]
        if not store.is_image(out, spec.path, aside=spec.aside):
            return False
        return trusted or not code or store.image_digest(out, spec.path, aside=spec.aside) == code

    with ThreadPoolExecutor(_AT_A_TIME, "dcm2zarr-images") as threads:
        checked = threads.map(Carried(is_whole), finalised)
        return {image for image, whole in zip(finalised, checked, strict=True) if whole}
