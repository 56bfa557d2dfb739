"""Who writes an output: a process, told apart from all others, and the signs that it is alive."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psutil

SILENCE = 60.0
"""Seconds without one after which a lock of another host counts as abandoned."""
LONGEST = 4096
"""Bytes of a lock that are looked at."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that writes, or wrote, an output directory."""

    host: str
    pid: int
    began: float
    """When the process began, in seconds since 1970: a process number is used again."""
    started: str
    """When the run began (ISO 8601, UTC)."""

    @classmethod
    def here(cls) -> Holder:
        """Return this process."""
        began = psutil.Process().create_time()
        return cls(socket.gethostname(), os.getpid(), began, datetime.now(UTC).isoformat(timespec="seconds"))

    @classmethod
    def told(cls, values: Any) -> Holder:
        """Return the process that a lock names, in values of JSON; ValueError where it names none."""
        kinds: dict[str, Any] = {"host": str, "pid": int, "began": int | float, "started": str}
        if not isinstance(values, dict) or values.keys() != kinds.keys():
            raise ValueError("the lock names no process")
        if not all(isinstance(values[name], kind) for name, kind in kinds.items()):
            raise ValueError("the lock names no process")
        if not (0 < values["pid"] < 2**31 and abs(values["began"]) < 2**53):
            raise ValueError("the lock names no process")
        return cls(**values)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.started}"

    @property
    def is_here(self) -> bool:
        """Whether it is a process of this host."""
        return self.host == socket.gethostname()

    def lives(self, silent: float) -> bool:
        """Whether it is alive, as far as can be told here, `silent` seconds after its last sign of life."""
        if not self.is_here:
            return silent < SILENCE
        try:
            return bool(abs(psutil.Process(self.pid).create_time() - self.began) < 1)
        except psutil.NoSuchProcess:
            return False


@contextmanager
def beating(renew: Callable[[], object], seconds: float) -> Iterator[None]:
    """Give a sign of life every so many seconds until the block ends; one that can't be given is left out."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(seconds):
            with suppress(OSError):
                renew()

    thread = threading.Thread(target=beat, name="dcm2zarr-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
