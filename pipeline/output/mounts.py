"""Find the file system of a path in the system's table of mounts."""

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
"""File systems of a disk, or of memory, that only one kernel writes to: its locks reach every process."""


def is_of_this_machine(path: str | os.PathLike[str]) -> bool:
    """Whether only processes of this machine's kernel can reach a path; False if unknown."""
    real = PurePath(os.path.realpath(path))
    try:
        mounts = [(PurePath(mount.mountpoint), mount.fstype) for mount in psutil.disk_partitions(all=True)]
    except OSError:  # the system doesn't show its mounts
        return False
    above = [(len(point.parts), number) for number, (point, _) in enumerate(mounts) if real.is_relative_to(point)]
    return bool(above) and mounts[max(above)[1]][1] in _OF_THIS_MACHINE  # the last of several on one folder
