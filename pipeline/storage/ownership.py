"""Whose a folder is: who but the caller could have written what lies in it, or put another one in its place."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

try:
    import grp
    import pwd
except ImportError:  # not on Windows: nothing is anybody's there, as far as can be told here
    grp = pwd = None  # type: ignore[assignment]

_ROOT = 0
_ACL = "system.posix_acl_access"


def strangers(root: Path, names: Iterable[str] = ()) -> str:
    """Say, for people, who could have written a folder or what lies in it; empty where only the caller could, and root.

    Parameters
    ----------
    root : Path
        The folder; it and those that it lies in are looked at, links to them too.
    names : iterable of str
        What to look at below it; what isn't there is left out.
    """
    if pwd is None:
        return "this system doesn't tell whose it is"
    for path in (root, *(root / name for name in names)):
        told = _writers(path)
        if told:
            return told
    return next(filter(None, map(_exchangers, _above(root))), "")


def _writers(path: Path) -> str:
    """Say who else could have written a file or a folder."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return ""
    if found.st_uid not in (os.geteuid(), _ROOT):
        return f"{path} belongs to {_user(found.st_uid)}"
    return _others(path, found)


def _exchangers(folder: Path) -> str:
    """Say who could have put another folder in the place of one that lies in `folder`."""
    found = folder.stat()
    if found.st_uid not in (os.geteuid(), _ROOT, *_unmapped()):
        return f"it lies in {folder}, which belongs to {_user(found.st_uid)}"
    return "" if found.st_mode & stat.S_ISVTX else _others(folder, found)


def _others(path: Path, found: os.stat_result) -> str:
    if found.st_mode & stat.S_IWOTH:
        return f"everybody can write {path}"
    if found.st_mode & stat.S_IWGRP and not (_is_own_group(found.st_gid) and not _has_list(path)):
        return f"the group {_group(found.st_gid)} can write {path}"
    return ""


def _above(root: Path) -> Iterator[Path]:
    """Yield the folders that a folder lies in, as it is named and as it is."""
    yield from dict.fromkeys((*Path(os.path.abspath(root)).parents, *Path(os.path.realpath(root)).parents))  # noqa: PTH100


@lru_cache(maxsize=64)
def _is_own_group(number: int) -> bool:
    """Whether a group is the caller's alone, as many systems make one for each user (user private groups)."""
    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(number)
    except KeyError:
        return False
    return number == user.pw_gid and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}


def _has_list(path: Path) -> bool:
    """Whether an access control list says who may write: the group's permission stands for all of it then."""
    if not hasattr(os, "getxattr"):
        return False
    try:
        return bool(os.getxattr(path, _ACL))
    except OSError:  # there is none, or there are none on this file system
        return False


@lru_cache(maxsize=1)
def _unmapped() -> tuple[int, ...]:
    """Return what owns the system's folders in a container whose user is the only one that it knows."""
    try:
        everybody = Path("/proc/self/uid_map").read_text("ascii").split() == ["0", "0", "4294967295"]
        return () if everybody else (int(Path("/proc/sys/kernel/overflowuid").read_text("ascii")),)
    except (OSError, ValueError):
        return ()


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
