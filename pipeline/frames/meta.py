"""Preamble and File Meta Information (PS3.10 7.1), and assumptions if they are missing."""

from __future__ import annotations

from io import BytesIO
from typing import BinaryIO

from pydicom.charset import default_encoding
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_preamble

from pipeline.errors import InvalidAttributeError, MissingAttributeError
from pipeline.frames.byte_sources import HeaderFile, size_of
from pipeline.frames.data_set_encoding import guess_syntax, looks_like_dicom, transfer_syntax_name
from pipeline.frames.header_fast import is_explicit_group, read_group
from pipeline.frames.limits import Spent
from pipeline.frames.other_formats import not_dicom

Stream = HeaderFile | BytesIO

META_GROUP = 2
_BEGINNING = 1 << 10
_COPIES = 16
"""Most copies of the group that are read as such; further ones count as misplaced elements of the data set."""
_PREAMBLE, _PREFIX_END = 128, 132
_REPEATED = "the file meta information is repeated in the data set: the first copy counts"


def read_meta(
    stream: Stream, file: BinaryIO, source: str, assumptions: list[str], *, guess: bool, spent: Spent | None = None
) -> FileMetaDataset:
    """Read preamble and File Meta Information, and leave `stream` after them.

    If the data set begins with a second copy of the group, the elements of the first copy count, as in most toolkits, which use
    the group's length.

    Parameters
    ----------
    stream : HeaderFile or BytesIO
        The whole file, or its beginning in memory.
    file : BinaryIO
    source : str
        The file's name for messages.
    assumptions : list of str
        Receives notes on irregularities.
    guess : bool
        Whether to accept a file without DICOM prefix if its first elements are plausible.
    spent : Spent, optional
        Counts what is read and checks the limits.

    Raises
    ------
    NotDicomError
        If the prefix is missing and the first elements aren't plausible.
    """
    head = stream.read(_BEGINNING) if guess else b""
    stream.seek(0)
    # A data set without preamble may hold "DICM" at byte 128 by chance; then its beginning is plausible.
    if guess and not _is_file_format(head):
        if not looks_like_dicom(head, size_of(file)):
            raise not_dicom(source, head, size_of(file))
        assumptions.append("no DICOM preamble")
    else:
        read_preamble(stream, force=True)
    meta = read_group(stream, META_GROUP, assumptions, implicit=False, spent=spent)
    if meta and meta.original_encoding[0]:
        assumptions.append("file meta information in implicit VR")
    for _ in range(_COPIES):
        if not is_explicit_group(stream, META_GROUP):
            break
        again = read_group(stream, META_GROUP, assumptions, implicit=False, spent=spent)
        for tag, element in again._dict.items():  # noqa: SLF001  unconverted, as they are
            meta._dict.setdefault(tag, element)  # noqa: SLF001
        _note_once(assumptions, _REPEATED)
    file_meta = FileMetaDataset(meta)
    implicit, little = meta.original_encoding[:2]
    file_meta.set_original_encoding(implicit, little, default_encoding)
    return file_meta


def declared_syntax(file_meta: FileMetaDataset, source: str) -> str:
    """Return the Transfer Syntax UID, empty if it is missing; InvalidAttributeError if it isn't a single UID."""
    value = file_meta.get("TransferSyntaxUID")
    if value is not None and not isinstance(value, str):
        raise InvalidAttributeError(f"{source}: (0002,0010) 'Transfer Syntax UID' must be one UID", source=source)
    return str(value or "").strip(" \0")


def assumed_syntax(stream: Stream, source: str, assumptions: list[str], *, guess: bool) -> str:
    """Return the transfer syntax that the data set's beginning suggests; MissingAttributeError if `guess` is off."""
    if not guess:
        raise MissingAttributeError(
            "'transfer_syntax_uid' is required if the dataset in 'src' is not in the DICOM File Format",
            source=source,
        )
    start = stream.tell()
    uid = guess_syntax(stream.read(6))
    stream.seek(start)
    assumptions.append(f"no Transfer Syntax UID: {transfer_syntax_name(uid)} assumed")
    return uid


def drop_meta(dataset: Dataset, assumptions: list[str]) -> None:
    """Remove a copy of the file meta information at the data set's beginning, in the data set's own encoding."""
    for tag in list(dataset._dict):  # noqa: SLF001  keys without converting elements
        if tag >> 16 != META_GROUP:
            return
        del dataset[tag]
        _note_once(assumptions, _REPEATED)


def _note_once(assumptions: list[str], note: str) -> None:
    if note not in assumptions:
        assumptions.append(note)


def _is_file_format(head: bytes) -> bool:
    """Return whether the file has preamble and prefix (PS3.10 7.1), and isn't a data set with "DICM" by chance."""
    if head[_PREAMBLE:_PREFIX_END] != b"DICM":
        return False
    return looks_like_dicom(head[_PREFIX_END:], 1 << 62) or not looks_like_dicom(head, 1 << 62)
