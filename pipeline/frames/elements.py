"""Elements with the same bytes are converted once: the slices of a series repeat nearly all of their header.

pydicom converts an element when it is asked for, some 20 µs each. What most elements become depends on nothing but
their tag, value representation, bytes, byte order and character set, so one conversion serves all files of an archive.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, MutableSequence
from functools import cached_property
from typing import Any, Generic, TypeVar

from pydicom._dicom_dict import DicomDictionary
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset

LONGEST = 256
"""Bytes of a value up to which its conversion is kept: longer ones are rarely repeated, or rarely small."""
LONGEST_SEQUENCE = 16
"""The same for a sequence, in multiples of LONGEST: most of a series' sequences name codes, procedures and other series."""
MOST = 8192
"""Elements of which conversions are kept, so that a process never holds more than some megabytes of them."""
MOST_SEQUENCES = 512

Element = RawDataElement | DataElement
Kept = TypeVar("Kept")

_IMPLICIT = (None, "UN")
"""Value representations that aren't the element's own: the data dictionary's, or the private creator's, counts."""
_PUBLIC = frozenset(tag for tag, entry in DicomDictionary.items() if len(entry[0]) == 2 and entry[0] != "SQ")  # noqa: PLR2004
"""Tags whose value representation is one in the dictionary (not "US or SS") and no sequence."""


Slot = dict["Memo[Any]", Any]
"""What has been made of an element's bytes, by what made it."""


class _Slots(dict[Hashable, Slot]):
    """The slots of elements, by all that their conversions depend on; it forgets them all when there are too many."""

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
    """One data set's elements by plain tag: a view for reading, of the data set as it is now."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        # Tags of pydicom's own type compare in Python code: most of the time of a look-up.
        self.by_tag: Mapping[int, Element] = {int(tag): element for tag, element in dataset._dict.items()}  # noqa: SLF001
        self._encoding = _encoding(dataset)
        self._charset: Hashable = self._encoding if isinstance(self._encoding, str) else tuple(self._encoding)
        self._converted: dict[int, DataElement] = {}

    @cached_property
    def slots(self) -> Mapping[int, Slot]:
        """By tag, where conversions of an element's bytes are kept; without those that depend on more or aren't small."""
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
        """Return the same for a sequence that holds all that decides what its items become: it has explicit VR."""
        element = self.by_tag[tag]
        if not isinstance(element, RawDataElement) or element.VR != "SQ" or element.is_implicit_VR:
            return None
        value = element.value
        if not value or not self._charset or not len(value) == element.length <= LONGEST * LONGEST_SEQUENCE:
            return None
        return _SEQUENCE_SLOTS[tag, value, element.is_little_endian, self._charset]

    def _creator(self, tag: int) -> Hashable:
        """Return the private creator of a private element, which tells its value representation (PS3.5 7.8.1)."""
        creator = self.by_tag.get(tag & 0xFFFF0000 | (tag & 0xFFFF) >> 8)
        value = creator.value if creator is not None else b""
        return value if isinstance(value, str | bytes) else str(value)

    def convert(self, tag: int) -> DataElement:
        """Convert an element without putting the result into the data set."""
        found = self._converted.get(tag)
        if found is None:
            raw = self.by_tag[tag]
            assert isinstance(raw, RawDataElement)  # noqa: S101  it has a slot
            found = self._converted[tag] = convert_raw_data_element(raw, encoding=self._encoding, ds=self.dataset)
        return found


def _encoding(dataset: Dataset) -> str | MutableSequence[str]:
    """Return the character sets of a data set's texts, none of a damaged one: then no text is kept."""
    try:
        return dataset.original_character_set or dataset._character_set  # noqa: SLF001  as Dataset does it
    except Exception:  # noqa: BLE001  pydicom converts here, and damaged values fail in many ways
        return []


class Memo(Generic[Kept]):
    """Conversions of one kind, each made once for the same bytes.

    Parameters
    ----------
    make : callable
        Takes a converted element and returns what is to be kept of it, an immutable value; None where it depends on
        more than the element. What it raises isn't kept.
    """

    def __init__(self, make: Callable[[DataElement], Kept | None]) -> None:
        self._make = make

    def get(self, elements: Elements, tag: int) -> Kept | None:
        """Return what is known of an element's bytes, making it where it is new; None where it depends on more.

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
