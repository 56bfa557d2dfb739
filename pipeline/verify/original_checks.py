"""Choose the originals to compare and cut them into tasks; run a task's comparisons, in workers."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import xxhash

from pipeline import scan
from pipeline.catalog import iter_rows
from pipeline.config import RunConfig
from pipeline.deid import Gate
from pipeline.errors import PipelineError
from pipeline.model import Placement, syntaxes
from pipeline.verify.catalog_checks import Placements, first_placements
from pipeline.verify.expected import ExpectedResult, without_placements
from pipeline.verify.originals import Comparison, SourceCheck
from pipeline.verify.problems import Findings
from pipeline.verify.work import TASK_BYTES, group_into_tasks


@dataclass(frozen=True, slots=True)
class CopyCheck:
    """A byte-identical copy that was left out, and the files whose copy it may be."""

    source: str
    kept: tuple[tuple[int, str], ...]
    """Instances, by position in the plan, and their sources."""
    image: int | None = None

    @property
    def where(self) -> str:
        """Source of the copy, for messages."""
        return self.source


@dataclass(frozen=True, slots=True)
class SourceFindings:
    """A task's findings about originals."""

    findings: Findings
    compared: tuple[Comparison, ...] = ()
    copies: tuple[tuple[str, int], ...] = ()
    """Files that are still copies, each with the instance that was kept."""
    absent: tuple[str, ...] = ()
    """Copies that no longer exist."""


Check = SourceCheck | CopyCheck


def source_checks(
    expected: ExpectedResult, config: RunConfig, sample: int | None = None, seed: int = 0
) -> Iterator[tuple[Check, ...]]:
    """Yield the comparisons, in tasks; meanwhile the catalog is read one row group after the other.

    Parameters
    ----------
    expected : ExpectedResult
    config : RunConfig
        The settings for reading headers and decoding frames.
    sample : int, optional
        Number of files to compare, chosen by `seed`; by default all files, and the copies that were left out.
    seed : int
    """
    placements = first_placements(expected)
    chosen = None if sample is None else set(_sample(expected, placements, sample, seed))
    yield from group_into_tasks((check, _cost(check)) for check in _checks(expected, config, placements, chosen))


def _cost(check: Check) -> int:
    return check.frames * check.spec.format.frame_bytes if isinstance(check, SourceCheck) else 0


def find_stored_instances(expected: ExpectedResult, placements: Placements) -> list[int]:
    """Return the instances that are stored and whose files haven't been replaced, by position in the plan."""
    without = expected.outcomes.failures.keys() | expected.replaced
    return [i for i, (image, _) in placements.items() if expected.is_complete(image) and i not in without]


def _sample(expected: ExpectedResult, placements: Placements, count: int, seed: int) -> list[int]:
    stored = sorted(find_stored_instances(expected, placements))
    # Not for secrets: the same seed must give the same files.
    return random.Random(seed).sample(stored, min(count, len(stored)))  # noqa: S311


def _checks(
    expected: ExpectedResult, config: RunConfig, placements: Placements, chosen: set[int] | None
) -> Iterator[Check]:
    by_source = {expected.plan.instances[i].source: i for i in find_stored_instances(expected, placements)}
    alike: defaultdict[tuple[str, int], list[tuple[int, str]]] = defaultdict(list)
    for source, i in by_source.items():
        alike[expected.plan.instances[i].known_uid, expected.plan.instances[i].size].append((i, source))
    copies = expected.copies
    columns = ("source", "reason", "sop_instance_uid", "file_size", "decoder", "header")
    for number, row in enumerate(iter_rows(expected.out, columns)):
        position = by_source.get(row["source"])
        if row["source"] in copies and chosen is None:
            yield CopyCheck(row["source"], tuple(alike[row["sop_instance_uid"] or "", row["file_size"]]))
        elif position is not None and (chosen is None or position in chosen):
            yield from _pieces(expected, config, position, placements, row | {"row": number})


def _pieces(
    expected: ExpectedResult, config: RunConfig, position: int, placements: Placements, row: Mapping[str, Any]
) -> Iterator[SourceCheck]:
    """Cut an instance into runs of frames that a task can compare in about a second; the first run compares the header."""
    image, own = placements[position]
    spec, instance = expected.plan.images[image], expected.plan.instances[position]
    whole = SourceCheck(
        position=position,
        instance=replace(instance, frame_index=b""),
        image=image,
        spec=without_placements(spec),
        placements=own,
        decoder=row["decoder"] or "",
        raw=config.decode.raw,
        options=dict(config.decode.options),
        row=row["row"],
        header=xxhash.xxh3_128_hexdigest(row["header"].encode()) if row["header"] else None,
        header_kept=bool(row["header"]),
        limits=scan.header_limits(config),
        gate=Gate.of(config),
    )
    most = max(1, TASK_BYTES // spec.format.frame_bytes)
    if (
        whole.frames <= most or instance.transfer_syntax_uid == syntaxes.DEFLATED
    ):  # none of its frames can be reached without the others
        yield whole
        return
    for placement in own:
        for done in range(0, len(placement), most):
            yield replace(
                whole,
                placements=(_part(placement, done, most),),
                header=None if done or placement != own[0] else whole.header,
            )


def _part(placement: Placement, done: int, most: int) -> Placement:
    frames = placement.frames[done : done + most]
    return replace(placement, start=frames.start, stop=frames.stop, position=placement.position + done)


def run_source_checks(checks: Iterable[Check], comparing: Callable[[SourceCheck], Comparison]) -> SourceFindings:
    """Run one task's comparisons, one after the other; `comparing` compares originals."""
    compared: list[Comparison] = []
    copies: list[tuple[str, int]] = []
    absent: list[str] = []
    frames = size = 0
    for check in checks:
        if isinstance(check, SourceCheck):
            compared.append(comparing(check))
            frames += check.frames
            size += check.frames * check.spec.format.frame_bytes
        else:
            kept = _find_kept(check)
            absent += [check.source] if kept is None else []
            copies += [(check.source, instance) for instance in kept or ()]
    problems = tuple(problem for comparison in compared for problem in comparison.problems)
    return SourceFindings(Findings(problems, 0, frames, size), tuple(compared), tuple(copies), tuple(absent))


def _find_kept(check: CopyCheck) -> list[int] | None:
    """Return the first instance that the copy still equals byte for byte, or an empty list; None if the copy is gone."""
    try:
        digest = scan.digest(check.source)
    except PipelineError as error:
        return None if error.reason == "file_not_found" else []
    for position, source in check.kept:
        try:
            if scan.digest(source) == digest:
                return [position]
        except PipelineError:
            continue
    return []
