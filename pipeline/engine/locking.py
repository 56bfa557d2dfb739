"""One run at a time on an output directory.

A run holds a lock of the operating system on ``OUT/ledger/run.lock``, which ends with its process however that ends.
Where the file system has no such locks, or none that other hosts see, the file's time of change is a sign of life: a
run renews it every few seconds, and a lock of another host counts until it has been silent for a minute.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import cast

from pipeline.engine.holders import LONGEST, SILENCE, Holder, beating
from pipeline.engine.objectlock import locked_object, object_holder
from pipeline.errors import OutputError
from pipeline.storage import LocalPlace, Place, RemotePlace, is_remote, place, unwritable

try:
    import fcntl
except ImportError:  # not on Windows: signs of life alone
    fcntl = None  # type: ignore[assignment]

LOCK_FILES = ("run.lock", "work.lock")
"""What lies beside the ledger's segments."""
HEARTBEAT = 5.0
"""Seconds between two signs of life."""
LINGERING = 60.0
"""Seconds to wait for tasks of a run whose driver was killed: its workers end the one they are at."""
_PATIENCE = 1.0
"""Seconds to try for the lock: who asks whether a run is alive holds it for a moment."""


def locked(out: str | os.PathLike[str] | Place, name: str = LOCK_FILES[0]) -> AbstractContextManager[None]:
    """Keep others away from `out`, which is made where it doesn't exist: other runs, or whoever wants the same `name`.

    Raises
    ------
    OutputError
        Where another run is on it (reason ``in_use``), or it can't be written.
    """
    at = _lock(out, name)
    return locked_object(at) if isinstance(at, RemotePlace) else _locked(str(out), at)


def _lock(out: str | os.PathLike[str] | Place, name: str = LOCK_FILES[0]) -> LocalPlace | RemotePlace:
    """Return where the lock of an output, or of a part of it, lies; who is killed leaves it there, without a holder."""
    return cast(LocalPlace | RemotePlace, place(out) / "ledger" / name)


@contextmanager
def _locked(out: str, at: LocalPlace) -> Iterator[None]:
    try:
        file = _take(at)
    except OSError as error:
        raise unwritable(out, error, "can't be used as output directory") from error
    try:
        with beating(lambda: os.utime(file if os.utime in os.supports_fd else at), HEARTBEAT):
            yield
    finally:
        for left in (_lock(out, LOCK_FILES[1]), at):
            with contextlib.suppress(OSError):
                if left.exists():  # a link is refused by whoever comes next
                    left.remove()
        os.close(file)


@contextmanager
def at_work(out: str) -> Iterator[None]:
    """Show, while a task runs, that it may write below `out`; for a worker, at the cost of opening a file."""
    with ExitStack() as ends:
        if fcntl is not None and not is_remote(out):
            with contextlib.suppress(OSError):  # no such folder, no such locks: the task itself says what is wrong
                file = cast(LocalPlace, _lock(out, LOCK_FILES[1])).open_in_place(create=True)
                ends.callback(_let_go, file)
                _SHOWN.add(file)
                fcntl.flock(file, fcntl.LOCK_SH)
        yield


_SHOWN: set[int] = set()
"""The open files by which tasks of this process show that they are at work."""


def _let_go(file: int) -> None:
    _SHOWN.discard(file)
    os.close(file)


def _forget() -> None:
    """Close them in a fork: the lock is its parent's, and must not last as long as a decoder that hangs in it."""
    while _SHOWN:
        os.close(_SHOWN.pop())


if fcntl is not None:
    os.register_at_fork(after_in_child=_forget)


def wait_for_tasks(out: str | os.PathLike[str] | Place) -> None:
    """Wait until no worker of an earlier run, whose driver was killed, is still at a task.

    Raises
    ------
    OutputError
        Where that takes too long, reason ``in_use``.
    """
    at = _lock(out, LOCK_FILES[1])
    if isinstance(at, RemotePlace):
        return
    try:
        file = at.open_in_place(create=False)
    except FileNotFoundError:
        return
    try:
        deadline = time.monotonic() + LINGERING
        while _try(file, exclusive=True) is False:
            if time.monotonic() > deadline:
                raise OutputError(
                    f"{out}: worker processes of an earlier run, whose own process has ended, are still writing there: "
                    "end them, or wait for them",
                    reason="in_use",
                )
            time.sleep(0.05)
        at.remove()
    finally:
        os.close(file)


def holder(out: str | os.PathLike[str] | Place, name: str = LOCK_FILES[0]) -> Holder | None:
    """Return who holds the lock of `out` at the moment; None where nobody does."""
    at = _lock(out, name)
    if isinstance(at, RemotePlace):
        return object_holder(at)
    with contextlib.suppress(OSError), at.open() as opened:
        file = opened.fileno()
        free = _try(file, exclusive=False)
        known = _read(file)
        if free is False or (known is not None and known.lives(_silence(file)) and (free is None or not known.is_here)):
            return known
    return None


def _take(at: LocalPlace) -> int:
    """Return the lock's open file, with this process in it."""
    deadline = time.monotonic() + _PATIENCE
    while not isinstance(found := _attempt(at), int):
        if time.monotonic() > deadline:
            raise _in_use(at, found)
        time.sleep(0.05)
    return found


def _attempt(at: LocalPlace) -> int | Holder | None:
    """Return the lock's open file, or who has the lock."""
    file = at.open_in_place(create=True)
    with ExitStack() as failed:
        failed.callback(os.close, file)
        free = _try(file, exclusive=True)
        if free is False or not _is_file(file, at.path):
            return _read(file)
        _refuse_others(at, file, free)
        os.ftruncate(file, 0)
        os.pwrite(file, json.dumps(asdict(Holder.here())).encode(), 0)
        failed.pop_all()
    return file


def _is_file(file: int, path: Path) -> bool:
    """Whether an open file is still the one under its name: a run that ends removes its lock."""
    try:
        return os.path.samestat(os.fstat(file), path.lstat())
    except FileNotFoundError:
        return False


def _refuse_others(at: LocalPlace, file: int, free: bool | None) -> None:
    """Heed another host's sign of life where the system's lock may be this host's alone, or where there is none."""
    known = _read(file)
    if known is not None and (free is None or not known.is_here) and known.lives(_silence(file)):
        raise _in_use(at, known)


def _in_use(at: LocalPlace, other: Holder | None) -> OutputError:
    path, out = at.path, at.path.parent.parent
    hint = ""
    if other is not None and not other.is_here:
        hint = f"; if it is dead, its lock ends {SILENCE:.0f} s after its last sign of life"
    where = "there" if path.name in LOCK_FILES else path.stem
    return OutputError(
        f"{out}: another run is writing {where} ({other or 'it has just begun'}): wait for it, or choose another output "
        f"directory{hint}",
        reason="in_use",
    )


def _try(file: int, *, exclusive: bool) -> bool | None:
    """Try for the system's lock: True got it, False another process has it, None there are no such locks here."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _silence(file: int) -> float:
    return time.time() - os.fstat(file).st_mtime


def _read(file: int) -> Holder | None:
    os.lseek(file, 0, os.SEEK_SET)
    try:
        return Holder.told(json.loads(os.read(file, LONGEST)))
    except (ValueError, RecursionError):
        return None
