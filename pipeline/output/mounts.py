"""Which file system a path lies on, by the system's table of mounts."""

from __future__ import annotations

import os
from pathlib import PurePath

import psutil

_OF_THIS_MACHINE = frozenset(
    [
        "apfs",
        "bcachefs",
        "btrfs",
        "exfat",
        "ext2",
        "ext3",
        "ext4",
        "f2fs",
        "hfs",
        "jfs",
        "ntfs3",
        "overlay",
        "ramfs",
        "reiserfs",
        "tmpfs",
        "vfat",
        "xfs",
        "zfs",
    ]
)
"""File systems of a disk, or of memory, that one kernel alone writes to: its locks reach everybody."""


def is_of_this_machine(path: str | os.PathLike[str]) -> bool:
    """Whether nobody but processes of this machine's kernel can reach a path; False where that isn't known."""
    real = PurePath(os.path.realpath(path))
    try:
        mounts = [(PurePath(one.mountpoint), one.fstype) for one in psutil.disk_partitions(all=True)]
    except OSError:  # a system that doesn't show them
        return False
    above = [(len(point.parts), number) for number, (point, _) in enumerate(mounts) if real.is_relative_to(point)]
    return bool(above) and mounts[max(above)[1]][1] in _OF_THIS_MACHINE  # of several on one another, the last
