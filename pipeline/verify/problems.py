"""What can be wrong with a result, in words that stay the same."""

from __future__ import annotations

from dataclasses import dataclass

CODES = {
    "unfinished_run": "the run that wrote the result hasn't ended, or its record of having ended is gone",
    "incomplete_image": "not all of an image was stored",
    "ledger_damaged": "a line of the ledger doesn't fit its checksum",
    "plan_unreadable": "the plan can't be read, so nothing can be held against it",
    "catalog_unreadable": "the catalog can't be read",
    "missing_file": "a file isn't there",
    "extra_file": "a file or folder that belongs to nothing",
    "changed_file": "a file isn't what was written",
    "metadata_differ": "an image's metadata aren't what plan, ledger and headers say",
    "metadata_unreadable": "an image's metadata can't be read",
    "frame_unreadable": "frames can't be decoded from the store",
    "frame_differs": "frames don't fit their checksum",
    "row_differs": "a row of the catalog doesn't say what plan and ledger say",
    "row_missing": "a file of the plan has no row in the catalog",
    "row_extra": "a row of the catalog that the plan doesn't know",
    "source_gone": "the original isn't there any more, so it can't be compared",
    "source_unreadable": "the original can't be read",
    "source_changed": "the original has another size than when it was converted",
    "pixels_differ": "the original decodes to other pixels than the stored ones",
    "decoders_disagree": "the stored pixels are what their decoder makes of the original, but another one disagrees",
    "decode_failed": "the original can't be decoded any more",
    "header_differs": "the original's header isn't the stored one",
    "frames_differ": "the original has another number of frames",
    "check_failed": "the check itself ended with an error",
}
"""Code → what it means."""
_AGAIN = "run the same command again"
_MADE_ANEW = f"remove what is named, and {_AGAIN}: it is made anew, where its originals are still there"
_KEEP = "keep the original; convert it into another output directory, and compare"
_FETCH = "fetch the original again from its archive"
REPAIRS = {
    "unfinished_run": f"{_AGAIN}: it goes on",
    "incomplete_image": f"{_AGAIN}: it goes on",
    "ledger_damaged": f"{_AGAIN}: work whose record is damaged is done again",
    "plan_unreadable": "restore plan/ from a backup, or convert everything anew with --overwrite",
    "catalog_unreadable": f"remove catalog.parquet, and {_AGAIN}: it is written anew",
    "missing_file": f"{_AGAIN}: it is made anew, where its originals are still there",
    "extra_file": "remove it, or put it where it belongs",
    "changed_file": f"{_MADE_ANEW}; of plan/ and ledger/, restore it from a backup",
    "metadata_differ": f"remove the image's zarr.json, and {_AGAIN}: the image is completed anew",
    "metadata_unreadable": f"remove the image's zarr.json, and {_AGAIN}: the image is completed anew",
    "frame_unreadable": _MADE_ANEW,
    "frame_differs": _MADE_ANEW,
    "row_differs": f"remove catalog.parquet, and {_AGAIN}: it is written anew",
    "row_missing": f"remove catalog.parquet, and {_AGAIN}: it is written anew",
    "row_extra": f"remove catalog.parquet, and {_AGAIN}: it is written anew",
    "source_gone": f"{_FETCH}, or keep the result as the only copy: this original was never compared with it",
    "source_unreadable": "check its permissions, and the disk or network share",
    "source_changed": f"put back what was converted, or {_AGAIN} to convert what is there now",
    "pixels_differ": _KEEP,
    "decoders_disagree": _KEEP,
    "decode_failed": _FETCH,
    "header_differs": f"put back what was converted, or {_AGAIN} to convert what is there now",
    "frames_differ": f"put back what was converted, or {_AGAIN} to convert what is there now",
    "check_failed": "verify again; if it stays, the message says where to look",
}
"""Code → what to do about it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    code: str
    """One of :data:`CODES`."""
    where: str
    """Path below the output directory; path or URL of an original."""
    message: str
    image: int | None = None
    """Position in the plan of the image that is affected."""
    frames: range | None = None
    """Frames of this image that are affected; None for all."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What a task checked, and what it found."""

    problems: tuple[Problem, ...] = ()
    images: int = 0
    frames: int = 0
    bytes: int = 0
    """Decoded."""
