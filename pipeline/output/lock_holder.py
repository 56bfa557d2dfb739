"""Identify the process that writes an output, and tell whether it lives.

A lock names its holder, with a token of its own and a number that changes with every sign of life. Neither the clocks of
other hosts nor host names decide whether the holder lives. If this process can see the holder, it looks at that process.
Otherwise it watches the lock, by its own clock, until the lock changes or has been silent for long enough.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.errors import OutputError
from pipeline.storage import as_place_error

HEARTBEAT = 5.0
"""Seconds between two signs of life."""
SILENCE = 60.0
"""Seconds without a sign of life after which a lock counts as abandoned."""
GLANCE = 2.5
"""Signs of life for which a process waits that only asks for the holder."""
LONGEST = 4096
"""Bytes of a lock that are read."""
_MINE: set[str] = set()
"""The tokens of the locks that this process holds."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that writes, or wrote, an output directory."""

    host: str
    pid: int
    began: int
    """Start of the process, in ticks since its kernel's start, because process numbers are used again. 0 if unknown."""
    home: str
    """The set of processes that it could see: processes of the same home can tell whether it lives. Empty if unknown."""
    started: str
    """Start of the run (ISO 8601, UTC), for people."""

    @classmethod
    def here(cls) -> Holder:
        """Return this process."""
        pid = os.getpid()
        return cls(
            socket.gethostname(), pid, _began(pid) or 0, _home(), datetime.now(UTC).isoformat(timespec="seconds")
        )

    @classmethod
    def told(cls, values: Any) -> Holder:
        """Return the process that the JSON values of a lock name; ValueError if they name none."""
        kinds = {"host": str, "pid": int, "began": int, "home": str, "started": str}
        if not isinstance(values, dict) or values.keys() != kinds.keys():
            raise ValueError("the lock names no process")
        if not all(isinstance(values[name], kind) for name, kind in kinds.items()):
            raise ValueError("the lock names no process")
        if not (0 < values["pid"] < 2**31 and 0 <= values["began"] < 2**63):
            raise ValueError("the lock names no process")
        return cls(**values)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.started}"

    def lives(self) -> bool | None:
        """Whether the process lives; None if this process can't tell."""
        if not self.home or (self.host, self.home) != (socket.gethostname(), _home()):
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:  # the process of another user
            pass
        began = _began(self.pid)
        return None if began is None else began == self.began


def _home() -> str:
    """Return an identifier of the running kernel, and of this process's namespaces of process numbers and of time."""
    try:
        if str(Path("/proc/self").readlink()) != str(os.getpid()):  # /proc shows the processes of another namespace
            return ""
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        numbers = Path("/proc/self/ns/pid").readlink()
    except OSError:
        return ""
    with suppress(OSError):  # older kernels have no namespaces of time
        return f"{boot} {numbers} {Path('/proc/self/ns/time').readlink()}"
    return f"{boot} {numbers}"


def _began(pid: int) -> int | None:
    """Return the start of a process; 0 if it has ended but is still listed, None if the start is unknown.

    psutil's times don't help: they count from the kernel's start, which moves when its clock is set.
    """
    try:
        state, *others = Path(f"/proc/{pid}/stat").read_text("latin-1").rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return 0 if state in "ZX" else int(others[18])


@dataclass(frozen=True, slots=True)
class Mark:
    """The content of a lock."""

    holder: Holder
    token: str
    """A unique name of this lock, even among locks of the same process."""
    beat: int = 0
    """Number of signs of life."""

    def to_bytes(self) -> bytes:
        """Return the mark as bytes of a lock."""
        return json.dumps({**asdict(self.holder), "token": self.token, "beat": self.beat}).encode()

    @classmethod
    def of(cls, data: bytes) -> Mark | None:
        """Return the mark in the bytes of a lock; None if they hold none."""
        try:
            values = json.loads(data)
            token, beat = values.pop("token"), values.pop("beat")
            if not isinstance(token, str) or not isinstance(beat, int):
                return None
            return cls(Holder.told(values), token, beat)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None

    def lives(self) -> bool | None:
        """Whether the holder lives; None if one look can't tell."""
        lives = self.holder.lives()
        return self.token in _MINE if lives and self.holder.pid == os.getpid() else lives


@dataclass(frozen=True, slots=True)
class Sign:
    """What was seen of a lock; a holder that lives changes it again and again."""

    data: bytes
    version: tuple[Any, ...]
    """What else changes when it is written: the file's time, the object's ETag."""
    lives: bool | None = field(compare=False, default=None)
    """Whether its holder does; None where that can't be told by one look."""

    @property
    def mark(self) -> Mark | None:
        """What the lock says."""
        return Mark.of(self.data)

    @property
    def holder(self) -> Holder | None:
        """The holder, if the lock names one."""
        mark = self.mark
        return mark.holder if mark else None


