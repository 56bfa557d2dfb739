"""Extend a plan by files that have come or changed since: the new plan takes over the earlier one's finished work."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace

from pipeline import catalog
from pipeline.config import RunConfig
from pipeline.errors import OutputError
from pipeline.executors import Executor
from pipeline.model import Copy, Instance, Plan, TaskResult
from pipeline.output import Ledger, ledger, recorded_results
from pipeline.plan import Growth, concatenate_plans, digest, grow, restore_standing, select_images
from pipeline.runs.changes import Changes
from pipeline.runs.frozen_images import (
    find_irretrievable,
    find_kept_images,
    find_still_unfit,
    find_unfit,
    report_changes,
    scan_copies_of_changed,
)
from pipeline.runs.preparation import layout, save
from pipeline.runs.replacement import find_losing_by, working_plan
from pipeline.runs.scan_phase import Scan, find_duplicates
from pipeline.runs.state import Prepared, Run
from pipeline.runs.touched_files import adopt
from pipeline.storage import OutputDir


def has_failed_again(out: OutputDir, found: Scan, changes: Changes) -> bool:
    """Return whether retrying files brought nothing new, and nothing else has changed: nothing of the retry is kept then."""
    if found.instances or changes.returned or changes.replaced.keys() != changes.retried:
        return False
    rows = catalog.read_listing(out, found.segments)
    known = changes.replaced
    if any(source not in known or row.reason != known[source].reason for source, row in rows.items()):
        return False
    for segment in found.segments:
        out.segment(segment).remove()
    return True


def extend_plan(run: Run, before: Prepared, changes: Changes, found: Scan) -> Prepared:
    """Plan the instances `found` in new and changed files in addition to those of `before`, and save the result in its place.

    The earlier plan's finished work is recorded for the new plan before that is saved, so an interruption at any time leaves
    one of the two plans with all of its work.

    Raises
    ------
    OutputError
        If an earlier version made `before` without the patients' hashes (reason ``settings_changed``).
    """
    if not before.salt:
        raise OutputError(
            f"{run.out} was begun by an earlier version, which kept nothing that tells patients apart: files can't be added "
            "to it. Choose another output directory, or convert everything again with --overwrite",
            reason="settings_changed",
        )
    added = len(changes.new) - len(changes.changed)
    with run.clock.phase("scan"):
        unfit = find_unfit(run.out, found, changes)
        if losing := find_losing_by(before, run.out, {*changes.gone, *unfit}):
            before = give_back(run.out, before, losing, run.config, for_good=False)
        before, found, changes = adopt(run, before, found, changes)
        found, changes = scan_copies_of_changed(run, before, found, changes)
        replaced = (*before.replaced, *((earlier.segment, earlier.row) for earlier in changes.replaced.values()))
        others = replace(before, replaced=replaced).replaced_instances()
        lost = find_irretrievable(before, changes, others)
        copies, fresh = _divide(before, found, lost | others, run.executor)
    with run.clock.phase("plan"):
        run.progress.phase("plan", None)
        kept = find_kept_images(run.out, before, changes, unfit)
        growth = grow(before.plan, fresh, layout(run.config), lost, others, kept=kept)
        prepared = _join(before, found, changes, growth, copies)
        standing = _find_standing(run.out, before, growth)
        prepared = replace(
            prepared,
            added=added,
            standing=standing.plan,
            stale=_find_stale(before, growth.plan, standing.plan),
            kept=tuple(sorted(before.plan.images[number].path for number in kept)),
            unfit=find_still_unfit(before, prepared, unfit),
        )
        report_changes(run, before, changes, growth)
    _carry_over_records(run.out, before, prepared, growth, standing)
    save(run.out, prepared)
    ledger.forget_others(run.out, prepared.id, prepared.standing_id)
    return prepared


def give_back(
    out: OutputDir, before: Prepared, wanted: Collection[int], config: RunConfig, *, for_good: bool
) -> Prepared:
    """Keep standing images, given by position; the files that were to join them become images of their own.

    Unless `for_good`, the next run may make the images again. As in :func:`extend_plan`, an interruption leaves one of the two
    plans.
    """
    growth = restore_standing(before.plan, before.standing, wanted, layout(config), before.replaced_instances())
    images = len(before.plan.images)
    returned = {number - images for number in growth.images if number >= images}
    paths = {before.standing.images[number].path for number in returned}
    left = [images + number for number in range(len(before.standing.images)) if number not in returned]
    standing = select_images(concatenate_plans(before.plan, before.standing), left)
    prepared = replace(
        before,
        plan=growth.plan,
        id=_id(growth.plan, before),
        standing=standing.plan,
        stale=_find_stale(before, growth.plan, standing.plan),
        grown=tuple(path for path in before.grown if path not in paths),
        kept=tuple(sorted({*before.kept, *paths})) if for_good else before.kept,
    )
    _carry_over_records(out, before, prepared, growth, standing)
    save(out, prepared)
    ledger.forget_others(out, prepared.id, prepared.standing_id)
    return prepared


def _divide(before: Prepared, found: Scan, without: set[int], executor: Executor) -> tuple[list[Copy], list[Instance]]:
    """Divide the found instances into copies of stored files, and instances to store."""
    present = [instance for i, instance in enumerate(before.plan.instances) if i not in without]
    instances = [*present, *found.instances]
    copies = find_duplicates(instances, executor, first=len(present))
    fresh = [instance for i, instance in enumerate(found.instances, len(present)) if i not in copies]
    pairs = ((instances[copy], instances[kept].source) for copy, kept in copies.items())
    return [Copy(copy.segment, copy.row, copy.source, source) for copy, source in pairs], fresh


def _join(before: Prepared, found: Scan, changes: Changes, growth: Growth, copies: list[Copy]) -> Prepared:
    earlier = changes.replaced.values()
    replaced = {(file.segment, file.row) for file in earlier}
    counts = Counter(before.counts)
    counts.update(found.counts)
    counts.subtract((file.status, file.reason) for file in earlier)
    return replace(
        before,
        plan=growth.plan,
        id=_id(growth.plan, before),
        copies=(*(copy for copy in before.copies if (copy.segment, copy.row) not in replaced), *copies),
        counts=dict(+counts),
        segments=(*before.segments, *found.segments),
        files=before.files + found.files - len(earlier),
        bytes=before.bytes + found.bytes - sum(max(file.identity[0], 0) for file in earlier),
        replaced=(*before.replaced, *((file.segment, file.row) for file in earlier)),
        grown=growth.grown,
        changed=len(changes.changed),
    )


def _id(plan: Plan, before: Prepared) -> str:
    return digest(plan, json.dumps(dict(before.settings), sort_keys=True))


def _find_standing(out: OutputDir, before: Prepared, growth: Growth) -> Growth:
    """Return the images that stand until their replacements are whole: complete images that are no longer planned.

    Excludes images that were to replace others that still stand, and standing images that have been replaced.
    """
    plan, both = working_plan(out, before), concatenate_plans(before.plan, before.standing)
    complete = {
        number for number in recorded_results.images(out, before.id, before.plan) if not plan.images[number].aside
    }
    followed = {plan.images[number].path for number in complete}
    still = {n for n in range(len(plan.images), len(both.images)) if both.images[n].path not in followed}
    held = {i for number in still for i in both.images[number].members}
    left = {n for n in complete.intersection(growth.left) if held.isdisjoint(plan.images[n].members)}
    return select_images(both, left | still)


def _find_stale(before: Prepared, plan: Plan, standing: Plan) -> tuple[str, ...]:
    """Return the paths of all earlier images that are neither planned nor standing, and must be removed."""
    earlier = {image.path for image in (*before.plan.images, *before.standing.images)}
    return tuple(sorted({*before.stale, *earlier} - {image.path for image in (*plan.images, *standing.images)}))


@dataclass(frozen=True, slots=True)
class _Target:
    """A ledger that takes over records, and the plan that the records must fit."""

    book: Ledger
    follows: Growth


def _carry_over_records(out: OutputDir, before: Prepared, after: Prepared, growth: Growth, standing: Growth) -> None:
    """Record the earlier plan's finished work for the new plan and for the standing images, as far as it belongs to them."""
    with ExitStack() as books:
        targets = [
            _Target(books.enter_context(Ledger.open(out, name)), follows)
            for name, known, follows in (
                (after.id, before.id, growth),
                (after.standing_id, before.standing_id, standing),
            )
            if name != known and (follows.images or name == after.id)
        ]
        if targets:
            _copy_records(out, before.id, before.plan, targets)
            images, tasks = len(before.plan.images), len(before.plan.tasks)
            _copy_records(out, before.standing_id, before.standing, targets, first_image=images, first_task=tasks)


