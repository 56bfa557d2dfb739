"""Reading a header: one pass over everything but the pixel data's value."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from io import BytesIO
from typing import Any, BinaryIO, cast

from pydicom.charset import default_encoding
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset, read_preamble
from pydicom.tag import BaseTag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from pipeline.errors import InvalidAttributeError, MissingAttributeError, PipelineError, SourceError
from pipeline.frames.deflate import DEFLATED, InflatedFile
from pipeline.frames.elements import Elements
from pipeline.frames.foreign import not_dicom
from pipeline.frames.items import UNDEFINED, Items, walk_items
from pipeline.frames.quick import next_group, quick_dataset, read_group
from pipeline.frames.sources import HeaderFile, clip, read_range, size_of
from pipeline.frames.syntax import encoding_of, guess_syntax, looks_like_dicom, transfer_syntax_name

PIXEL_KEYWORDS = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}
LARGE_ELEMENT = 64 << 20
"""Bytes from which an element other than pixel data is left out of the header (with a note): nobody reads it there."""
HEAD = 1 << 14
"""Bytes that hold most headers whole: read at once and parsed from memory."""
_BEGINNING = 1 << 10
_META_GROUP = 2
_BEFORE_PIXELS = min(PIXEL_KEYWORDS) - 1
_LAST_TAG = 0xFFFCFFFC
"""Data Set Trailing Padding: no data element has a higher tag."""
_PREAMBLE, _PREFIX_END = 128, 132


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
    checked: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """The Image Pixel attributes as :func:`~pipeline.frames.index.checked_options` found them; empty before."""

    @cached_property
    def elements(self) -> Elements:
        """The data set's elements, for reading."""
        return Elements(self.dataset)

    @cached_property
    def meta(self) -> Elements:
        """The File Meta Information's elements, for reading."""
        return Elements(self.file_meta)


_Stream = HeaderFile | BytesIO


