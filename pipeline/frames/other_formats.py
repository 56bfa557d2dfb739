"""Recognition of files that aren't DICOM by their first bytes."""

from __future__ import annotations

import re

from pipeline.errors import NotDicomError

TAR_BLOCK = 512
_ARCHIVES = (
    (re.compile(rb"PK(\x03\x04|\x05\x06|\x07\x08)"), "a zip archive"),
    (re.compile(rb"\x1f\x8b\x08"), "compressed by gzip"),
    (re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"), "compressed by bzip2"),
    (re.compile(rb"\xfd7zXZ\0"), "compressed by xz"),
    (re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"), "compressed by zstd"),
    (re.compile(rb"\x04\x22\x4d\x18"), "compressed by lz4"),
    (re.compile(rb"LZIP[\0\1]"), "compressed by lzip"),
    (re.compile(rb"\x1f[\x9d\xa0]"), "compressed by Unix' compress"),
    (re.compile(rb"7z\xbc\xaf\x27\x1c"), "a 7z archive"),
    (re.compile(rb"Rar!\x1a\x07"), "a rar archive"),
)
"""Signatures of archives and compressed files, from the definitions of their formats."""
_CHECKSUM = slice(148, 156)


def not_dicom(source: str, head: bytes, size: int) -> NotDicomError:
    """Return the error for a file that isn't DICOM, with reason ``archive``, ``empty_file`` or ``not_dicom``.

    Parameters
    ----------
    source : str
    head : bytes
        The file's first 512 bytes or more, or the whole shorter file.
    size : int
        Bytes in the whole file.
    """
    if not size:
        return NotDicomError(f"{source}: not DICOM: the file is empty", reason="empty_file", source=source)
    kind = archive_kind(head)
    if kind:
        message = f"{source}: not DICOM but {kind}, and not looked into: unpack it first"
        return NotDicomError(message, reason="archive", source=source)
    return NotDicomError(
        f"{source}: not DICOM: no 'DICM' at byte 128, and it doesn't begin with a data element",
        source=source,
    )


def archive_kind(head: bytes) -> str:
    """Describe an archive or a compressed file by its first bytes; empty for other files.

    >>> archive_kind(bytes.fromhex("1f8b0800"))
    'compressed by gzip'
    """
    kinds = (kind for signature, kind in _ARCHIVES if signature.match(head))
    return next(kinds, "a tar archive" if _is_tar(head) else "")


def _is_tar(head: bytes) -> bool:
    """Return whether the first block is a tar header, by POSIX's mark or, for older archives, by its checksum."""
    block = head[:TAR_BLOCK]
    if len(block) < TAR_BLOCK:
        return False
    if block[257:262] == b"ustar":
        return True
    written = re.fullmatch(rb" *([0-7]{1,7})[ \0]*", block[_CHECKSUM])
    blanked = block[: _CHECKSUM.start] + b" " * 8 + block[_CHECKSUM.stop :]
    return written is not None and int(written[1], 8) == sum(blanked)
