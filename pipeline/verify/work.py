"""Cut the checks into tasks of about a second, and run these tasks in workers."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import TypeVar

from pipeline.storage import OutputDir
from pipeline.verify.expected import ExpectedResult, without_placements
from pipeline.verify.metadata import ImageCheck, check_image
from pipeline.verify.problems import Findings, Problem
from pipeline.verify.stored_pixels import ShardCheck, check_shard

Check = ImageCheck | ShardCheck
T = TypeVar("T")
TASK_BYTES = 64 * 2**20
"""Decoded bytes that a task reads, unless one shard has more."""
TASK_CHECKS = 64


def store_checks(expected: ExpectedResult, sample: int | None = None, seed: int = 0) -> Iterator[tuple[Check, ...]]:
    """Yield the checks of all complete images, in tasks.

    Parameters
    ----------
    expected : ExpectedResult
    sample : int, optional
        Number of frames to decode, chosen by `seed`; all by default. Everything else is always checked.
    seed : int
    """
    chosen = None if sample is None else _sample(expected, sample, seed)
    yield from group_into_tasks(_checks(expected, chosen))


def group_into_tasks(checks: Iterable[tuple[T, int]]) -> Iterator[tuple[T, ...]]:
    """Group checks, given with the bytes that each decodes, into tasks."""
    batch: list[T] = []
    size = 0
    for check, cost in checks:
        if batch and (size + cost > TASK_BYTES or len(batch) >= TASK_CHECKS):
            yield tuple(batch)
            batch, size = [], 0
        batch.append(check)
        size += cost
    if batch:
        yield tuple(batch)


def _checks(expected: ExpectedResult, chosen: dict[int, set[int]] | None) -> Iterator[tuple[Check, int]]:
    for image, spec in enumerate(expected.plan.images):
        if not expected.is_complete(image):
            continue
        yield ImageCheck(expected.finalising(image), expected.finished.image_digests.get(image, "")), 0
        layout = without_placements(spec)
        for region in expected.outcomes.regions(image):
            frames = region.positions
            if chosen is None:
                yield ShardCheck(image, layout, region), len(frames) * spec.format.frame_bytes
            elif only := chosen.get(image, set()).intersection(frames):
                yield ShardCheck(image, layout, region, frozenset(only)), len(only) * spec.format.frame_bytes


def _sample(expected: ExpectedResult, count: int, seed: int) -> dict[int, set[int]]:
    """Choose frames of complete images; return image → frames."""
    images = [image for image in range(len(expected.plan.images)) if expected.is_complete(image)]
    starts = list(accumulate((expected.plan.images[image].frames for image in images), initial=0))
    # Not for secrets: the same seed must give the same frames.
    picked = random.Random(seed).sample(range(starts[-1]), min(count, starts[-1]))  # noqa: S311
    chosen: defaultdict[int, set[int]] = defaultdict(set)
    for number in picked:
        place = bisect_right(starts, number) - 1
        chosen[images[place]].add(number - starts[place])
    return chosen


def frames_to_check(expected: ExpectedResult, sample: int | None) -> int:
    """Return how many frames :func:`store_checks` decodes at most, for the progress display."""
    total = sum(spec.frames for image, spec in enumerate(expected.plan.images) if expected.is_complete(image))
    return total if sample is None else min(sample, total)


def run_checks(checks: Iterable[Check], out: OutputDir) -> Findings:
    """Run one task's checks, one after the other."""
    problems: list[Problem] = []
    images = frames = size = 0
    for check in checks:
        if isinstance(check, ImageCheck):
            problems += check_image(check)
            images += 1
        else:
            problems += check_shard(check, out)
            frames += check.frames
            size += check.frames * check.spec.format.frame_bytes
    return Findings(tuple(problems), images, frames, size)