@dataclass(slots=True)
class _Parse:
    """What one pass gathers."""

    source: str
    assumptions: list[str] = field(default_factory=list)
    pixel_tag: int = 0
    pixel_vr: str = ""
    pixel_length: int = 0
    truncated: str = ""

    def at_pixel_data(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        """Stop pydicom's reading at pixel data, and remember its element header."""
        if tag not in PIXEL_KEYWORDS:
            return False
        self.pixel_tag, self.pixel_vr, self.pixel_length = int(tag), vr or "", length
        return True


def read_header(
    file: BinaryIO, *, source: str, trailing: bool = True, transfer_syntax_uid: str = "", guess: bool = True
) -> Header:
    """Read all elements of a file but the value of its pixel data.

    Parameters
    ----------
    file : BinaryIO
        Seekable; its position moves.
    source : str
        The file's name for messages.
    trailing : bool
        Read also the elements behind the pixel data. For encapsulated data this walks the items, once: the walk
        is kept for :func:`~pipeline.frames.index.index_frames`.
    transfer_syntax_uid : str
        Takes precedence over the file's own.
    guess : bool
        Where there is no transfer syntax, assume what the first element's encoding suggests.

    Raises
    ------
    NotDicomError
        Without DICOM prefix, and the first elements aren't plausible either.
    MissingAttributeError
        No transfer syntax, and `guess` is off.
    PipelineError
        With the reason ``header_unreadable`` where the elements can't be parsed, ``header_too_deep`` where sequences
        are nested beyond all bounds.
    SourceError
        Where the file can't be read.
    """
    options: dict[str, Any] = {"trailing": trailing, "uid": transfer_syntax_uid, "guess": guess}
    try:
        return _read_head(file, source, **options) or _read(HeaderFile(file), file, _Parse(source), **options)
    except PipelineError:
        raise
    except OSError as error:
        if error.errno is None:  # pydicom's own, for items cut short
            raise _header_unreadable(error, source) from error
        raise SourceError(f"{source}: reading failed: {error.strerror}", source=source) from error
    except Exception as error:
        # pydicom parses lazily and trusts what it reads: a damaged header may raise anything, RecursionError included.
        raise _header_unreadable(error, source) from error


def open_data_set(file: BinaryIO, *, deflated: bool, source: str) -> BinaryIO:
    """Return the file that an index's offsets count in: `file` itself, or its inflated data set."""
    if not deflated or isinstance(file, InflatedFile):
        return file
    stream = HeaderFile(file)
    _read_meta(stream, file, _Parse(source), guess=False)
    return cast(BinaryIO, InflatedFile(file, stream.tell(), source))


def _read_head(file: BinaryIO, source: str, **options: Any) -> Header | None:
    """Return the header from the file's first bytes, None where they don't hold all of it, or it can't be read."""
    head = read_range(file, 0, HEAD).tobytes()
    parse = _Parse(source)
    try:
        header = _read(BytesIO(head), file, parse, **options)
    # Whatever is wrong may be so because the head is cut: reading the whole file tells.
    except Exception:  # noqa: BLE001
        return None
    return header if parse.pixel_tag or len(head) < HEAD else None


def _read(stream: _Stream, file: BinaryIO, parse: _Parse, *, trailing: bool, uid: str, guess: bool) -> Header:
    file_meta = _read_meta(stream, file, parse, guess=guess)
    command = read_group(stream, 0, implicit=True) if next_group(stream) == 0 else None
    uid = uid or _declared_syntax(file_meta, parse.source) or _assumed_syntax(stream, parse, guess=guess)
    data = file
    if uid == DEFLATED:
        data = cast(BinaryIO, InflatedFile(file, stream.tell(), parse.source))
        stream = HeaderFile(data)
    implicit, little = encoding_of(uid)
    dataset = _elements(stream, parse, implicit=implicit, little=little)
    _note_encoding(parse, dataset, implicit=implicit)
    if command:
        dataset.update(command)
    if not parse.pixel_tag:
        return _header(parse, dataset, file_meta, uid, truncated=_truncation(dataset))
    start = stream.tell() + (12 if _has_long_length(parse, dataset) else 8)
    header = _header(parse, dataset, file_meta, uid, start)
    return _with_trailing(header, data, parse) if trailing else header


def _elements(stream: _Stream, parse: _Parse, *, implicit: bool, little: bool) -> Dataset:
    """Read all elements in front of the pixel data."""
    if isinstance(stream, BytesIO) and little and len(stream.getvalue()) <= LARGE_ELEMENT:
        dataset = quick_dataset(stream, implicit=implicit, stop_when=parse.at_pixel_data, last=_BEFORE_PIXELS)
        if dataset is not None:
            return dataset
    dataset = read_dataset(stream, implicit, little, stop_when=parse.at_pixel_data, defer_size=LARGE_ELEMENT)
    _drop_deferred(parse, dataset)
    return dataset


def _header(  # noqa: PLR0917  one value a field
    parse: _Parse, dataset: Dataset, file_meta: FileMetaDataset, uid: str, start: int = 0, truncated: str = ""
) -> Header:
    return Header(
        source=parse.source,
        dataset=dataset,
        file_meta=file_meta,
        transfer_syntax_uid=uid,
        pixel_keyword=PIXEL_KEYWORDS.get(parse.pixel_tag),
        pixel_vr=parse.pixel_vr,
        value_offset=start,
        value_length=None if parse.pixel_length == UNDEFINED or not parse.pixel_tag else parse.pixel_length,
        deflated=uid == DEFLATED,
        assumptions=tuple(parse.assumptions),
        truncated=truncated,
    )


def _read_meta(stream: _Stream, file: BinaryIO, parse: _Parse, *, guess: bool) -> FileMetaDataset:
    """Read preamble and File Meta Information (PS3.10 7.1); leave `stream` behind them."""
    head = stream.read(_BEGINNING) if guess else b""
    stream.seek(0)
    # A data set without preamble may hold "DICM" in the 129th byte by chance: then only its beginning is plausible.
    if guess and not _is_file_format(head):
        if not looks_like_dicom(head, size_of(file)):
            raise not_dicom(parse.source, head, size_of(file))
        parse.assumptions.append("no DICOM preamble")
    else:
        read_preamble(stream, force=True)
    start = stream.tell()
    meta = read_group(stream, _META_GROUP, implicit=False)
    if meta and _vr_is_wrong(meta):
        stream.seek(start)
        meta = read_group(stream, _META_GROUP, implicit=True)
        parse.assumptions.append("file meta information in implicit VR")
    file_meta = FileMetaDataset(meta)
    implicit, little = meta.original_encoding[:2]
    file_meta.set_original_encoding(implicit, little, default_encoding)
    return file_meta


def _is_file_format(head: bytes) -> bool:
    """Whether preamble and prefix are there (PS3.10 7.1), and no data set that only looks so."""
    if head[_PREAMBLE:_PREFIX_END] != b"DICM":
        return False
    return looks_like_dicom(head[_PREFIX_END:], 1 << 62) or not looks_like_dicom(head, 1 << 62)


def _vr_is_wrong(meta: Dataset) -> bool:
    """Whether the first element's VR is none: some writers use implicit VR in the file meta information."""
    try:
        meta[next(iter(meta.keys()))]
    except NotImplementedError:
        return True
    return False


def _declared_syntax(file_meta: FileMetaDataset, source: str) -> str:
    value = file_meta.get("TransferSyntaxUID")
    if value is not None and not isinstance(value, str):
        raise InvalidAttributeError(
            f"{source}: (0002,0010) 'Transfer Syntax UID' must be one UID, not {value!r}", source=source
        )
    return str(value or "").strip(" \0")


def _assumed_syntax(stream: _Stream, parse: _Parse, *, guess: bool) -> str:
    if not guess:
        raise MissingAttributeError(
            "'transfer_syntax_uid' is required if the dataset in 'src' is not in the DICOM File Format",
            source=parse.source,
        )
    start = stream.tell()
    uid = guess_syntax(stream.read(6))
    stream.seek(start)
    parse.assumptions.append(f"no Transfer Syntax UID: {transfer_syntax_name(uid)} assumed")
    return uid


def _note_encoding(parse: _Parse, dataset: Dataset, *, implicit: bool) -> None:
    found = dataset.original_encoding[0]
    if dataset and found != implicit:
        declared, real = ("implicit", "explicit") if implicit else ("explicit", "implicit")
        parse.assumptions.append(f"the transfer syntax declares {declared} VR, the data set is in {real} VR")


def _has_long_length(parse: _Parse, dataset: Dataset) -> bool:
    """Whether the pixel data's element header has 12 bytes: explicit VR with a 32-bit length (PS3.5 7.1.2)."""
    return not dataset.original_encoding[0] and parse.pixel_vr in EXPLICIT_VR_LENGTH_32


def _drop_deferred(parse: _Parse, dataset: Dataset) -> None:
    for tag, element in list(dataset._dict.items()):  # noqa: SLF001  the raw elements, unconverted
        if isinstance(element, RawDataElement) and element.value is None and element.length:
            del dataset[tag]
            parse.assumptions.append(f"{tag} of {element.length} bytes left out of the header")


def _truncation(dataset: Dataset) -> str:
    """Return which element the file ends in, or an empty text."""
    for element in dataset._dict.values():  # noqa: SLF001  the raw elements, unconverted
        if isinstance(element, RawDataElement) and element.length != UNDEFINED:
            got = len(element.value or b"")
            if got < element.length:
                return f"the file ends inside {element.tag}: {got} of {element.length} bytes"
    return ""


def _with_trailing(header: Header, data: BinaryIO, parse: _Parse) -> Header:
    """Add the elements behind the pixel data."""
    items = None
    if header.value_length is None:
        items = walk_items(data, header.value_offset, size_of(data))
        end = items.after
    else:
        end = header.value_offset + header.value_length
    tags: list[int] = []
    if not (items and items.damage) and clip(data, end, 8):
        tags = _read_trailing(header, HeaderFile(data, end), parse)
    return replace(header, items=items, trailing=frozenset(tags), assumptions=tuple(parse.assumptions))


def _read_trailing(header: Header, stream: HeaderFile, parse: _Parse) -> list[int]:
    """Read elements as long as their tags rise; whatever else lies there is noted, not believed."""
    implicit, little = header.dataset.original_encoding[:2]
    last = parse.pixel_tag

    def out_of_order(tag: BaseTag, _vr: str | None, length: int) -> bool:
        nonlocal last
        wrong = not last < tag <= _LAST_TAG or (
            length != UNDEFINED and length > clip(stream.source, stream.tell(), length)
        )
        last = int(tag)
        return wrong

    try:
        extra = read_dataset(stream, bool(implicit), bool(little), stop_when=out_of_order, defer_size=LARGE_ELEMENT)
        _drop_deferred(parse, extra)
        rest = stream.read(1)
    except Exception as error:  # noqa: BLE001  garbage may raise anything, and the image before it is whole
        parse.assumptions.append(f"what follows the pixel data can't be parsed ({type(error).__name__})")
        return []
    if rest:
        parse.assumptions.append("bytes after the last element are no data elements")
    for tag in PIXEL_KEYWORDS.keys() & extra.keys():
        parse.assumptions.append(f"holds {PIXEL_KEYWORDS[tag]} too, {header.pixel_keyword} is used")
        del extra[tag]
    header.dataset.update(extra)
    return [int(tag) for tag in extra._dict]  # noqa: SLF001  keys without converting elements


def _header_unreadable(error: Exception, source: str) -> PipelineError:
    text = str(error) or type(error).__name__
    return PipelineError(
        f"{source}: the header can't be parsed: {type(error).__name__}: {text}",
        reason="header_too_deep" if isinstance(error, RecursionError) else "header_unreadable",
        source=source,
    )
