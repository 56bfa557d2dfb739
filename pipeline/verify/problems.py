"""The problems that a result can have: their codes, which stay the same, their meanings and their repairs."""

from __future__ import annotations

from dataclasses import dataclass

CODES = {
    "unfinished_run": "the run that wrote the result hasn't ended, or the record of its end is missing",
    "incomplete_image": "a part of an image wasn't stored",
    "ledger_damaged": "a line of the ledger doesn't match its checksum",
    "plan_unreadable": "the plan can't be read, so nothing can be checked against it",
    "catalog_unreadable": "the catalog can't be read",
    "missing_file": "a file is missing",
    "extra_file": "a file or folder doesn't belong to the result",
    "changed_file": "a file has changed since it was written",
    "metadata_differ": "an image's metadata contradict plan, ledger and headers",
    "metadata_unreadable": "an image's metadata can't be read",
    "frame_unreadable": "frames can't be decoded from the store",
    "frame_differs": "frames don't match their checksums",
    "row_differs": "a row of the catalog contradicts plan and ledger",
    "row_missing": "a file of the plan has no row in the catalog",
    "row_extra": "the plan doesn't know the file of a catalog row",
    "source_gone": "the original is missing, so it can't be compared",
    "source_unreadable": "the original can't be read",
    "source_changed": "the original's size has changed since it was converted",
    "pixels_differ": "the original decodes to other pixels than the stored ones",
    "decoders_disagree": "the decoder that made the stored pixels still makes them, but another decoder disagrees",
    "decode_failed": "the original can't be decoded any more",
    "header_differs": "the original's header differs from the stored one",
    "frames_differ": "the original's number of frames differs from the stored one",
    "check_failed": "the check itself ended with an error",
}
"""Code → its meaning."""
_AGAIN = "run the same command again"
_GOES_ON = f"{_AGAIN}: it goes on"
_ORIGINALS = "if its originals still exist"
_REMAKE = f"remove the named file, and {_AGAIN}: it makes the file again, {_ORIGINALS}"
_REMAKE_CATALOG = f"remove catalog.parquet, and {_AGAIN}: it writes the catalog again"
_REMAKE_METADATA = f"remove the image's zarr.json, and {_AGAIN}: it completes the image again"
_RESTORE = f"put back the converted original, or {_AGAIN} to convert the present one"
_KEEP = "keep the original; convert it into another output directory, and compare"
_FETCH = "fetch the original again from its archive"
REPAIRS = {
    "unfinished_run": _GOES_ON,
    "incomplete_image": _GOES_ON,
    "ledger_damaged": f"{_AGAIN}: it repeats the work whose record is damaged",
    "plan_unreadable": "restore plan/ from a backup, or convert everything again with --overwrite",
    "catalog_unreadable": _REMAKE_CATALOG,
    "missing_file": f"{_AGAIN}: it makes the file again, {_ORIGINALS}",
    "extra_file": "remove it, or put it where it belongs",
    "changed_file": f"{_REMAKE}; restore files of plan/ and ledger/ from a backup",
    "metadata_differ": _REMAKE_METADATA,
    "metadata_unreadable": _REMAKE_METADATA,
    "frame_unreadable": _REMAKE,
    "frame_differs": _REMAKE,
    "row_differs": _REMAKE_CATALOG,
    "row_missing": _REMAKE_CATALOG,
    "row_extra": _REMAKE_CATALOG,
    "source_gone": f"{_FETCH}, or keep the result as the only copy: this original was never compared with it",
    "source_unreadable": "check its permissions, and the disk or network share",
    "source_changed": _RESTORE,
    "pixels_differ": _KEEP,
    "decoders_disagree": _KEEP,
    "decode_failed": _FETCH,
    "header_differs": _RESTORE,
    "frames_differ": _RESTORE,
    "check_failed": "verify again; if it fails again, the message says where to look",
}
"""Code → the repair."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of a result."""

    code: str
    """One of :data:`CODES`."""
    where: str
    """Path below the output directory, or path or URL of an original."""
    message: str
    image: int | None = None
    """The affected image, by its position in the plan."""
    frames: range | None = None
    """The affected frames of this image; None for all."""


@dataclass(frozen=True, slots=True)
class Findings:
    """How much a task checked, and the problems that it found."""

    problems: tuple[Problem, ...] = ()
    images: int = 0
    frames: int = 0
    bytes: int = 0
    """Decoded bytes that were checked."""
