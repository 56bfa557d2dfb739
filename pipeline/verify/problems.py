"""What can be wrong with a result, in words that stay the same."""

from __future__ import annotations

from dataclasses import dataclass

CODES = {
    "unfinished_run": "the run that wrote the result hasn't ended, or its record of having ended is gone",
    "incomplete_image": "not all of an image was stored: run the same command again",
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
