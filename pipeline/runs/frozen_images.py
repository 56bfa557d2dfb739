"""Find the images that must stay although their files have changed, and report what has changed.

An image isn't made again if that would lose data that can't be recovered: if an original is gone, or no longer holds anything
that can be stored. The changed files then become an image of their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from pipeline import catalog
from pipeline.catalog import KnownFile
from pipeline.output import recorded_results
from pipeline.plan import Growth
from pipeline.runs.changes import Changes, find_gone_instances, find_originals_of_lost_copies
from pipeline.runs.scan_phase import Scan, scan_more
from pipeline.runs.state import Prepared, Run, Unfit
from pipeline.storage import OutputDir

SOME = 10
"""Images and files that a message lists one by one."""


def find_unfit(out: OutputDir, found: Scan, changes: Changes) -> dict[str, KnownFile]:
    """Return earlier records, by source, of files that have been replaced by files with nothing to store."""
    if not changes.replaced:
        return {}
    rows = catalog.read_listing(out, found.segments)
    return {
        source: row
        for source, row in rows.items()
        if source in changes.replaced and row.status in {"failed", "rejected"}
    }


def scan_copies_of_changed(run: Run, before: Prepared, found: Scan, changes: Changes) -> tuple[Scan, Changes]:
    """Scan also the left-out copies of changed files: their content may exist nowhere else any more."""
    changed = {change.file.source for change in changes.changed}
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


def find_irretrievable(before: Prepared, changes: Changes, replaced: Collection[int]) -> set[int]:
    """Return the instances, by position, that can't be read again: their files are gone, or their copies are.

    The latter are instances among the `replaced`, that is, of changed files, whose left-out copy is gone.
    """
    copied = find_originals_of_lost_copies(before, changes.gone)
    lost = (i for i in replaced if before.plan.instances[i].source in copied)
    return {*find_gone_instances(before, changes.gone), *lost}


def find_kept_images(out: OutputDir, before: Prepared, changes: Changes, unfit: Collection[str]) -> set[int]:
    """Return the images that hold earlier content of `unfit` files, and those kept earlier whose files haven't changed since."""
    unfit = {*unfit, *(file.source for file in before.unfit if file.source not in changes.replaced)}
    if not (unfit or before.kept):
        return set()
    instances, outcomes = before.plan.instances, recorded_results.outcomes(out, before.id, before.plan)
    empty = outcomes.failures.keys() - outcomes.salvaged.keys()
    kept: set[int] = set()
    for number, image in enumerate(before.plan.images):
        own = set(image.members)
        unchanged = image.path in before.kept and not any(instances[i].source in changes.replaced for i in own)
        if unchanged or (number in outcomes.complete and any(instances[i].source in unfit for i in own - empty)):
            kept.add(number)
    return kept


def find_still_unfit(before: Prepared, after: Prepared, unfit: Mapping[str, KnownFile]) -> tuple[Unfit, ...]:
    """Return the files that have nothing to store while an image of the new plan keeps their earlier content."""
    rows = (Unfit(row.segment, row.row, source, row.status, row.reason) for source, row in unfit.items())
    held = find_frozen_files(after)
    known = {file.source: file for file in before.unfit if (file.segment, file.row) not in after.replaced}
    return tuple(file for file in (*known.values(), *rows) if file.source in held)


def find_frozen_files(prepared: Prepared, failed: Collection[int] = ()) -> dict[str, str]:
    """Return the changed files whose earlier content an image keeps: source → path of the image.

    Instances that `failed`, given by position, have no content in an image.
    """
    plan, replaced = prepared.plan, prepared.replaced_instances().difference(failed)
    if not replaced:
        return {}
    return {plan.instances[i].source: image.path for image in plan.images for i in image.members if i in replaced}


def report_changes(run: Run, before: Prepared, changes: Changes, growth: Growth) -> None:
    """Report what has changed, and what happens to the images concerned."""
    if changes.changed:
        told = _join_some([f"{change.file.source} ({change.how})" for change in changes.changed], "; ")
        run.progress.message(f"{len(changes.changed)} file(s) have changed since they were scanned: {told}")
    rows = {(change.earlier.segment, change.earlier.row) for change in changes.changed}
    counts: Counter[int] = Counter()
    for number, image in enumerate(before.plan.images if rows else ()):
        own = (before.plan.instances[i] for i in image.members)
        counts[number] = sum((instance.segment, instance.row) in rows for instance in own)
    for line in _limit_lines(_image_lines(before, +counts, growth)):
        run.progress.message(line)


def _image_lines(before: Prepared, counts: Mapping[int, int], growth: Growth) -> Iterator[str]:
    for number, count in counts.items():
        path = before.plan.images[number].path
        if number in growth.images:
            yield frozen_message(path, count)
        else:
            yield f"{path} is made again, because {count} of its files changed"
    redone = {before.plan.images[number].path for number in counts}
    yield from (f"{path} has grown and is made again" for path in growth.grown if path not in redone)


def frozen_message(path: str, count: int) -> str:
    """Return the message about an image that stays although files of it have changed."""
    return (
        f"image_frozen: {path} stays as it is, because originals of it are gone or can no longer be stored; it keeps the "
        f"earlier content of {count} changed file(s), and their new content isn't added to it"
    )


def kept_back_message(path: str) -> str:
    """Return the message about an image that stays because the image that was to replace it lacks something."""
    return (
        f"image_frozen: {path} stays as it is, because not all of its content could be stored again; new and changed files "
        "are in images of their own"
    )


def _join_some(texts: list[str], joint: str) -> str:
    more = f" and {len(texts) - SOME} more" if len(texts) > SOME else ""
    return f"{joint.join(texts[:SOME])}{more}"


def _limit_lines(lines: Iterator[str]) -> Iterator[str]:
    all_lines = list(lines)
    yield from all_lines[:SOME]
    if len(all_lines) > SOME:
        yield f"… and {len(all_lines) - SOME} more images"
