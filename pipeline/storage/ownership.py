"""Ownership of folders: which other users could have changed a folder's content, or exchanged the folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

try:
    import grp
    import pwd
except ImportError:  # Windows, where owners aren't checked
    grp = pwd = None  # type: ignore[assignment]

_ROOT = 0
_ACL = "system.posix_acl_access"


def describe_other_writers(root: Path, names: Iterable[str] = ()) -> str:
    """Describe for people who else could have written a folder's content; empty if only the caller and root could.

    Parameters
    ----------
    root : Path
        The folder. Its parents are checked too, of the path as given and with links resolved.
    names : iterable of str
        Entries of the folder to check; missing ones are skipped.
    """
    if pwd is None:
        return "this system doesn't tell who owns the directory"
    for path in (root, *(root / name for name in names)):
        description = _describe_writer(path)
        if description:
            return description
    return next(filter(None, map(_describe_exchanger, _parents(root))), "")


def _describe_writer(path: Path) -> str:
    """Describe who else could have written a file or a folder."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return ""
    if status.st_uid not in (os.geteuid(), _ROOT):
        return f"{path} belongs to {_user(status.st_uid)}"
    return _describe_permissions(path, status)


def _describe_exchanger(folder: Path) -> str:
    """Describe who else could have exchanged an entry of `folder`."""
    status = folder.stat()
    if status.st_uid not in (os.geteuid(), _ROOT, *_unmapped()):
        return f"it lies in {folder}, which belongs to {_user(status.st_uid)}"
    return "" if status.st_mode & stat.S_ISVTX else _describe_permissions(folder, status)


def _describe_permissions(path: Path, status: os.stat_result) -> str:
    if status.st_mode & stat.S_IWOTH:
        return f"everybody can write {path}"
    if status.st_mode & stat.S_IWGRP and not (_is_own_group(status.st_gid) and not _has_list(path)):
        return f"the group {_group(status.st_gid)} can write {path}"
    return ""


def _parents(root: Path) -> Iterator[Path]:
    """Yield the parents of a folder, of its path as given and of its real path."""
    yield from dict.fromkeys((*Path(os.path.abspath(root)).parents, *Path(os.path.realpath(root)).parents))  # noqa: PTH100


@lru_cache(maxsize=64)
def _is_own_group(number: int) -> bool:
    """Return whether the caller is the group's only member; many systems make such a group for each user."""
    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(number)
    except KeyError:
        return False
    return number == user.pw_gid and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}


def _has_list(path: Path) -> bool:
    """Return whether a file has an access control list; its group permission then covers the whole list."""
    if not hasattr(os, "getxattr"):
        return False
    try:
        return bool(os.getxattr(path, _ACL))
    except OSError:  # no list, or a file system without lists
        return False


@lru_cache(maxsize=1)
def _unmapped() -> tuple[int, ...]:
    """Return the owner of the system's folders in a container that maps only its own user."""
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
