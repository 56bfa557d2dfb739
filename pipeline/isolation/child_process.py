"""A function in a process of its own, which may die, hang or take all memory without harm to this one."""

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
"""How long a process may take to start: only a machine in distress needs more than a few seconds."""
_CONTEXT: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
_READY, _MESSAGE, _DONE, _GONE, _DEATH = "ready", "message", "done", "gone", "death"
_PARENT = os.getppid()


@dataclass(frozen=True, slots=True)
class Death:
    """How a process ended before its function did."""

    reason: str
    """``timeout``, ``memory`` or ``crashed``."""
    text: str
    """For people, without a subject: "ended by signal SIGSEGV"."""


def run_apart(
    target: Callable[..., None], arguments: tuple[Any, ...], *, seconds: float, memory: int
) -> Iterator[Any | Death]:
    """Yield what ``target(send, *arguments)`` sends, from a process of its own.

    Parameters
    ----------
    target : callable
        Gets a function as first argument that sends a message; what it raises is a :class:`Death` too.
    arguments : tuple
    seconds : float
        How long the process may take for each message (or to end after the last one), once it is waited for.
    memory : int
        Bytes by which its resident memory may grow.

    Yields
    ------
    object
        The messages. Where the process didn't come to its end, a :class:`Death` as the last.
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
    """Be the other process, which needs no report of its death."""
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
    """Let the system end this process should its parent be gone by the time that it should have done so."""
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, 2 * seconds + START_SECONDS)


def _receive(receiver: Connection, pid: int | None, seconds: float, allowed: int) -> tuple[str, Any]:
    """Return what the process sends next, that it is gone, or its death by a limit: the kind, and what it holds."""
    deadline = monotonic() + seconds
    while not receiver.poll(POLL_SECONDS):
        if monotonic() > deadline:
            return _DEATH, _timeout(seconds)
        if _resident(pid) > allowed:
            return _DEATH, Death("memory", "stopped because it took more memory than limits.decode_memory allows")
        if os.getppid() != _PARENT:
            sys.exit("The worker that wanted this is gone")
    try:
        kind, content = receiver.recv()
    except (EOFError, ConnectionError):
        return _GONE, None
    return kind, content


def _resident(pid: int | None) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:  # it is gone, as its pipe will tell
        return 0


def _timeout(seconds: float) -> Death:
    return Death("timeout", f"stopped after {seconds:g} seconds")


def _death(exitcode: int | None, seconds: float) -> Death:
    if exitcode is None or exitcode >= 0:
        return Death("crashed", f"ended with exit status {exitcode}")
    if -exitcode == signal.SIGKILL:
        return Death("memory", "killed by the system, as it does where memory runs out")
    if hasattr(signal, "SIGALRM") and -exitcode == signal.SIGALRM:
        return _timeout(seconds)
    try:
        name = signal.Signals(-exitcode).name
    except ValueError:
        name = str(-exitcode)
    return Death("crashed", f"ended by signal {name}")
