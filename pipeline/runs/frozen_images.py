"""Files that have changed since they were stored: which images stay because of it, and what is told.

An image isn't made anew where that would lose what can't be had again: where an original is gone, or holds nothing any
more that can be stored. What has changed then becomes an image of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from pipeline import catalog
from pipeline.catalog import KnownFile
from pipeline.output import recorded_results
from pipeline.plan import Growth
from pipeline.runs.changes import Changes, instances_gone, promised
from pipeline.runs.replacement import members
from pipeline.runs.scan_phase import Scan, scan_more
from pipeline.runs.state import Prepared, Run, Unfit
from pipeline.storage import OutputDir

SOME = 10
"""Images and files that are told one by one."""


def unfit_now(out: OutputDir, found: Scan, changes: Changes) -> dict[str, KnownFile]:
    """Return the files that were others before, and hold nothing now that can be stored; by source."""
    if not changes.replaced:
        return {}
    rows = catalog.read_listing(out, found.segments)
    return {
        source: row
        for source, row in rows.items()
        if source in changes.replaced and row.status in {"failed", "rejected"}
    }


def with_copies(run: Run, before: Prepared, found: Scan, changes: Changes) -> tuple[Scan, Changes]:
    """Scan also what was left out as a copy of a file that has changed: what it holds may be nowhere else any more."""
    changed = {one.file.source for one in changes.changed}
    again = {
        copy.source: changes.copies[copy.source]
        for copy in before.copies
        if copy.kept in changed and copy.source in changes.copies and copy.source not in changes.replaced
    }
    if not again:
        return found, changes
    first = max((*before.segments, *found.segments)) + 1
    files = (file for file, _ in again.values())
    more = scan_more(run, before, files, first)
    earlier = {source: known for source, (_, known) in again.items()}
    return found.with_more(more), replace(changes, replaced=changes.replaced | earlier)


def irretrievable(before: Prepared, changes: Changes, replaced: Collection[int]) -> set[int]:
    """Return the instances, by position, that can't be had again: of files that are gone, or that were copied.

    These have changed, are among the `replaced`, and a copy of them that was left out is gone.
    """
    copied = promised(before, changes.gone)
    lost = (i for i in replaced if before.plan.instances[i].source in copied)
    return {*instances_gone(before, changes.gone), *lost}


def kept_images(out: OutputDir, before: Prepared, changes: Changes, unfit: Collection[str]) -> set[int]:
    """Return the images that hold what `unfit` files held before, and those that were kept once and haven't changed."""
    unfit = {*unfit, *(one.source for one in before.unfit if one.source not in changes.replaced)}
    if not (unfit or before.kept):
        return set()
    instances, outcomes = before.plan.instances, recorded_results.outcomes(out, before.id, before.plan)
    empty = outcomes.failures.keys() - outcomes.salvaged.keys()
    kept: set[int] = set()
    for number, image in enumerate(before.plan.images):
        own = set(members(image))
        unchanged = image.path in before.kept and not any(instances[i].source in changes.replaced for i in own)
        if unchanged or (number in outcomes.complete and any(instances[i].source in unfit for i in own - empty)):
            kept.add(number)
    return kept


def still_unfit(before: Prepared, after: Prepared, unfit: Mapping[str, KnownFile]) -> tuple[Unfit, ...]:
    """Return which files hold nothing to store while an image of the plan that follows keeps what they held before."""
    rows = (Unfit(row.segment, row.row, source, row.status, row.reason) for source, row in unfit.items())
    held = held_before(after)
    known = {one.source: one for one in before.unfit if (one.segment, one.row) not in after.replaced}
    return tuple(one for one in (*known.values(), *rows) if one.source in held)


def held_before(prepared: Prepared, failed: Collection[int] = ()) -> dict[str, str]:
    """Return the files that have changed while an image keeps what they held before: source → path of the image.

    Of instances that `failed`, given by position, it keeps nothing.
    """
    plan, replaced = prepared.plan, prepared.replaced_instances().difference(failed)
    if not replaced:
        return {}
    return {plan.instances[i].source: image.path for image in plan.images for i in members(image) if i in replaced}


def tell(run: Run, before: Prepared, changes: Changes, growth: Growth) -> None:
    """Say what has changed, and what becomes of the images that it belongs to."""
    if changes.changed:
        told = _some([f"{one.file.source} ({one.how})" for one in changes.changed], "; ")
        run.progress.message(f"{len(changes.changed)} file(s) have changed since they were scanned: {told}")
    rows = {(one.earlier.segment, one.earlier.row) for one in changes.changed}
    counts: Counter[int] = Counter()
    for number, image in enumerate(before.plan.images if rows else ()):
        own = (before.plan.instances[i] for i in members(image))
        counts[number] = sum((one.segment, one.row) in rows for one in own)
    for line in _some_lines(_of_images(before, +counts, growth)):
        run.progress.message(line)


def _of_images(before: Prepared, counts: Mapping[int, int], growth: Growth) -> Iterator[str]:
    for number, count in counts.items():
        path = before.plan.images[number].path
        if number in growth.images:
            yield frozen(path, count)
        else:
            yield f"{path} is made anew, because {count} of its files changed"
    redone = {before.plan.images[number].path for number in counts}
    yield from (f"{path} has grown and is made anew" for path in growth.grown if path not in redone)


def frozen(path: str, count: int) -> str:
    """Return what is told of an image that stays although files of it have changed."""
    return (
        f"image_frozen: {path} stays as it is, because originals of it are gone or can't be stored any more; it keeps what "
        f"{count} changed file(s) held before, and what they hold now isn't added to it"
    )


def kept_back(path: str) -> str:
    """Return what is told of an image that stays because the one that was to take its place lacks something."""
    return (
        f"image_frozen: {path} stays as it is, because not all that it holds could be stored anew; what has come or changed "
        "is in images of its own"
    )


def _some(texts: list[str], joint: str) -> str:
    more = f" and {len(texts) - SOME} more" if len(texts) > SOME else ""
    return f"{joint.join(texts[:SOME])}{more}"


def _some_lines(lines: Iterator[str]) -> Iterator[str]:
    all_lines = list(lines)
    yield from all_lines[:SOME]
    if len(all_lines) > SOME:
        yield f"… and {len(all_lines) - SOME} more images"
