"""A header: what one pass over a file leaves of everything but the pixel data's value."""

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
    """One file's elements and where its pixel data lie.

    Offsets are absolute in the file, or in the inflated data set where `deflated`.
    """

    source: str
    dataset: Dataset
    """All elements but the pixel data, also those behind them."""
    file_meta: FileMetaDataset
    transfer_syntax_uid: str
    pixel_keyword: str | None = None
    """``PixelData``, ``FloatPixelData``, ``DoubleFloatPixelData``; None without pixel data."""
    pixel_vr: str = ""
    """As written; empty in implicit VR."""
    value_offset: int = 0
    value_length: int | None = None
    """As declared; None where undefined (or without pixel data)."""
    deflated: bool = False
    assumptions: tuple[str, ...] = ()
    """What the file doesn't say or says wrongly, and what was assumed instead."""
    items: Items | None = None
    """The walk over encapsulated pixel data, where it was needed to find the elements behind them."""
    trailing: frozenset[int] = frozenset()
    """Tags of the elements behind the pixel data."""
    truncated: str = ""
    """Where the file ends inside an element before the pixel data: which one; else empty."""
    left_over: int = 0
    """Bytes behind the last element of a file without pixel data that are neither an element nor padding."""
    unstored: tuple[str, ...] = ()
    """What the file holds beside its elements and pixel data, that may be an image and is stored nowhere."""
    limits: HeaderLimits = DEFAULT_LIMITS
    """What the file may hold and inflate to."""
    checked: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """The Image Pixel attributes as :func:`~pipeline.frames.index.checked_options` found them; empty before."""
    gate: Gate = IDENTITY
    """What header values leave by."""

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
        """What the gate lets through of the data set: whatever is written or shown comes from here, not from `elements`."""
        return Elements(release(self.dataset, self.gate)) if self.gate.changes else self.elements

    @cached_property
    def released_meta(self) -> Elements:
        """The same of the File Meta Information."""
        return Elements(release(self.file_meta, self.gate)) if self.gate.changes else self.meta
