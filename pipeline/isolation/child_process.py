"""Calls in a separate process, which may die, hang or take all memory without harm to this one."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from time import monotonic
from typing import Any

import psutil

from pipeline.storage import Options, active, using

POLL_SECONDS = 0.02
START_SECONDS = 120.0
"""Seconds that a process may take to start; only an overloaded machine needs more than a few."""
_CONTEXT: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
_READY, _MESSAGE, _DONE, _GONE, _DEATH = "ready", "message", "done", "gone", "death"
_PARENT = os.getppid()


@dataclass(frozen=True, slots=True)
class Death:
    """How a process ended before its function did."""

    reason: str
    """``timeout``, ``memory`` or ``crashed``."""
    text: str
    """Description without a subject: "ended by signal SIGSEGV"."""


def run_apart(
    target: Callable[..., None], arguments: tuple[Any, ...], *, seconds: float, memory: int
) -> Iterator[Any | Death]:
    """Run ``target(send, *arguments)`` in a separate process and yield the messages that it sends.

    Parameters
    ----------
    target : callable
        Its first argument is a function that sends a message. An exception of `target` also counts as :class:`Death`.
    arguments : tuple
        Further arguments of `target`.
    seconds : float
        Seconds that the process may take for each message, and to end after the last one, while this process waits.
    memory : int
        Bytes by which the resident memory of the process may grow.

    Yields
    ------
    object
        The messages; at the end a :class:`Death` if the process ended before its function.
    """
    receiver, sender = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_run, args=(sender, target, arguments, seconds, active()), daemon=True)
    process.start()
    sender.close()
    try:
        patience, allowed = START_SECONDS, sys.maxsize
        while True:
            kind, content = _receive(receiver, process.pid, patience, allowed)
            if kind == _READY:
                patience, allowed = seconds, _resident(process.pid) + memory
            elif kind == _MESSAGE:
                yield content
            elif kind == _DEATH:
                yield content
                return
            elif kind == _GONE:
                process.join()
                yield _death(process.exitcode, seconds)
                return
            else:
                return
    finally:
        receiver.close()
        process.kill()
        process.join()


def _run(
    sender: Connection, target: Callable[..., None], arguments: tuple[Any, ...], seconds: float, options: Options
) -> None:
    """Entry point of the separate process; it leaves no core dump and no traceback."""
    faulthandler.disable()
    if sys.platform != "win32":
        import resource  # noqa: PLC0415  not on every system

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def send(content: Any) -> None:
        sender.send((_MESSAGE, content))
        _limit(seconds)

    sender.send((_READY, None))
    _limit(seconds)
    with using(options):
        target(send, *arguments)
    sender.send((_DONE, None))


def _limit(seconds: float) -> None:
    """Set a timer with which the system ends this process, in case the parent is gone and can't."""
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, 2 * seconds + START_SECONDS)


def _receive(receiver: Connection, pid: int | None, seconds: float, allowed: int) -> tuple[str, Any]:
    """Return kind and content of the next event: a message, the end of the process, or its death by a limit."""
    deadline = monotonic() + seconds
    while not receiver.poll(POLL_SECONDS):
        if monotonic() > deadline:
            return _DEATH, _timeout(seconds)
        if _resident(pid) > allowed:
            return _DEATH, Death("memory", "stopped because it took more memory than limits.decode_memory allows")
        if os.getppid() != _PARENT:
            sys.exit("The worker that started this process is gone")
    try:
        kind, content = receiver.recv()
    except (EOFError, ConnectionError):
        return _GONE, None
    return kind, content


def _resident(pid: int | None) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:  # the process is gone, which its pipe will report
        return 0


def _timeout(seconds: float) -> Death:
    return Death("timeout", f"stopped after {seconds:g} seconds")


def _death(exitcode: int | None, seconds: float) -> Death:
    if exitcode is None or exitcode >= 0:
        return Death("crashed", f"ended with exit status {exitcode}")
    if -exitcode == signal.SIGKILL:
        return Death("memory", "killed by the system, probably because memory ran out")
    if hasattr(signal, "SIGALRM") and -exitcode == signal.SIGALRM:
        return _timeout(seconds)
    try:
        name = signal.Signals(-exitcode).name
    except ValueError:
        name = str(-exitcode)
    return Death("crashed", f"ended by signal {name}")
