"""Headers: everything that one pass over a file reads, except the pixel data's value."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset

from pipeline.deid import IDENTITY, Gate
from pipeline.frames.elements import Elements
from pipeline.frames.items import Items
from pipeline.frames.limits import DEFAULT_LIMITS, HeaderLimits
from pipeline.frames.release import release

PIXEL_KEYWORDS = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}


@dataclass(frozen=True)
class Header:
    """One file's elements and the place of its pixel data.

    Offsets are absolute in the file or, if `deflated`, in the inflated data set.
    """

    source: str
    dataset: Dataset
    """All elements except the pixel data, including those after them."""
    file_meta: FileMetaDataset
    transfer_syntax_uid: str
    pixel_keyword: str | None = None
    """``PixelData``, ``FloatPixelData``, ``DoubleFloatPixelData``; None without pixel data."""
    pixel_vr: str = ""
    """As written; empty in implicit VR."""
    value_offset: int = 0
    value_length: int | None = None
    """As declared; None if undefined (or without pixel data)."""
    deflated: bool = False
    assumptions: tuple[str, ...] = ()
    """Notes on missing or wrong declarations of the file, and what was assumed instead."""
    items: Items | None = None
    """Items of encapsulated pixel data, if they were walked to find the elements after them."""
    trailing: frozenset[int] = frozenset()
    """Tags of the elements after the pixel data."""
    truncated: str = ""
    """Description of the element before the pixel data inside which the file ends; else empty."""
    left_over: int = 0
    """Bytes after the last element of a file without pixel data that are neither an element nor padding."""
    unstored: tuple[str, ...] = ()
    """Descriptions of further data in the file that may be an image and isn't stored anywhere."""
    limits: HeaderLimits = DEFAULT_LIMITS
    """Limits of the file's header and inflated size."""
    checked: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """Cached Image Pixel attributes of :func:`~pipeline.frames.index.checked_options`; empty before the first call."""
    gate: Gate = IDENTITY
    """The gate that header values pass before they are written or shown."""

    @cached_property
    def elements(self) -> Elements:
        """The data set's elements, for reading."""
        return Elements(self.dataset)

    @cached_property
    def meta(self) -> Elements:
        """The File Meta Information's elements, for reading."""
        return Elements(self.file_meta)

    @cached_property
    def released(self) -> Elements:
        """The data set's elements after the gate; only these, never `elements`, may be written or shown."""
        return Elements(release(self.dataset, self.gate)) if self.gate.changes else self.elements

    @cached_property
    def released_meta(self) -> Elements:
        """The File Meta Information's elements after the gate."""
        return Elements(release(self.file_meta, self.gate)) if self.gate.changes else self.meta
