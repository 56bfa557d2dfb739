"""Resume from an earlier run's records, after checking that the files they describe still exist."""

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
"""Images checked in parallel."""


@dataclass(slots=True)
class _Records:
    """The ledger's records of each task: which record counts, and whether its shards exist."""

    last: dict[int, int] = field(default_factory=dict)
    """Task → number of its records; the last one counts."""
    whole: set[int] = field(default_factory=set)


def restore(
    conversion: Conversion, prepared: Prepared, only: Collection[int] | None = None, *, retrying: bool = True
) -> int:
    """Take the finished tasks and images of earlier runs into `conversion`; return the number of these tasks.

    A task isn't finished if one of its shards has vanished or has another size, or if one of its files failed for a reason
    outside the file; nor is an image with such a task: it is closed to readers until it is complete again. Costs a look
    at each shard's size; reads the ledger twice, so that only unfinished images' checksums are held in memory.

    `only` are the numbers of the tasks to check, if others work on the rest: no image is changed then. Without
    `retrying`, a task counts as finished whatever the reason of a failed file.

    Raises
    ------
    OutputError
        If a shard has to be made again, but its originals are gone (reason ``originals_gone``).
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
    """By task, images with a missing shard."""
    failed: dict[int, set[int]] = {}
    """By task, instances without a valid frame."""
    for result in recorded_results.results(out, plan_id, plan):
        if only is not None and result.task not in only:
            continue
        task = result.task
        found.last[task] = found.last.get(task, 0) + 1
        _note(missing, task, {region.image for region in result.regions if not _is_there(out, plan, region)})
        _note(
            failed,
            task,
            {outcome.instance for outcome in result.outcomes if outcome.failure and not outcome.failure.salvaged},
        )
        found.whole.discard(task)
        if not (retrying and _is_worth_another_try(plan, result)):
            found.whole.add(task)
    lost = set().union(*failed.values())
    # Nothing is kept of an image that couldn't be stored at all.
    found.whole -= {task for task, images in missing.items() if any(not _is_discarded(plan, n, lost) for n in images)}
    return found


def _note(by_task: dict[int, set[int]], task: int, found: set[int]) -> None:
    """Keep the numbers in a task's last record, if there are any."""
    by_task.pop(task, None)
    if found:
        by_task[task] = found


def _is_discarded(plan: Plan, image: int, failed: set[int]) -> bool:
    return all(placement.instance in failed for placement in plan.images[image].placements)


def _is_there(out: OutputDir, plan: Plan, region: RegionResult) -> bool:
    """Return whether a region's shard has the recorded size; a shard without a valid frame needn't exist."""
    spec = plan.images[region.image]
    shard = spec.grid.shard_of(region.start)
    return not region.stored_bytes or region.stored_bytes == store.shard_size(out, spec, shard)


def _is_worth_another_try(plan: Plan, result: TaskResult) -> bool:
    """Return whether a file failed for a reason that may have passed, and all files of the task can be read now."""
    failed = {outcome.instance for outcome in result.outcomes if outcome.failure and outcome.failure.reason in RETRIED}
    if not failed or not all(_original_is_there(instance) for instance in _instances(plan, result.task)):
        return False
    return any(is_readable(plan.instances[i].source) for i in failed)


def _check_originals(plan: Plan, task: int) -> None:
    """Refuse to write shards again whose originals are gone: their remaining data would be lost too."""
    for instance in _instances(plan, task):
        if not _original_is_there(instance):
            path = plan.images[plan.tasks[task].regions[0].image].path
            raise OutputError(
                f"{OutputDir.IMAGES}/{path}: a shard is missing or has another size, and can't be made again, "
                f"because {instance.source} is gone or has changed. Restore the file or the shard; 'dcm2zarr verify' lists "
                "all damage",
                reason="originals_gone",
            )


def _instances(plan: Plan, task: int) -> list[Instance]:
    return [instance for region in task_input(plan, plan.tasks[task]).regions for instance in region.instances.values()]


def _original_is_there(instance: Instance) -> bool:
    """Return whether a local file is as it was scanned, or only touched since; True for remote files, without a look."""
    if is_remote(instance.source):
        return True
    found = look_at(local_path(instance.source))
    if (found.size, found.mtime_ns) == (instance.size, instance.mtime_ns):
        return True
    if found.size != instance.size or not instance.sha256:
        return False
    try:
        return digest(instance.source) == instance.sha256
    except SourceError:
        return False


def _complete(out: OutputDir, plan_id: str, plan: Plan, found: _Records) -> set[int]:
    """Return the images that were finalised, still exist, and whose tasks are all finished.

    A run that ended has flushed its images to the disk. If the last run didn't end, its machine may have lost power, and
    with it the latest writes: then the few files beside the shards are checked against their digest.
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
