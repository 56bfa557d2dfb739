"""The standard streams, which may be closed, full, or without a reader: that ends no run, but it is told."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from typing import Any

if sys.platform != "win32":
    import resource

_STANDARD = (0, 1, 2)
_FILES = 4096
"""Open files that a process asks for where it may have more than it was given: a cluster takes a dozen for each worker."""


class Stream:
    """A text stream; once it takes no more, what is written to it is lost, and it knows."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.failure = "" if stream is not None else os.strerror(errno.EBADF)

    def __getattr__(self, name: str) -> Any:
        if self._stream is None and name in {"isatty", "fileno", "encoding"}:
            raise AttributeError(name)
        return getattr(self._stream, name)

    def isatty(self) -> bool:
        """Whether somebody looks at it."""
        return self._stream is not None and bool(self._stream.isatty())

    def write(self, text: str) -> int:
        """Take text."""
        if not self.failure:
            try:
                return int(self._stream.write(text))
            except BrokenPipeError:
                raise
            except (OSError, ValueError) as error:
                self._give_up(error)
        return len(text)

    def flush(self) -> None:
        """Pass on what was taken."""
        if not self.failure:
            try:
                self._stream.flush()
            except BrokenPipeError:
                raise
            except (OSError, ValueError) as error:
                self._give_up(error)

    def settle(self) -> str:
        """Flush, and return why something that was written is lost; empty where nothing is."""
        with suppress(BrokenPipeError):  # its reader has seen enough
            self.flush()
        return self.failure

    def _give_up(self, error: OSError | ValueError) -> None:
        self.failure = (error.strerror if isinstance(error, OSError) else "") or str(error)
        discard(self._stream)


def discard(stream: Any) -> None:
    """Let what a stream still holds, and will be given, go nowhere: else the interpreter complains at its end."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def keep_standard_descriptors() -> None:
    """Let no file that is opened later take the number of a standard stream that is closed.

    Libraries, and processes started from here, print to these numbers, whatever they are by then: a ledger.
    """
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            os.set_inheritable(number, True)


def allow_files() -> None:
    """Ask for as many open files as a cluster takes, where more are allowed than this process was given."""
    if sys.platform == "win32":
        return
    given, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if most == resource.RLIM_INFINITY else min(most, _FILES)
    if given != resource.RLIM_INFINITY and given < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
