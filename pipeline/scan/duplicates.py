"""Files with the same SOP Instance UID: byte-identical copies, and files that only share the UID."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

from pipeline.errors import SourceError
from pipeline.frames import open_source
from pipeline.model import Instance
from pipeline.storage import Expected

Key = TypeVar("Key", bound=Hashable)


def candidates(instances: Sequence[Instance]) -> list[tuple[int, ...]]:
    """Return the groups of instances, as positions, that share SOP Instance UID and file size."""
    groups = _grouped((instance.known_uid, instance.size) for instance in instances)
    return [group for (uid, _), group in groups.items() if uid]


def digest(source: str, expected: Expected | None = None) -> str:
    """Read a whole file and return its SHA-256 in hexadecimal digits.

    Raises
    ------
    SourceError
        If the file can't be read.
    PixelDataError
        If the file isn't the `expected` one any more, reason ``source_changed``.
    """
    with open_source(source, expected) as file:
        try:
            return hashlib.file_digest(cast(Any, file), "sha256").hexdigest()
        except OSError as error:
            raise SourceError(f"{source}: reading failed: {error.strerror or error}", source=source) from error


def mark(instances: Sequence[Instance], digests: Mapping[int, str], first: int = 0) -> dict[int, int]:
    """Return position of each byte-identical copy → position of the instance to keep, the first by source.

    Parameters
    ----------
    instances : sequence of Instance
    digests : mapping of int to str
        Position → result of :func:`digest`; instances without a digest don't count as copies.
    first : int
        Instances before this position are always kept, in preference to all others.
    """
    copies: dict[int, int] = {}
    known = [position for position in digests if instances[position].known_uid]
    same = _grouped((instances[i].sop_instance_uid, instances[i].size, digests[i]) for i in known)
    for group in same.values():
        kept, *others = sorted((known[i] for i in group), key=lambda i: (i >= first, instances[i].source, i))
        copies |= dict.fromkeys((i for i in others if i >= first), kept)
    return copies


def shared_uids(instances: Sequence[Instance]) -> dict[int, str]:
    """Return position → note for each instance whose SOP Instance UID other instances have; pass no copies."""
    groups = _grouped(instance.known_uid for instance in instances)
    return {
        position: f"SOP Instance UID shared with {len(group) - 1} other file(s)"
        for uid, group in groups.items()
        if uid
        for position in group
    }


def _grouped(keys: Iterable[Key]) -> dict[Key, tuple[int, ...]]:
    """Return repeated key → its positions, in order of their first positions."""
    first: dict[Key, int] = {}
    groups: dict[Key, list[int]] = {}
    for position, key in enumerate(keys):
        earlier = first.setdefault(key, position)
        if earlier != position:
            groups.setdefault(key, [earlier]).append(position)
    return {key: tuple(members) for key, members in sorted(groups.items(), key=lambda group: group[1][0])}
