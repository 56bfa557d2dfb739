"""Let only one run at a time write to an output directory.

A run holds a lock of the operating system on ``OUT/ledger/run.lock``, which ends with the process in any case. On a
disk of this machine that is enough. Other file systems have no such locks, or locks that other hosts don't see: there a run also
changes the file every few seconds, and a later run watches the file until it changes, or has been silent for a minute
(:mod:`pipeline.output.lock_holder`).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple, cast

from pipeline.errors import OutputError
from pipeline.output import lock_holder
from pipeline.output.lock_holder import LONGEST, Held, Holder, Look, Mark, Sign
from pipeline.output.mounts import is_of_this_machine
from pipeline.output.object_lock import hold_object_lock, look
from pipeline.storage import LocalPlace, OutputDir, RemotePlace, as_place_error

try:
    import fcntl
except ImportError:  # Windows has none: only signs of life count
    fcntl = None  # type: ignore[assignment]

LINGERING = 60.0
"""Seconds to wait for tasks of a run whose driver was killed: its workers finish their current tasks."""
SETTLING = 0.5
"""Seconds after which the run of another host would have overwritten a lock that relies on signs of life alone."""
_PATIENCE = 1.0
"""Seconds to try for the lock: a process that asks whether a run is alive holds it for a moment."""


def hold_lock(
    out: OutputDir, name: str = OutputDir.RUN_LOCK, tell: Callable[[str], object] = lambda _: None
) -> AbstractContextManager[None]:
    """Hold the lock `name` of `out` in the block; make `out` if it doesn't exist.

    Parameters
    ----------
    out : OutputDir
    name : str
        Name of the lock.
    tell : callable
        Called with a message if the lock must be watched for a minute.

    Raises
    ------
    OutputError
        If another run holds the lock (reason ``in_use``), or `out` can't be written.
    """
    at = _lock(out, name)
    return hold_object_lock(at, tell) if isinstance(at, RemotePlace) else _locked(out, at, tell)


def _lock(out: OutputDir, name: str = OutputDir.RUN_LOCK) -> LocalPlace | RemotePlace:
    return cast(LocalPlace | RemotePlace, out.lock(name))


@contextmanager
def _locked(out: OutputDir, at: LocalPlace, tell: Callable[[str], object]) -> Iterator[None]:
    mark = lock_holder.new_mark()
    try:
        file = _take(at, mark, tell)
    except OSError as error:
        raise as_place_error(out.name, error, "can't be used as output directory") from error
    try:
        with Held(at.path.name, str(at), mark, partial(_renew, at, file)).kept():
            yield
    finally:
        with contextlib.suppress(OSError):
            if _is_mine(at, mark):
                for left in (_lock(out, OutputDir.WORK_LOCK), at):
                    with contextlib.suppress(OSError):
                        if left.exists():  # the next run refuses a link
                            left.remove()
        os.close(file)


class Ticket(NamedTuple):
    """The lock of a task's run, by which the task may write."""

    name: str
    token: str


def ticket() -> Ticket | None:
    """Return the lock that this run holds, for its tasks."""
    lock = lock_holder.held()
    return Ticket(lock.name, lock.token) if lock else None


@contextmanager
def show_at_work(out: OutputDir, shown: Ticket | None = None) -> Iterator[None]:
    """Show in the block that a task may be writing below `out`; this costs a worker opening a file or two.

    Raises
    ------
    OutputError
        If the task's run has lost its lock (reason ``in_use``): a worker can outlive its run.
    """
    with ExitStack() as ends:
        if fcntl is not None and not out.is_remote:
            with contextlib.suppress(OSError):  # missing folder or locks: the task itself reports the error
                file = cast(LocalPlace, _lock(out, OutputDir.WORK_LOCK)).open_in_place(create=True)
                ends.callback(_let_go, file)
                _SHOWN.add(file)
                fcntl.flock(file, fcntl.LOCK_SH)
        if shown is not None:
            _refuse_other(_lock(out, shown.name), shown.token)
        yield


def _refuse_other(at: LocalPlace | RemotePlace, token: str) -> None:
    """Refuse to write for a run whose lock was taken over or removed."""
    try:
        data = at.read_version(LONGEST)[0] if isinstance(at, RemotePlace) else _read(at)
    except FileNotFoundError:
        data = b""
    except OSError:  # the task itself reports the error
        return
    mark = Mark.of(data)
    if mark is None or mark.token != token:
        raise lock_holder.taken_away(str(at))


_SHOWN: set[int] = set()
"""The open files with which tasks of this process show that they are writing."""


def _let_go(file: int) -> None:
    _SHOWN.discard(file)
    os.close(file)


def _forget() -> None:
    """Close the files in a fork: the lock belongs to the parent, and a decoder that hangs in the fork mustn't prolong it."""
    while _SHOWN:
        os.close(_SHOWN.pop())


if fcntl is not None:
    os.register_at_fork(after_in_child=_forget)


def wait_for_tasks(out: OutputDir) -> None:
    """Wait until all workers of an earlier run, whose driver was killed, have finished their tasks.

    Raises
    ------
    OutputError
        If this takes too long, reason ``in_use``.
    """
    at = _lock(out, OutputDir.WORK_LOCK)
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