def _copy_records(
    out: OutputDir, name: str, plan: Plan, targets: list[_Target], *, first_image: int = 0, first_task: int = 0
) -> None:
    """Copy the records of one plan, whose images and tasks are numbered from these numbers on in the following plan."""
    stays = [
        {i for n, image in enumerate(plan.images, first_image) if n in target.follows.images for i in image.members}
        for target in targets
    ]
    for result in recorded_results.results(out, name, plan) if plan.images else ():
        for target, own in zip(targets, stays, strict=True):
            number = target.follows.tasks.get(result.task + first_task)
            if number is not None:
                target.book.append(_translate(result, number, target.follows.images, first_image, own))
    for image, code in recorded_results.images(out, name, plan).items() if plan.images else ():
        for target in targets:
            if image + first_image in target.follows.images:
                target.book.append_image(target.follows.images[image + first_image], code)


def _translate(
    result: TaskResult, number: int, images: Mapping[int, int], first_image: int, stays: set[int]
) -> TaskResult:
    """Return a result's parts that concern remaining images, with the new plan's numbers."""
    regions = ((images.get(r.image + first_image), r) for r in result.regions)
    return replace(
        result,
        task=number,
        regions=tuple(replace(region, image=image) for image, region in regions if image is not None),
        outcomes=tuple(outcome for outcome in result.outcomes if outcome.instance in stays),
    )
