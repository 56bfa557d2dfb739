"""Who writes an output: a process, told apart from all others, and the signs that it is alive."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import psutil

SILENCE = 60.0
"""Seconds without one after which a lock of another host counts as abandoned."""


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
