"""Group paths ``<StudyInstanceUID>/<SeriesInstanceUID>/<image name>`` that are safe whatever values a file holds."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Sequence
from typing import TypeVar

from pipeline.model import Instance
from pipeline.plan.grouping import Group
from pipeline.storage import ZARR_JSON

NAME_LENGTH = 64
"""The longest UID (PS3.5 6.2), and far below what any file system allows."""
_UID = re.compile(r"[0-9]+(\.[0-9]+)*", re.ASCII)
_FORBIDDEN = re.compile(r"[^A-Za-z0-9._-]+")
_CLEAN = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9_-])?", re.ASCII)
_DOTS = re.compile(r"\.{2,}")
_RESERVED = frozenset(
    {ZARR_JSON, "con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(10)}
)
"""Zarr's own file, and Windows' device names (with or without an extension)."""

_Key = TypeVar("_Key", bound=Hashable)


def clean_name(text: str) -> str:
    """Turn any text into a valid name of a Zarr group and a folder; a valid name stays as it is.

    Valid: only ``A-Z a-z 0-9 . _ -``, no two dots in a row, no dot or ``_`` (Zarr reserves ``__``) at the start, no dot at
    the end, 1 to 64 characters, no name that Zarr or Windows reserves. An empty result becomes ``unknown``.
    """
    if len(text) <= NAME_LENGTH and _UID.fullmatch(text):
        return text
    name = _DOTS.sub(".", _FORBIDDEN.sub("_", text)).lstrip("._-")[:NAME_LENGTH].rstrip(".")
    if name.casefold() in _RESERVED or name.split(".")[0].casefold() in _RESERVED:
        name = f"x-{name}"[:NAME_LENGTH]
    return name or "unknown"


def is_clean(name: str) -> bool:
    """Return whether :func:`clean_name` can have made a name, perhaps with a number appended to make it unique."""
    folded = name.casefold()
    return (
        len(name) <= 2 * NAME_LENGTH
        and _CLEAN.fullmatch(name) is not None
        and not _DOTS.search(name)
        and _RESERVED.isdisjoint((folded, folded.split(".")[0]))
    )


def image_paths(instances: Sequence[Instance], groups: Sequence[Group]) -> list[str]:
    """Name every group, in the order given; paths are unique even if case is ignored.

    Stacks are ``stack-1``, ``stack-2``, … in their series, by their lowest Instance Number, then UID, then source.
    Images of one instance bear its SOP Instance UID. Names that collide get ``-2``, ``-3``, …; names that needed no
    cleaning go first, so that a broken UID never renames a good one.
    """
    firsts = [instances[group.members[0]] for group in groups]
    parents = [(first.study_instance_uid, first.series_instance_uid) for first in firsts]
    studies = _unique([(study, "", study, "") for study in {study for study, _ in parents}])
    series = _unique([(parent, parent[0], parent[1], "") for parent in set(parents)])
    numbers = _stack_numbers(instances, groups, parents)
    names = [f"stack-{numbers[i]}" if i in numbers else first.sop_instance_uid for i, first in enumerate(firsts)]
    images = _unique([(i, parents[i], name, firsts[i].source) for i, name in enumerate(names)])
    return [f"{studies[parent[0]]}/{series[parent]}/{images[i]}" for i, parent in enumerate(parents)]


def _unique(wanted: Sequence[tuple[_Key, Hashable, str, str]]) -> dict[_Key, str]:
    """Give each key a unique name in its folder, from ``(key, folder, text, tie)``."""
    cleaned = [clean_name(text) for _, _, text, _ in wanted]
    order = sorted(range(len(wanted)), key=lambda i: (cleaned[i] != wanted[i][2], *wanted[i][2:]))
    taken: set[tuple[Hashable, str]] = set()
    counts: dict[tuple[Hashable, str], int] = {}
    names: dict[_Key, str] = {}
    for i in order:
        key, folder = wanted[i][:2]
        name, base = cleaned[i], (folder, cleaned[i].casefold())
        while (folder, name.casefold()) in taken:
            counts[base] = counts.get(base, 1) + 1
            suffix = f"-{counts[base]}"
            name = cleaned[i][: NAME_LENGTH - len(suffix)] + suffix
        taken.add((folder, name.casefold()))
        names[key] = name
    return names


def _stack_numbers(
    instances: Sequence[Instance], groups: Sequence[Group], parents: Sequence[Hashable]
) -> dict[int, int]:
    stacks = sorted(
        (i for i, group in enumerate(groups) if group.stacked),
        key=lambda i: min(map(_rank, (instances[member] for member in groups[i].members))),
    )
    numbers: dict[int, int] = {}
    counts: dict[Hashable, int] = {}
    for i in stacks:
        counts[parents[i]] = counts.get(parents[i], 0) + 1
        numbers[i] = counts[parents[i]]
    return numbers


def _rank(instance: Instance) -> tuple[float, str, str]:
    number = instance.instance_number
    return (math.inf if number is None else number, instance.sop_instance_uid, instance.source)
