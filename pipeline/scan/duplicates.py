"""Files that hold the same SOP instance: copies, byte for byte, and others that only share the UID."""

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
    """Return the SHA-256 of a file in hexadecimal digits; reads all of it.

    Raises
    ------
    SourceError
        Where it can't be read.
    PixelDataError
        Where it isn't what was `expected`, reason ``source_changed``.
    """
    with open_source(source, expected) as file:
        try:
            return hashlib.file_digest(cast(Any, file), "sha256").hexdigest()
        except OSError as error:
            raise SourceError(f"{source}: reading failed: {error.strerror or error}", source=source) from error


def mark(instances: Sequence[Instance], digests: Mapping[int, str], first: int = 0) -> dict[int, int]:
    """Return the byte-identical copies, each with the instance to keep: the first by source. All as positions.

    Parameters
    ----------
    instances : sequence of Instance
    digests : mapping of int to str
        By position, what :func:`digest` gave; instances without one are no copies.
    first : int
        Instances before this position are kept in any case, and before all others.
    """
    copies: dict[int, int] = {}
    known = [position for position in digests if instances[position].known_uid]
    same = _grouped((instances[i].sop_instance_uid, instances[i].size, digests[i]) for i in known)
    for group in same.values():
        kept, *others = sorted((known[i] for i in group), key=lambda i: (i >= first, instances[i].source, i))
        copies |= dict.fromkeys((i for i in others if i >= first), kept)
    return copies


def shared_uids(instances: Sequence[Instance]) -> dict[int, str]:
    """Return, by position, a note on each instance whose SOP Instance UID others have too, copies not among them."""
    groups = _grouped(instance.known_uid for instance in instances)
    return {
        position: f"SOP Instance UID shared with {len(group) - 1} other file(s)"
        for uid, group in groups.items()
        if uid
        for position in group
    }


def _grouped(keys: Iterable[Key]) -> dict[Key, tuple[int, ...]]:
    """Return the positions of the keys that are there more than once, in the order of the first ones."""
    first: dict[Key, int] = {}
    groups: dict[Key, list[int]] = {}
    for position, key in enumerate(keys):
        earlier = first.setdefault(key, position)
        if earlier != position:
            groups.setdefault(key, [earlier]).append(position)
    return {key: tuple(members) for key, members in sorted(groups.items(), key=lambda group: group[1][0])}
