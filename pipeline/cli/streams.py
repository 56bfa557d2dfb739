"""The standard streams, which may be closed, full, or without a reader: this ends no run, but is reported."""

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
"""Open files that a process asks for, if its hard limit allows more: a cluster takes a dozen for each worker."""


class Stream:
    """A text stream that survives a failed write: it drops all later text, and keeps the reason in `failure`."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.failure = "" if stream is not None else os.strerror(errno.EBADF)

    def __getattr__(self, name: str) -> Any:
        if self._stream is None and name in {"isatty", "fileno", "encoding"}:
            raise AttributeError(name)
        return getattr(self._stream, name)

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self._stream is not None and bool(self._stream.isatty())

    def write(self, text: str) -> int:
        """Write text, or drop it after a failure."""
        if not self.failure:
            try:
                return int(self._stream.write(text))
            except BrokenPipeError:
                raise
            except (OSError, ValueError) as error:
                self._give_up(error)
        return len(text)

    def flush(self) -> None:
        """Flush the stream, unless it has failed."""
        if not self.failure:
            try:
                self._stream.flush()
            except BrokenPipeError:
                raise
            except (OSError, ValueError) as error:
                self._give_up(error)

    def settle(self) -> str:
        """Flush, and return why some text is lost; empty if none is."""
        with suppress(BrokenPipeError):  # the reader has seen enough
            self.flush()
        return self.failure

    def _give_up(self, error: OSError | ValueError) -> None:
        self.failure = (error.strerror if isinstance(error, OSError) else "") or str(error)
        discard(self._stream)


def discard(stream: Any) -> None:
    """Send a stream's buffered and later text nowhere: otherwise the interpreter complains when it ends."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def keep_standard_descriptors() -> None:
    """Reserve the descriptor numbers of closed standard streams, so that no file opened later gets them.

    Libraries and child processes print to these numbers, even if they belong to a ledger by then.
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
    """Raise the limit of open files to the number that a cluster takes, if the hard limit allows it."""
    if sys.platform == "win32":
        return
    given, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if most == resource.RLIM_INFINITY else min(most, _FILES)
    if given != resource.RLIM_INFINITY and given < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
