"""Images that stand until what follows them is whole: made anew aside, weighed, and then put in their places.

An image that grew, or of which a file has changed, isn't touched while another one is made that is to take its place. That
happens at the end of a run, for all such images, once nothing that they hold would be lost by it. Otherwise those that would
lose something stay for good (:func:`pipeline.runs.grow.given_back`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from pipeline import store
from pipeline.model import ImageSpec, Plan
from pipeline.output import flush, ledger, recorded_results
from pipeline.runs.conversion import Conversion
from pipeline.runs.preparation import save
from pipeline.runs.state import Prepared
from pipeline.storage import Carried, OutputDir

_AT_A_TIME = 16
"""Images looked at side by side."""


def working_plan(out: OutputDir, prepared: Prepared) -> Plan:
    """Return the plan with a mark at each image that is made aside, because another one still stands at its path."""
    if not prepared.standing.images:
        return prepared.plan
    paths = {image.path for image in prepared.standing.images}
    codes = recorded_results.images(out, prepared.id, prepared.plan)
    wanted = {n: image.path for n, image in enumerate(prepared.plan.images) if image.path in paths}
    aside = wanted.keys() - whole(out, {n: (path, codes[n]) for n, path in wanted.items() if n in codes})
    images = (replace(image, aside=True) if n in aside else image for n, image in enumerate(prepared.plan.images))
    return replace(prepared.plan, images=tuple(images))


def whole(out: OutputDir, images: Mapping[int, tuple[str, str]], *, aside: bool = False) -> set[int]:
    """Return those of some images, given as path and digest, that are in their places, or `aside`, as they were finished."""

    def is_whole(number: int) -> bool:
        path, code = images[number]
        return store.is_image(out, path, aside=aside) and (
            not code or store.image_digest(out, path, aside=aside) == code
        )

    with ThreadPoolExecutor(_AT_A_TIME, "dcm2zarr-images") as threads:
        return {n for n, found in zip(images, threads.map(Carried(is_whole), images), strict=True) if found}


def finish_replacing(out: OutputDir, prepared: Prepared) -> None:
    """Go on where a run was interrupted while new images took their places, and what stood there is gone already."""
    if not prepared.standing.images:
        return
    earlier = recorded_results.images(out, prepared.standing_id, prepared.standing)
    codes = recorded_results.images(out, prepared.id, prepared.plan)
    there = whole(out, {n: (image.path, earlier.get(n, "")) for n, image in enumerate(prepared.standing.images)})
    broken = {image.path for n, image in enumerate(prepared.standing.images) if n not in there}
    images = prepared.plan.images
    new = {n: (images[n].path, code) for n, code in codes.items() if images[n].path in broken}
    for number in sorted(whole(out, new, aside=True) - whole(out, new)):
        store.take_place(out, new[number][0])


def settle(out: OutputDir, prepared: Prepared, conversion: Conversion) -> Prepared:
    """Let the images that were made aside take their places, and remove those that have no successor.

    Where this is interrupted it is done again, until the plan that is kept knows of no standing images.

    Raises
    ------
    OutputError
        Where files can't be renamed, copied or removed.
    """
    if not prepared.standing.images:
        return prepared
    flush(out)  # what is to stay, before anything goes
    done = {image.path: image for n, image in enumerate(conversion.plan.images) if n in conversion.outcomes.complete}
    for image in done.values():
        if image.aside:
            store.take_place(out, image.path)
    flush(out)  # the new names, before the plan says that they are there
    left = {image.path for image in prepared.standing.images} - done.keys()
    paths = {image.path for image in prepared.plan.images}
    after = replace(prepared, standing=Plan((), (), ()), stale=tuple(sorted({*prepared.stale, *(left - paths)})))
    save(out, after)
    ledger.forget_others(out, after.id)
    for path in sorted(left):
        store.remove_stale(out, path)
    store.remove_replaced(out)
    return after


def losing(prepared: Prepared, out: OutputDir, conversion: Conversion) -> dict[int, set[int]]:
    """Return the standing images of which something isn't stored in those that follow them.

    Returns
    -------
    dict of int to set of int
        By position, the instances in which that should be.
    """
    if not prepared.standing.images:
        return {}
    replaced = prepared.replaced_instances()
    failed = conversion.outcomes.failures.keys() | {i for i, _ in prepared.plan.refused if i not in replaced}
    return _losing(
        prepared, out, complete=conversion.outcomes.complete, failed=failed, salvaged=conversion.outcomes.salvaged
    )


def losing_by(prepared: Prepared, out: OutputDir, sources: Collection[str]) -> set[int]:
    """Return the standing images that could lose something, now that files with these names can't be had again."""
    if not prepared.standing.images:
        return set()
    complete = recorded_results.images(out, prepared.id, prepared.plan).keys()
    return set(_losing(prepared, out, complete=complete, sources=sources))


def _losing(
    prepared: Prepared,
    out: OutputDir,
    *,
    complete: Collection[int],
    failed: Collection[int] = (),
    salvaged: Collection[int] = (),
    sources: Collection[str] | None = None,
) -> dict[int, set[int]]:
    """Find the standing images that hold a file of which no version, the same or a later one, is in a complete image.

    A file of which no later version is to be stored, such as one that became a copy, loses nothing. One that was salvaged
    may be followed by one that was.
    """
    instances, standing = prepared.plan.instances, prepared.standing.images
    image_of = {placement.instance: n for n, image in enumerate(prepared.plan.images) for placement in image.placements}
    earlier = recorded_results.outcomes(out, prepared.standing_id, prepared.standing)
    wanted = {instances[i].source for image in standing for i in members(image)}
    versions: defaultdict[str, list[int]] = defaultdict(list)
    for i, one in enumerate(instances):
        if one.source in wanted and (i in image_of or i in failed):
            versions[one.source].append(i)

    def lost(i: int) -> set[int]:
        source = instances[i].source
        if (i in earlier.failures and i not in earlier.salvaged) or (sources is not None and source not in sources):
            return set()
        bad = set(failed).difference(salvaged) if i in earlier.salvaged else failed
        later = {version for version in versions[source] if version >= i}
        return set() if any(image_of.get(v, -1) in complete and v not in bad for v in later) else later

    found = {n: set().union(*map(lost, members(image))) for n, image in enumerate(standing)}
    return {n: later for n, later in found.items() if later}


def members(image: ImageSpec) -> Iterable[int]:
    """Return the instances of an image, each once."""
    return dict.fromkeys(placement.instance for placement in image.placements)
