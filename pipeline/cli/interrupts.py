"""Handle Ctrl-C and the signals with which terminals, batch systems and containers end a process."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType
from typing import NoReturn

HEEDED = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # Windows has no SIGHUP
AT_ONCE_SECONDS = 0.5
"""A signal that follows the first one sooner is the same signal again, sent to the process group or by a wrapper."""


class Interrupted(KeyboardInterrupt):
    """A signal asked the process to end: current work is left as a crash would leave it, and cleaned up."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


@contextmanager
def heed_signals() -> Iterator[None]:
    """End the block by :class:`Interrupted` when a signal comes; a second signal ends the process at once.

    Signals that are already handled or ignored (``nohup``, a background job of a shell) are left alone.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread can handle signals
        yield
        return
    first = 0.0

    def handle(number: int, _frame: FrameType | None) -> None:
        nonlocal first
        if not first:
            first = monotonic()
            raise Interrupted(number)
        if monotonic() - first > AT_ONCE_SECONDS:
            end_now(128 + number)

    ours = [number for number in HEEDED if signal.getsignal(number) in {signal.SIG_DFL, signal.default_int_handler}]
    before = {number: signal.signal(number, handle) for number in ours}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_now(code: int) -> NoReturn:
    """End the process and its children, without the libraries' own clean-up, which fails in the middle of work."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    import psutil  # noqa: PLC0415  ``--help`` doesn't need it

    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if not any("resource_tracker" in part for part in child.cmdline()):  # removes semaphores, then ends itself
                child.kill()
    os._exit(code)