Look = Callable[[], Sign | None]
"""Look at a lock; return None if there is none."""


def alive(locks: Mapping[str, tuple[Look, Sign]], seconds: float) -> dict[str, Sign]:
    """Watch locks for at most `seconds`, and return those whose holders live.

    Only seconds in which this process itself could look count: a stopped process sees nothing.

    Parameters
    ----------
    locks : mapping
        By name, the function that looks at the lock, and the last seen state.
    seconds : float
    """
    living = {name: sign for name, (_, sign) in locks.items() if sign.lives}
    open_ones = {name: sign for name, (_, sign) in locks.items() if sign.lives is None}
    pause, watched = HEARTBEAT / 5, 0.0
    while open_ones and watched < seconds:
        began = now()
        time.sleep(pause)
        watched += min(now() - began, 2 * pause)
        for name, before in list(open_ones.items()):
            sign = locks[name][0]()
            if sign is None or sign.lives is False:
                del open_ones[name]
            elif sign != before:
                living[name] = sign
                del open_ones[name]
    return living


def watch(where: str, look: Look, sign: Sign, tell: Callable[[str], object]) -> Sign | None:
    """Return the last sign of a lock if its holder lives; None if it has ended, or stays silent for :data:`SILENCE`.

    Parameters
    ----------
    where : str
        The lock's path or URL, for messages.
    look : callable
        Looks at the lock again.
    sign : Sign
        The last seen state of the lock.
    tell : callable
        Called with a message if the lock must be watched for a minute.
    """
    if sign.lives is None:
        who = sign.holder or "an unknown process"
        tell(f"{where}: a lock of {who} is there; watching for {SILENCE:.0f} s whether it lives")
    return alive({"": (look, sign)}, SILENCE).get("")


def now() -> float:
    """Return the seconds of a monotonic clock, which also runs while the machine sleeps, if the system has one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Held:
    """A lock that this process holds: a thread renews it, and the run asks before each step whether it is still held.

    Parameters
    ----------
    name : str
        The lock's name in its folder.
    where : str
        The lock's path or URL, for messages.
    renew : callable
        Gives the sign of life in a mark; returns False if the lock isn't ours any more.
    """

    def __init__(self, name: str, where: str, mark: Mark, renew: Callable[[Mark], bool]) -> None:
        self.name = name
        self._where = where
        self._mark = mark
        self._renew = renew
        self._renewed = now()
        self._lost = False
        self._one = threading.Lock()

    @property
    def token(self) -> str:
        """The unique name of the lock."""
        return self._mark.token

    @property
    def lost(self) -> bool:
        """Whether the lock was found to be taken over or removed."""
        return self._lost

    def beat(self) -> None:
        """Give a sign of life; OSError if that fails at the moment."""
        with self._one:
            if self._lost:
                return
            began = now()
            self._mark = Mark(self._mark.holder, self._mark.token, self._mark.beat + 1)
            self._lost = not self._renew(self._mark)
            self._renewed = began

    def check(self) -> None:
        """Check that the lock is still held; look at it again if the last sign of life is some time ago.

        Raises
        ------
        OutputError
            If the lock is lost (reason ``in_use``), or could not be reached for too long.
        """
        silent = now() - self._renewed
        if silent > SILENCE / 2 and not self._lost:
            try:
                self.beat()
            except OSError as error:
                if silent > SILENCE:
                    raise as_place_error(self._where, error) from error
        if self._lost:
            raise taken_away(self._where)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Renew the lock in the block."""
        ended = threading.Event()

        def beats() -> None:
            while not ended.wait(HEARTBEAT) and not self._lost:
                with suppress(OSError):  # the next one may be given
                    self.beat()

        thread = threading.Thread(target=beats, name="dcm2zarr-heartbeat", daemon=True)
        before = _HELD.get()
        _HELD.set(self)
        _MINE.add(self.token)
        thread.start()
        try:
            yield
        finally:
            _MINE.discard(self.token)
            _HELD.set(before)
            ended.set()
            thread.join()


_HELD: ContextVar[Held | None] = ContextVar("held_lock", default=None)


def held() -> Held | None:
    """Return the lock that this run holds, if any."""
    return _HELD.get()


def still_held() -> None:
    """Raise OutputError (reason ``in_use``) if this run has lost its lock; see :meth:`Held.check`."""
    if (lock := held()) is not None:
        lock.check()


def new_mark() -> Mark:
    """Return the first content of a new lock of this process."""
    return Mark(Holder.here(), uuid.uuid4().hex)


def taken_away(where: str) -> OutputError:
    """Return the error of a run that has lost its lock."""
    return OutputError(
        f"{where}: this run's lock is gone, or another run's (this one gave no sign of life for {SILENCE:.0f} s, or somebody "
        "removed it), so nothing more is written: see with 'dcm2zarr status' whether another run is at work, and give the "
        "same command again",
        reason="in_use",
    )
