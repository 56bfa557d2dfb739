"""Cache for conversions of elements: the slices of a series repeat nearly all of their header.

pydicom converts an element on access, in some 20 µs. For most elements the result depends only on tag, value representation,
bytes, byte order and character set, so one conversion serves all files of an archive.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, MutableSequence
from functools import cached_property
from typing import Any, Generic, TypeVar

from pydicom._dicom_dict import DicomDictionary
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset

LONGEST = 256
"""Most bytes of a value whose conversion is kept; longer values rarely repeat."""
LONGEST_SEQUENCE = 16
"""The same for sequences, in multiples of LONGEST; most sequences name codes, procedures and other series."""
MOST = 8192
"""Most elements whose conversions are kept, which limits the cache to some megabytes per process."""
MOST_SEQUENCES = 512

Element = RawDataElement | DataElement
Kept = TypeVar("Kept")

_IMPLICIT = (None, "UN")
"""Value representations that say nothing: the data dictionary's or the private creator's value representation counts."""
_PUBLIC = frozenset(tag for tag, entry in DicomDictionary.items() if len(entry[0]) == 2 and entry[0] != "SQ")  # noqa: PLR2004
"""Tags with exactly one value representation in the dictionary (not "US or SS"), which isn't a sequence."""


Slot = dict["Memo[Any]", Any]
"""Cached conversions of an element's bytes: memo → result."""


class _Slots(dict[Hashable, Slot]):
    """Slots by everything that the conversions depend on; drops all slots when there are too many."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def __missing__(self, key: Hashable) -> Slot:
        if len(self) >= self._most:
            self.clear()
        slot = self[key] = {}
        return slot


_SLOTS, _SEQUENCE_SLOTS = _Slots(MOST), _Slots(MOST_SEQUENCES)


class Elements:
    """A read-only view of a data set's current elements by plain tag."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        # Plain integers, because pydicom's tag type compares in Python code, which would take most of a look-up's time.
        self.by_tag: Mapping[int, Element] = {int(tag): element for tag, element in dataset._dict.items()}  # noqa: SLF001
        self._encoding = _encoding(dataset)
        self._charset: Hashable = self._encoding if isinstance(self._encoding, str) else tuple(self._encoding)
        self._converted: dict[int, DataElement] = {}

    @cached_property
    def slots(self) -> Mapping[int, Slot]:
        """Tag → slot of the element; without elements that are long or whose conversion depends on more than the key."""
        slots: dict[int, Slot] = {}
        charset = self._charset
        if not charset:
            return slots
        for tag, element in self.by_tag.items():
            if not isinstance(element, RawDataElement):
                continue
            _, vr, length, value, _, _, little, _, _ = element
            if vr == "SQ" or length > LONGEST or length != len(value or b""):
                continue
            creator: Hashable = b""
            if vr in _IMPLICIT and tag not in _PUBLIC:
                if not tag >> 16 & 1:
                    continue
                creator = self._creator(tag)
            slots[tag] = _SLOTS[tag, vr, value, little, charset, creator]
        return slots

    def sequence_slot(self, tag: int) -> Slot | None:
        """Return the slot of a sequence; None if its conversion depends on more than its bytes, as in implicit VR."""
        element = self.by_tag[tag]
        if not isinstance(element, RawDataElement) or element.VR != "SQ" or element.is_implicit_VR:
            return None
        value = element.value
        if not value or not self._charset or not len(value) == element.length <= LONGEST * LONGEST_SEQUENCE:
            return None
        return _SEQUENCE_SLOTS[tag, value, element.is_little_endian, self._charset]

    def _creator(self, tag: int) -> Hashable:
        """Return the private creator of an element, which determines its value representation (PS3.5 7.8.1)."""
        creator = self.by_tag.get(tag & 0xFFFF0000 | (tag & 0xFFFF) >> 8)
        value = creator.value if creator is not None else b""
        return value if isinstance(value, str | bytes) else str(value)

    def convert(self, tag: int) -> DataElement:
        """Convert an element without putting the result into the data set."""
        element = self._converted.get(tag)
        if element is None:
            raw = self.by_tag[tag]
            assert isinstance(raw, RawDataElement)  # noqa: S101  it has a slot
            element = self._converted[tag] = convert_raw_data_element(raw, encoding=self._encoding, ds=self.dataset)
        return element


def _encoding(dataset: Dataset) -> str | MutableSequence[str]:
    """Return the character sets of a data set's texts; empty if they are damaged, so that nothing is cached."""
    try:
        return dataset.original_character_set or dataset._character_set  # noqa: SLF001  as Dataset does it
    except Exception:  # noqa: BLE001  pydicom converts here, and damaged values fail in many ways
        return []


class Memo(Generic[Kept]):
    """A cache of conversions of one kind; equal bytes are converted once.

    Parameters
    ----------
    make : callable
        Takes a converted element and returns the immutable value to keep; None if the value depends on more than the
        element. Exceptions aren't cached.
    """

    def __init__(self, make: Callable[[DataElement], Kept | None]) -> None:
        self._make = make

    def get(self, elements: Elements, tag: int) -> Kept | None:
        """Return the cached value of an element, made now if it is new; None if it can't be cached.

        Raises
        ------
        Exception
            Anything: pydicom converts here, and damaged values fail in many ways.
        """
        slot = elements.slots.get(tag)
        if slot is None:
            return None
        known: Kept | None = slot.get(self)
        if known is None:
            known = self._make(elements.convert(tag))
            if known is not None:
                slot[self] = known
        return known
