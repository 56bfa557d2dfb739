"""Names of files that file systems, servers and desktops put into any folder; they don't belong to a result.

On NFS, SMB, AFS and FUSE a removed file that somebody has open stays under another name until it is closed. macOS, Windows
and network storage add their own files and folders when somebody looks at a folder.
"""

from __future__ import annotations

import re

_REMOVED_WHILE_OPEN = (
    r"\.nfs[0-9A-Fa-f]{8,}|\.fuse_hidden[0-9A-Fa-f]+|\.smbdelete\w*|\.(__)?smb[0-9A-Fa-f]+|\.__afs[0-9A-Fa-f]+"
)
_DESKTOPS = (
    r"\._.+|\.DS_Store|\.AppleDouble|\.AppleDB|\.AppleDesktop|\.TemporaryItems|\.Trashes|\.Trash-[0-9]+|\.fseventsd"
    r"|\.Spotlight-V100|\.DocumentRevisions-V100|\.VolumeIcon\.icns|\.apdisk|\.directory"
    r"|[Tt]humbs\.db(:encryptable)?|ehthumbs\.db|[Dd]esktop\.ini|\$RECYCLE\.BIN|System Volume Information"
)
_STORAGE = (
    r"lost\+found|\.snapshots?|\.snap|\.zfs|\.glusterfs|\.lustre|[@#]eaDir|\.@__thumb|@Recycle|@Recently-Snapshot"
    r"|#recycle|#snapshot|~snapshot|@SynoEAStream|@SynoResource"
)
_STRAY = re.compile(f"{_REMOVED_WHILE_OPEN}|{_DESKTOPS}|{_STORAGE}")


def is_stray(name: str) -> bool:
    """Return whether a file or folder of this name belongs to the file system, its server or a desktop.

    >>> [is_stray(name) for name in (".nfs000000000000a1b200000003", "._plan", "lost+found", "zarr.json", ".plan.part")]
    [True, True, True, False, False]
    """
    return _STRAY.fullmatch(name) is not None
