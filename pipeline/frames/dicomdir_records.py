"""File references of a DICOMDIR (PS3.3 F.3), read record by record, so that large directories need little memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from pipeline.errors import PipelineError
from pipeline.frames.byte_sources import HeaderFile
from pipeline.frames.deflate import InflatedFile
from pipeline.frames.limits import DEFAULT_LIMITS, HeaderLimits, Spent
from pipeline.frames.meta import assumed_syntax, declared_syntax, read_meta
from pipeline.frames.unusual_header import CarefulReader
from pipeline.model import syntaxes

RECORDS, FILE_ID = 0x00041220, 0x00041500
"""Directory Record Sequence, and Referenced File ID in its items."""
DIRECTORY_LIMITS = HeaderLimits(header_elements=4_000_000)
"""More elements than for other headers, because here they cost no memory."""
_LARGEST = 1 << 20
_UNREADABLE = "(unreadable Referenced File ID)"


def read_file_ids(file: BinaryIO, source: str) -> list[list[str]]:
    """Return the components of each record's Referenced File ID, in order; records without one are skipped.

    Raises
    ------
    PipelineError
        If the file ends inside an element, or exceeds the limits.
    Exception
        A damaged file may raise anything.
    """
    spent = Spent(DIRECTORY_LIMITS, source)
    stream = HeaderFile(file)
    meta = read_meta(stream, file, source, [], guess=True, spent=spent)
    uid = declared_syntax(meta, source) or assumed_syntax(stream, source, [], guess=True)
    if uid == syntaxes.DEFLATED:
        stream = HeaderFile(cast(BinaryIO, InflatedFile(file, stream.tell(), source, DEFAULT_LIMITS.inflated)))
    implicit, little = syntaxes.encoding_of(uid)
    reader = _RecordReader(stream, lambda *_: False, _LARGEST, spent)
    reader.read(implicit=implicit, little=little)
    if reader.cut:
        raise PipelineError(f"{source}: {reader.cut}", reason="header_unreadable", source=source)
    return reader.ids


@dataclass
class _RecordReader(CarefulReader):
    """A reader that keeps only the referenced file of each record."""

    ids: list[list[str]] = field(default_factory=list)

    def _element(self, head: Any, mode: Any, *, nested: bool) -> Any:
        if head.tag == RECORDS and not nested:
            return self._undefined(head, mode)
        return super()._element(head, mode, nested=nested)

    def _kept(self, item: Dataset) -> bool:
        element = item._dict.get(FILE_ID)  # type: ignore[call-overload]  # noqa: SLF001  unconverted
        if self._nested == 1 and element is not None:
            self.ids.append(_values(element))
        return False


def _values(element: Any) -> list[str]:
    """Return a file ID's components as written, separated by backslashes (PS3.10 8.2)."""
    if not isinstance(element, RawDataElement) or element.VR not in {None, "CS", "UN"}:
        return [_UNREADABLE]
    text = (element.value or b"").decode("latin-1").strip(" \0")
    return text.split("\\") if text else []
