"""Resources that a process has used up: memory, open files, processes, threads. Neither source nor output is at fault."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from copy import copy
from pathlib import Path, PurePath

from pipeline.errors import ResourceError

if sys.platform != "win32":
    import resource

TOO_MANY_FILES, OUT_OF_MEMORY, TOO_MANY_PROCESSES = "too_many_open_files", "out_of_memory", "too_many_processes"
_REASONS = {
    errno.EMFILE: TOO_MANY_FILES,
    errno.ENFILE: TOO_MANY_FILES,
    errno.ENOMEM: OUT_OF_MEMORY,
}
_NO_MEMORY = ("failed to map segment", "cannot allocate memory", "cannot apply additional memory protection")
"""Messages of the loader when memory doesn't suffice for a shared library."""
_NO_THREAD = "can't start new thread"
_CONTROL_GROUPS = PurePath("/sys/fs/cgroup")
_UNLIMITED = 2**60
_MIB = 2**20
LEAST_ADDRESS_SPACE = 672 * _MIB
"""Measured: with 488 MiB some libraries crash on import, with 683 MiB a run can report that memory ran out, with 976 MiB it
succeeds."""


def as_resource_error(error: BaseException) -> ResourceError | None:
    """Return the ResourceError for an error that means an exhausted resource; None for all other errors."""
    if isinstance(error, ResourceError):
        return copy(error)  # an error that is its own cause can't travel between processes
    reason = _reason(error)
    if reason == TOO_MANY_FILES:
        return ResourceError(
            f"too many open files{_limit('RLIMIT_NOFILE', 'ulimit -n')}: raise that limit, or use fewer workers, and give "
            "the same command again",
            reason=reason,
        )
    if reason == TOO_MANY_PROCESSES:
        return ResourceError(
            f"too many processes or threads{_limit('RLIMIT_NPROC', 'ulimit -u')}: raise that limit, or use fewer workers, "
            "and give the same command again",
            reason=reason,
        )
    if reason == OUT_OF_MEMORY:
        return ResourceError(
            f"out of memory{_memory_limit()}: provide more memory, or use fewer workers, and give the same command again",
            reason=reason,
        )
    return None


def _reason(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return OUT_OF_MEMORY
    if isinstance(error, ImportError) and any(words in str(error) for words in _NO_MEMORY):
        return OUT_OF_MEMORY
    if isinstance(error, RuntimeError) and str(error).startswith(_NO_THREAD):
        return TOO_MANY_PROCESSES
    if isinstance(error, BlockingIOError) and error.filename is None:  # fork
        return TOO_MANY_PROCESSES
    return _REASONS.get(error.errno or 0, "") if isinstance(error, OSError) else ""


def check_address_space() -> None:
    """Refuse to start if the address space is too small to import the libraries, some of which would crash.

    Raises
    ------
    ResourceError
        If the address space is limited below :data:`LEAST_ADDRESS_SPACE`.
    """
    given = _soft("RLIMIT_AS")
    if given and given < LEAST_ADDRESS_SPACE:
        raise ResourceError(
            f"out of memory{_memory_limit()}: dcm2zarr needs at least {LEAST_ADDRESS_SPACE // _MIB} MiB, and more for each "
            "thread: raise that limit, and give the same command again",
            reason=OUT_OF_MEMORY,
        )


def _limit(name: str, command: str) -> str:
    """Describe a limit of this process; empty without a limit."""
    number = _soft(name)
    return f" (this process may have {number}: {command})" if number else ""


def _memory_limit() -> str:
    number = _soft("RLIMIT_AS")
    if number:
        return f" (this process may have {number // _MIB} MiB: ulimit -v)"
    shared = control_group_memory()
    return f" (all processes of this control group may have {shared // _MIB} MiB)" if shared else ""


def control_group_memory() -> int | None:
    """Return the memory limit of this process's control group in bytes; None without a limit.

    Batch systems and service managers limit groups below the topmost one, so the limits of all parents are read too.
    """
    limits = [number for file in _limit_files() if (number := _number_in(file)) is not None]
    return min(limits, default=None)


def _limit_files() -> Iterator[PurePath]:
    """Yield the limit files of this process's groups and their parents, for both versions of control groups."""
    try:
        lines = Path("/proc/self/cgroup").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":
            root, name = _CONTROL_GROUPS, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = _CONTROL_GROUPS / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = PurePath(path)
        for ancestor in (group, *group.parents):
            yield root / ancestor.relative_to("/") / name


def _number_in(file: PurePath) -> int | None:
    try:
        number = int(Path(file).read_text("ascii"))
    except (OSError, ValueError):  # no file, or "max"
        return None
    return number if number < _UNLIMITED else None


def _soft(name: str) -> int:
    if sys.platform == "win32":
        return 0
    number = resource.getrlimit(getattr(resource, name))[0]
    return 0 if number == resource.RLIM_INFINITY else number
