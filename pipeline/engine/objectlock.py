"""One run at a time on an output in an object store, as far as its server lets anybody tell.

The lock is an object, ``OUT/ledger/run.lock``, put only where there is none. A server that ignores the condition lets two
runs put theirs; then the later put stays, and after a moment both see whose it is. The object is put again as a sign of
life; one that has been silent for a minute is abandoned, and so is that of a process of this host that is gone.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass

from pipeline.engine.holders import LONGEST, SILENCE, Holder, beating
from pipeline.errors import OutputError
from pipeline.storage import RemotePlace, unwritable

HEARTBEAT = 15.0
"""Seconds between two signs of life."""
_SETTLING = 0.5
"""Seconds after which another run's put would have replaced ours."""
_ATTEMPTS = 5
_WHOLE = "run.lock"
"""The lock of the whole output; the others are those of its parts."""


@dataclass(frozen=True, slots=True)
class _Lock:
    holder: Holder
    token: str
    """Tells two runs of one process apart, and ours from all others."""

    def to_bytes(self) -> bytes:
        return json.dumps({**asdict(self.holder), "token": self.token}).encode()


@contextmanager
def locked_object(at: RemotePlace) -> Iterator[None]:
    """Hold the lock `at` in the block.

    Raises
    ------
    OutputError
        Where another run has it (reason ``in_use``), or the store can't be written.
    """
    mine = _Lock(Holder.here(), uuid.uuid4().hex)
    try:
        _take(at, mine)
    except OSError as error:
        raise unwritable(str(at), error) from error
    try:
        with beating(lambda: at.write_bytes(mine.to_bytes()), HEARTBEAT):
            yield
    finally:
        with suppress(OSError):
            if _is_mine(at, mine):
                at.remove_one()


def object_holder(at: RemotePlace) -> Holder | None:
    """Return who holds the lock `at`; None where nobody does."""
    known = _read(at)
    return known.holder if known and _lives(at, known) else None


def _take(at: RemotePlace, mine: _Lock) -> None:
    for _ in range(_ATTEMPTS):
        known = _read(at)
        if known is not None and known.token != mine.token:
            if _lives(at, known):
                raise _in_use(at, known)
            at.remove_one()
        # of a put whose answer was lost, the repetition finds our own object
        with suppress(FileExistsError):
            at.create(mine.to_bytes())
        time.sleep(_SETTLING)
        if _is_mine(at, mine):
            return
    raise _in_use(at, _read(at))


def _in_use(at: RemotePlace, other: _Lock | None) -> OutputError:
    out, _, name = at.name.rpartition("/ledger/")
    where = "there" if name == _WHOLE else name.removesuffix(".lock")
    told = other.holder if other else "it has just begun"
    return OutputError(
        f"{out}: another run is writing {where} ({told}): wait for it, or choose another output; if it is dead, its lock "
        f"ends {SILENCE:.0f} s after its last sign of life",
        reason="in_use",
    )


def _lives(at: RemotePlace, known: _Lock) -> bool:
    try:
        return known.holder.lives(time.time() - at.modified())
    except FileNotFoundError:
        return False


def _is_mine(at: RemotePlace, mine: _Lock) -> bool:
    known = _read(at)
    return known is not None and known.token == mine.token


def _read(at: RemotePlace) -> _Lock | None:
    try:
        values = json.loads(at.read_bytes(LONGEST))
        token = values.pop("token")
        return _Lock(token=token, holder=Holder.told(values)) if isinstance(token, str) else None
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
