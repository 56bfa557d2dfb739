"""Replace finished images by new ones: make them aside, compare, and then move them into place.

If an image grew, or a file of it has changed, it stays untouched while its replacement is made. The replacement takes its
place at the end of the run, together with all others, once it is certain that no content of the standing images is lost.
Images that would lose something stay for good (:func:`pipeline.runs.grow.give_back`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from pipeline import store
from pipeline.model import Plan
from pipeline.output import flush, ledger, recorded_results
from pipeline.runs.conversion import Conversion
from pipeline.runs.preparation import save
from pipeline.runs.state import Prepared
from pipeline.storage import Carried, OutputDir

_AT_A_TIME = 16
"""Images checked in parallel."""


def working_plan(out: OutputDir, prepared: Prepared) -> Plan:
    """Return the plan, in which images are marked that are made aside because another one still stands at their path."""
    if not prepared.standing.images:
        return prepared.plan
    paths = {image.path for image in prepared.standing.images}
    codes = recorded_results.images(out, prepared.id, prepared.plan)
    wanted = {n: image.path for n, image in enumerate(prepared.plan.images) if image.path in paths}
    aside = wanted.keys() - find_whole(out, {n: (path, codes[n]) for n, path in wanted.items() if n in codes})
    images = (replace(image, aside=True) if n in aside else image for n, image in enumerate(prepared.plan.images))
    return replace(prepared.plan, images=tuple(images))


def find_whole(out: OutputDir, images: Mapping[int, tuple[str, str]], *, aside: bool = False) -> set[int]:
    """Return those of some images, given as path and digest, that lie in their places, or `aside`, as they were finished."""

    def is_whole(number: int) -> bool:
        path, code = images[number]
        return store.is_image(out, path, aside=aside) and (
            not code or store.image_digest(out, path, aside=aside) == code
        )

    with ThreadPoolExecutor(_AT_A_TIME, "dcm2zarr-images") as threads:
        return {n for n, found in zip(images, threads.map(Carried(is_whole), images), strict=True) if found}


def finish_replacing(out: OutputDir, prepared: Prepared) -> None:
    """Finish an interrupted replacement, if images that stood there have already been removed."""
    if not prepared.standing.images:
        return
    earlier = recorded_results.images(out, prepared.standing_id, prepared.standing)
    codes = recorded_results.images(out, prepared.id, prepared.plan)
    there = find_whole(out, {n: (image.path, earlier.get(n, "")) for n, image in enumerate(prepared.standing.images)})
    broken = {image.path for n, image in enumerate(prepared.standing.images) if n not in there}
    images = prepared.plan.images
    new = {n: (images[n].path, code) for n, code in codes.items() if images[n].path in broken}
    for number in sorted(find_whole(out, new, aside=True) - find_whole(out, new)):
        store.take_place(out, new[number][0])


def settle(out: OutputDir, prepared: Prepared, conversion: Conversion) -> Prepared:
    """Move the images that were made aside into place, and remove the standing images that nothing replaces.

    If this is interrupted, it is done again until the saved plan has no standing images.

    Raises
    ------
    OutputError
        If files can't be renamed, copied or removed.
    """
    if not prepared.standing.images:
        return prepared
    flush(out)  # everything that stays, before anything is removed
    done = {image.path: image for n, image in enumerate(conversion.plan.images) if n in conversion.outcomes.complete}
    for image in done.values():
        if image.aside:
            store.take_place(out, image.path)
    flush(out)  # the new names, before the plan counts on them
    left = {image.path for image in prepared.standing.images} - done.keys()
    paths = {image.path for image in prepared.plan.images}
    after = replace(prepared, standing=Plan((), (), ()), stale=tuple(sorted({*prepared.stale, *(left - paths)})))
    save(out, after)
    ledger.forget_others(out, after.id)
    for path in sorted(left):
        store.remove_stale(out, path)
    store.remove_replaced(out)
    return after


def find_losing(prepared: Prepared, out: OutputDir, conversion: Conversion) -> dict[int, set[int]]:
    """Return the standing images with content that their replacements don't store.

    Returns
    -------
    dict of int to set of int
        By position, the instances that should store it.
    """
    if not prepared.standing.images:
        return {}
    replaced = prepared.replaced_instances()
    failed = conversion.outcomes.failures.keys() | {i for i, _ in prepared.plan.refused if i not in replaced}
    return _find_losing(
        prepared, out, complete=conversion.outcomes.complete, failed=failed, salvaged=conversion.outcomes.salvaged
    )


def find_losing_by(prepared: Prepared, out: OutputDir, sources: Collection[str]) -> set[int]:
    """Return the standing images that could lose content now that files with these names can't be read again."""
    if not prepared.standing.images:
        return set()
    complete = recorded_results.images(out, prepared.id, prepared.plan).keys()
    return set(_find_losing(prepared, out, complete=complete, sources=sources))


def _find_losing(
    prepared: Prepared,
    out: OutputDir,
    *,
    complete: Collection[int],
    failed: Collection[int] = (),
    salvaged: Collection[int] = (),
    sources: Collection[str] | None = None,
) -> dict[int, set[int]]:
    """Find the standing images that hold a file that is in no complete image, neither in the same nor in a later version.

    A file without a later version to store, such as one that became a copy, loses nothing. A salvaged file may be replaced
    by a salvaged one.
    """
    instances, standing = prepared.plan.instances, prepared.standing.images
    image_of = {placement.instance: n for n, image in enumerate(prepared.plan.images) for placement in image.placements}
    earlier = recorded_results.outcomes(out, prepared.standing_id, prepared.standing)
    wanted = {instances[i].source for image in standing for i in image.members}
    versions: defaultdict[str, list[int]] = defaultdict(list)
    for i, instance in enumerate(instances):
        if instance.source in wanted and (i in image_of or i in failed):
            versions[instance.source].append(i)

    def lost(i: int) -> set[int]:
        source = instances[i].source
        if (i in earlier.failures and i not in earlier.salvaged) or (sources is not None and source not in sources):
            return set()
        bad = set(failed).difference(salvaged) if i in earlier.salvaged else failed
        later = {version for version in versions[source] if version >= i}
        return set() if any(image_of.get(v, -1) in complete and v not in bad for v in later) else later

    found = {n: set().union(*map(lost, image.members)) for n, image in enumerate(standing)}
    return {n: later for n, later in found.items() if later}
