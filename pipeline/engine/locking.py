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

from pipeline.engine.holders import SILENCE, Holder, beating
from pipeline.engine.objectlock import locked_object, object_holder
from pipeline.errors import OutputError
from pipeline.storage import Place, RemotePlace, is_remote, place, unwritable

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


def lock_path(out: str | os.PathLike[str], name: str = LOCK_FILES[0]) -> Path:
    """Return where the lock of an output directory, or of a part of it, lies; who is killed leaves it there, without a holder."""
    return Path(out) / "ledger" / name


def locked(out: str | os.PathLike[str] | Place, name: str = LOCK_FILES[0]) -> AbstractContextManager[None]:
    """Keep others away from `out`, which is made where it doesn't exist: other runs, or whoever wants the same `name`.

    Raises
    ------
    OutputError
        Where another run is on it (reason ``in_use``), or it can't be written.
    """
    at = place(out) / "ledger" / name
    return locked_object(at) if isinstance(at, RemotePlace) else _locked(str(out), name)


@contextmanager
def _locked(out: str, name: str) -> Iterator[None]:
    path = lock_path(out, name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _take(path)
    except OSError as error:
        raise unwritable(out, error, "can't be used as output directory") from error
    try:
        with beating(lambda: os.utime(path), HEARTBEAT):
            yield
    finally:
        for left in (_work_path(out), path):
            with contextlib.suppress(OSError):
                left.unlink()
        os.close(file)


@contextmanager
def at_work(out: str) -> Iterator[None]:
    """Show, while a task runs, that it may write below `out`; for a worker, at the cost of opening a file."""
    with ExitStack() as ends:
        if fcntl is not None and not is_remote(out):
            with contextlib.suppress(OSError):  # no such folder, no such locks: the task itself says what is wrong
                file = os.open(_work_path(out), os.O_RDWR | os.O_CREAT, 0o666)
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
    path = _work_path(str(out))
    if is_remote(str(out)) or not path.exists():
        return
    file = os.open(path, os.O_RDWR)
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
        path.unlink()
    finally:
        os.close(file)


def _work_path(out: str | os.PathLike[str]) -> Path:
    return Path(out) / "ledger" / LOCK_FILES[1]


def holder(out: str | os.PathLike[str] | Place, name: str = LOCK_FILES[0]) -> Holder | None:
    """Return who holds the lock of `out` at the moment; None where nobody does."""
    at = place(out) / "ledger" / name
    if isinstance(at, RemotePlace):
        return object_holder(at)
    path = lock_path(str(out), name)
    with contextlib.suppress(OSError):
        file = os.open(path, os.O_RDONLY)
        try:
            free = _try(file, exclusive=False)
            known = _read(path)
            if free is False or (
                known is not None and known.lives(_silence(path)) and (free is None or not known.is_here)
            ):
                return known
        finally:
            os.close(file)
    return None


def _take(path: Path) -> int:
    """Return the lock's open file, with this process in it."""
    deadline = time.monotonic() + _PATIENCE
    while (file := _attempt(path)) is None:
        if time.monotonic() > deadline:
            raise _in_use(path, _read(path))
        time.sleep(0.05)
    return file


def _attempt(path: Path) -> int | None:
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    with ExitStack() as failed:
        failed.callback(os.close, file)
        free = _try(file, exclusive=True)
        if free is False or not _is_file(file, path):
            return None
        _refuse_others(path, free)
        os.ftruncate(file, 0)
        os.pwrite(file, json.dumps(asdict(Holder.here())).encode(), 0)
        failed.pop_all()
    return file


def _is_file(file: int, path: Path) -> bool:
    """Whether an open file is still the one under its name: a run that ends removes its lock."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _refuse_others(path: Path, free: bool | None) -> None:
    """Heed another host's sign of life where the system's lock may be this host's alone, or where there is none."""
    known = _read(path)
    if known is not None and (free is None or not known.is_here) and known.lives(_silence(path)):
        raise _in_use(path, known)


def _in_use(path: Path, other: Holder | None) -> OutputError:
    out = path.parent.parent
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


def _silence(path: Path) -> float:
    return time.time() - path.stat().st_mtime


def _read(path: Path) -> Holder | None:
    try:
        return Holder(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