def find_holder(out: OutputDir, name: str = OutputDir.RUN_LOCK) -> Holder | None:
    """Return the present holder of the lock of `out`, as far as a short look tells; None if no process holds it."""
    return find_holders(out, [name]).get(name)


def find_holders(out: OutputDir, names: Sequence[str], seconds: float | None = None) -> Mapping[str, Holder | None]:
    """Return the held locks of `out` among `names`, each with its holder if the lock names one.

    Parameters
    ----------
    out : OutputDir
    names : sequence of str
        Names of locks.
    seconds : float, optional
        How long to watch locks whose holders this process can't see, all at the same time; by default as long as a live
        run takes for two signs of life.
    """
    looks = {name: _look_at(_lock(out, name)) for name in names}
    seen = {name: (look, sign) for name, look in looks.items() if (sign := look()) is not None}
    living = lock_holder.alive(seen, lock_holder.GLANCE * lock_holder.HEARTBEAT if seconds is None else seconds)
    return {name: sign.holder for name, sign in living.items()}


def _look_at(at: LocalPlace | RemotePlace) -> Look:
    return partial(look, at) if isinstance(at, RemotePlace) else partial(_look, at)


def _look(at: LocalPlace) -> Sign | None:
    """Return the present state of a lock; None if the lock is missing or can't be read."""
    with contextlib.suppress(OSError), at.open() as opened:
        return _sign(at, opened.fileno(), _try(opened.fileno(), exclusive=False))
    return None


def _sign(at: LocalPlace, file: int, free: bool | None) -> Sign:
    """Return the state of an open lock; `free` tells whether the system's own lock is free."""
    data = os.pread(file, LONGEST, 0)
    mark, known = Mark.of(data), os.fstat(file)
    lives: bool | None
    if free is False:
        lives = True
    elif not data or (free and is_of_this_machine(at.path)):
        lives = False
    else:
        lives = mark.lives() if mark else None
    return Sign(data, (known.st_mtime_ns, known.st_ino), lives)


def _take(at: LocalPlace, mark: Mark, tell: Callable[[str], object]) -> int:
    """Take the lock for this process, and return its open file."""
    deadline = time.monotonic() + _PATIENCE
    while not isinstance(file_or_holder := _attempt(at, mark, tell), int):
        if time.monotonic() > deadline:
            raise _in_use(at, file_or_holder)
        time.sleep(0.05)
    return file_or_holder


def _attempt(at: LocalPlace, mark: Mark, tell: Callable[[str], object]) -> int | Holder | None:
    """Try once to take the lock; return its open file, or its holder."""
    file = at.open_in_place(create=True)
    with ExitStack() as failed:
        failed.callback(os.close, file)
        free = _try(file, exclusive=True)
        sign = _sign(at, file, free)
        if free is False or not _is_file(file, at.path):
            return sign.holder
        # the system's lock may hold on this host only, or not exist
        if living := lock_holder.watch(str(at), partial(_look_again, at), sign, tell):
            raise _in_use(at, living.holder)
        os.ftruncate(file, 0)
        os.pwrite(file, mark.to_bytes(), 0)
        if not (free and is_of_this_machine(at.path)):
            _show(at, file)
            time.sleep(SETTLING)
            if not _is_mine(at, mark):
                return _sign(at, file, free=free).holder
        failed.pop_all()
    return file


def _is_file(file: int, path: Path) -> bool:
    """Whether an open file is still the file under its name: a run that ends removes its lock."""
    try:
        return os.path.samestat(os.fstat(file), path.lstat())
    except FileNotFoundError:
        return False


def _look_again(at: LocalPlace) -> Sign | None:
    """Look at a lock that this process has locked itself; by its name, to see the writes of other hosts."""
    with contextlib.suppress(FileNotFoundError), at.open() as opened:
        known = os.fstat(opened.fileno())
        return Sign(os.pread(opened.fileno(), LONGEST, 0), (known.st_mtime_ns, known.st_ino))
    return None


def _renew(at: LocalPlace, file: int, mark: Mark) -> bool:
    """Give a sign of life; return False if the lock isn't ours any more."""
    if not _is_mine(at, mark):
        return False
    os.pwrite(file, mark.to_bytes(), 0)
    _show(at, file)
    return True


def _show(at: LocalPlace, file: int) -> None:
    """Change the file's time, which makes a network file system send the written bytes too."""
    with contextlib.suppress(OSError):
        os.utime(file if os.utime in os.supports_fd else at)


def _is_mine(at: LocalPlace, mark: Mark) -> bool:
    try:
        there = Mark.of(_read(at))
    except FileNotFoundError:
        return False
    return there is not None and there.token == mark.token


def _read(at: LocalPlace) -> bytes:
    with at.open() as opened:  # by its name, to see the writes of other hosts
        return os.pread(opened.fileno(), LONGEST, 0)


def _in_use(at: LocalPlace, other: Holder | None) -> OutputError:
    path, out = at.path, at.path.parent.parent
    where = "there" if path.name in OutputDir.LOCKS else path.stem
    return OutputError(
        f"{out}: another run is writing {where} ({other or 'it has just begun'}): wait for it, or choose another output "
        "directory",
        reason="in_use",
    )


def _try(file: int, *, exclusive: bool) -> bool | None:
    """Try to take the system's lock: True if taken, False if another process has it, None if there are no such locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
