"""Going on with files that have come since: a plan that follows the earlier one and takes over its finished work."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from pipeline import ledger
from pipeline.engine import recorded
from pipeline.engine.executors import Executor
from pipeline.engine.listing import Changes, instances_gone
from pipeline.engine.preparing import layout, save
from pipeline.engine.scanning import Scan, find_duplicates, scan_files
from pipeline.engine.state import Prepared, Run
from pipeline.ledger import Ledger
from pipeline.model import Copy, Instance, TaskResult
from pipeline.plan import Growth, digest, grow
from pipeline.storage import Place


def grown(run: Run, before: Prepared, changes: Changes) -> Prepared:
    """Scan the new files, plan them in addition to what `before` holds, and keep that in its place.

    The finished work of the earlier plan is recorded for the new one before that is kept: whenever this is interrupted,
    one of the two holds, with all of its work.
    """
    with run.clock.phase("scan"):
        first = max(before.segments, default=-1) + 1
        found = scan_files(iter(changes.new), run.config, run.out, run.executor, run.progress, first=first)
        gone = set(instances_gone(before, changes.gone))
        copies, fresh = _divide(before, found, gone, run.executor)
    with run.clock.phase("plan"):
        run.progress.phase("plan", None)
        replaced = {(earlier.segment, earlier.row) for earlier in changes.replaced}
        others = {i for i, one in enumerate(before.plan.instances) if (one.segment, one.row) in replaced}
        growth = grow(before.plan, fresh, layout(run.config), gone, others)
        prepared = _joined(before, found, changes, growth, copies)
    if prepared.id != before.id:  # files that give no image to store leave the plan, and with it its ledger
        _carry(run.out, before, prepared, growth)
    save(run.out, prepared)
    ledger.forget_others(run.out, prepared.id)
    return prepared


def _divide(before: Prepared, found: Scan, gone: set[int], executor: Executor) -> tuple[list[Copy], list[Instance]]:
    """Divide what was found into copies of files that there are, and instances to store."""
    present = [one for i, one in enumerate(before.plan.instances) if i not in gone]
    together = [*present, *found.instances]
    copies = find_duplicates(together, executor, first=len(present))
    fresh = [one for i, one in enumerate(found.instances, len(present)) if i not in copies]
    pairs = ((together[copy], together[kept].source) for copy, kept in copies.items())
    return [Copy(copy.segment, copy.row, copy.source, source) for copy, source in pairs], fresh


def _joined(before: Prepared, found: Scan, changes: Changes, growth: Growth, copies: list[Copy]) -> Prepared:
    paths = {image.path for image in growth.plan.images}
    counts = Counter(before.counts)
    counts.update(found.counts)
    counts.subtract((earlier.status, earlier.reason) for earlier in changes.replaced)
    return replace(
        before,
        plan=growth.plan,
        id=digest(growth.plan, json.dumps(dict(before.settings), sort_keys=True)),
        copies=(*before.copies, *copies),
        counts=dict(+counts),
        segments=(*before.segments, *found.segments),
        files=before.files + found.files - len(changes.replaced),
        bytes=before.bytes + found.bytes - sum(max(earlier.identity[0], 0) for earlier in changes.replaced),
        replaced=(*before.replaced, *((earlier.segment, earlier.row) for earlier in changes.replaced)),
        stale=tuple(sorted({*before.stale, *growth.stale} - paths)),
        grown=growth.grown,
        added=found.files,
    )


def _carry(out: Place, before: Prepared, after: Prepared, growth: Growth) -> None:
    """Record the finished work of the earlier plan, as far as it is work of the new one, for the new one."""
    stays = {span.instance for image in growth.images for span in before.plan.images[image].spans}
    with Ledger.open(str(out), after.id) as book:
        for result in recorded.results(out, before):
            if result.task in growth.tasks:
                book.append(_translated(result, growth.images, growth.tasks, stays))
        for image, code in recorded.images(out, before).items():
            if image in growth.images:
                book.append_image(growth.images[image], code)


def _translated(result: TaskResult, images: Mapping[int, int], tasks: Mapping[int, int], stays: set[int]) -> TaskResult:
    """Return what a result says of images that stay, under the new plan's numbers."""
    return replace(
        result,
        task=tasks[result.task],
        regions=tuple(replace(r, image=images[r.image]) for r in result.regions if r.image in images),
        outcomes=tuple(one for one in result.outcomes if one.instance in stays),
    )
