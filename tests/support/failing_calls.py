"""System calls that fail as on odd file systems or in bad moments: in this process, or in others that preload a library.

A fault is ``call:errno:times:part of the path`` (times -1: always), several of them with ``;`` between. Calls: open, write, close,
fsync, fsyncdir, syncfs, rename, exchange, unlink, rmdir, mkdir, fchmod, flock, fadvise.
"""

from __future__ import annotations

import ctypes
import errno
import io
import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_CDLL = ctypes.CDLL
SHIM = Path(__file__).with_suffix(".c")


def built(folder: Path) -> Path:
    """The library to preload; skips if there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("there is no C compiler (cc) to build tests/support/failing_calls.c with")
    library = folder / "faults.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(SHIM), "-ldl"], check=True)
    return library


class Faults:
    """The planned faults, and how often each will still occur."""

    def __init__(self, text: str) -> None:
        parts = [one.split(":", 3) for one in text.split(";") if one]
        self.left = [[call, getattr(errno, code), int(times), part] for call, code, times, part in parts]

    def check(self, call: str, path: str) -> None:
        """Fail if a fault is planned for this call."""
        for fault in self.left:
            if fault[0] == call and fault[3] in path and fault[2]:
                fault[2] -= 1
                raise OSError(fault[1], os.strerror(fault[1]), path)


def _path(name: Any, folder: int | None) -> str:
    if isinstance(name, int):
        return _name(name)
    text = os.fsdecode(os.fspath(name))
    return text if folder is None else f"{_name(folder)}/{text}"


def _name(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


class _File(io.FileIO):
    faults: Faults

    def write(self, data: Any) -> int:
        self.faults.check("write", _path(self.fileno(), None))
        return super().write(data)

    def close(self) -> None:
        path = "" if self.closed else _path(self.fileno(), None)
        super().close()
        if path:
            self.faults.check("close", path)


class _Library:
    """The C library, for its calls that Python lacks."""

    def __init__(self, faults: Faults) -> None:
        self._faults, self._real = faults, _CDLL(None, use_errno=True)

    def _call(self, call: str, path: str, function: Callable[..., int], *given: Any) -> int:
        try:
            self._faults.check(call, path)
        except OSError as error:
            ctypes.set_errno(error.errno or 0)
            return -1
        return function(*given)

    def syncfs(self, descriptor: int) -> int:
        return self._call("syncfs", _path(descriptor, None), self._real.syncfs, descriptor)

    def renameat2(self, *given: Any) -> int:
        return self._call("exchange", _path(given[3], given[2]), self._real.renameat2, *given)


@contextmanager
def failing(text: str):
    """Let calls of this process fail within the block."""
    faults = Faults(text)
    with pytest.MonkeyPatch.context() as patch:
        for call, name in {"open": "open", "unlink": "unlink", "rmdir": "rmdir", "mkdir": "mkdir"}.items():
            patch.setattr(os, name, _one(faults, call, getattr(os, name)))
        patch.setattr(os, "replace", _two(faults, os.replace))
        patch.setattr(os, "fsync", _fsync(faults, os.fsync))
        patch.setattr(os, "fchmod", _one(faults, "fchmod", os.fchmod))
        patch.setattr(os, "posix_fadvise", _one(faults, "fadvise", os.posix_fadvise))
        patch.setattr(os, "supports_dir_fd", os.supports_dir_fd | {os.open, os.unlink, os.rmdir, os.mkdir})
        patch.setattr(os, "fdopen", _fdopen(faults, os.fdopen))
        patch.setattr(ctypes, "CDLL", lambda *_given, **_more: _Library(faults))
        yield faults


def _one(faults: Faults, call: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def called(name: Any, *given: Any, dir_fd: int | None = None, **more: Any) -> Any:
        faults.check(call, _path(name, dir_fd))
        return real(name, *given, **more, **({} if dir_fd is None else {"dir_fd": dir_fd}))

    return called


def _two(faults: Faults, real: Callable[..., Any]) -> Callable[..., Any]:
    def called(name: Any, its: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> Any:
        faults.check("rename", _path(its, dst_dir_fd))
        return real(name, its, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    return called


def _fsync(faults: Faults, real: Callable[[int], None]) -> Callable[[int], None]:
    def called(descriptor: int) -> None:
        folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        faults.check("fsyncdir" if folder else "fsync", _path(descriptor, None))
        real(descriptor)

    return called


def _fdopen(faults: Faults, real: Callable[..., Any]) -> Callable[..., Any]:
    def called(descriptor: int, mode: str = "r", buffering: int = -1, **more: Any) -> Any:
        if mode != "wb":
            return real(descriptor, mode, buffering, **more)
        file = _File(descriptor, "wb")
        file.faults = faults
        return io.BufferedWriter(file, 8192 if buffering < 0 else buffering)

    return called
