"""Reading of headers: one pass over everything except the pixel data's value."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import Any, BinaryIO, cast

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import BaseTag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from pipeline.deid import IDENTITY, Gate
from pipeline.errors import HeaderLimitError, PipelineError, SourceError, foreign_text
from pipeline.frames.byte_sources import HeaderFile, clip, is_blank, read_range, size_of
from pipeline.frames.deflate import InflatedFile
from pipeline.frames.header import PIXEL_KEYWORDS, Header
from pipeline.frames.header_fast import next_group, quick_dataset, read_group
from pipeline.frames.items import UNDEFINED, walk_items
from pipeline.frames.limits import DEFAULT_LIMITS, HeaderLimits, Spent
from pipeline.frames.meta import Stream, assumed_syntax, declared_syntax, drop_meta, read_meta
from pipeline.frames.unusual_header import CarefulReader, StopWhen
from pipeline.model import syntaxes

LARGE_ELEMENT = 64 << 20
"""Most bytes of an element other than pixel data; a longer one is left out of the header, with a note."""
LEAST_IMAGE = 16
"""Fewest bytes after all elements that may be an image; checksums and line ends are shorter."""
HEAD = 1 << 14
"""Bytes that are read at once and parsed in memory; most headers are shorter."""
_BEFORE_PIXELS = min(PIXEL_KEYWORDS) - 1
_LAST_TAG = 0xFFFCFFFC
"""Data Set Trailing Padding, the highest tag of all data elements."""


@dataclass(slots=True)
class _Parse:
    """Results of one pass."""

    source: str
    limits: HeaderLimits = DEFAULT_LIMITS
    assumptions: list[str] = field(default_factory=list)
    pixel_tag: int = 0
    pixel_vr: str = ""
    pixel_length: int = 0
    value_offset: int = 0
    """First byte of the pixel data's value, if the careful reader has found it; else 0."""
    truncated: str = ""
    left_over: int = 0
    unstored: list[str] = field(default_factory=list)
    spent: Spent = field(init=False)

    def __post_init__(self) -> None:
        self.spent = Spent(self.limits, self.source)

    def at_pixel_data(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        """Stop at pixel data and record the element's head."""
        if tag not in PIXEL_KEYWORDS:
            return False
        self.pixel_tag, self.pixel_vr, self.pixel_length = int(tag), vr or "", length
        return True

    def read_carefully(self, stream: Stream, stop_when: StopWhen, *, implicit: bool, little: bool) -> Dataset:
        """Read irregular elements and note their irregularities."""
        reader = CarefulReader(stream, stop_when, LARGE_ELEMENT, self.spent)
        dataset = reader.read(implicit=implicit, little=little)
        self.value_offset, self.truncated = reader.value_at, reader.cut
        self.assumptions += reader.notes()
        for tag, length in reader.left_out.items():
            self.unstored.append(f"{tag} of {length} bytes left out of the header")
        return dataset


def read_header(
    file: BinaryIO,
    *,
    source: str,
    trailing: bool = True,
    transfer_syntax_uid: str = "",
    guess: bool = True,
    limits: HeaderLimits | None = None,
    gate: Gate = IDENTITY,
) -> Header:
    """Read all elements of a file except the value of its pixel data.

    Parameters
    ----------
    file : BinaryIO
        Seekable; its position moves.
    source : str
        The file's name for messages.
    trailing : bool
        Also read the elements after the pixel data. For encapsulated data this walks over the items; the result is kept for
        :func:`~pipeline.frames.index.index_frames`.
    transfer_syntax_uid : str
        Takes precedence over the file's own.
    guess : bool
        Without a transfer syntax, assume the one that the first element's encoding suggests.
    limits : HeaderLimits, optional
        Limits of size, depth and inflated size; the defaults are above every real header.
    gate : Gate
        The gate that the header's values pass before they are written or shown.

    Raises
    ------
    NotDicomError
        If the DICOM prefix is missing and the first elements aren't plausible.
    MissingAttributeError
        If the transfer syntax is missing and `guess` is off.
    PipelineError
        If the elements can't be parsed, reason ``header_unreadable``.
    HeaderLimitError
        If the header exceeds `limits`, reason ``header_too_large``, ``header_too_deep``, ``too_many_fragments`` or
        ``inflated_too_large``.
    SourceError
        If the file can't be read.
    """
    options: dict[str, Any] = {"trailing": trailing, "uid": transfer_syntax_uid, "guess": guess}
    limits = limits or DEFAULT_LIMITS
    try:
        header = _read_head(file, _Parse(source, limits), **options)
        header = header or _read(HeaderFile(file), file, _Parse(source, limits), **options)
        return replace(header, gate=gate) if gate.changes else header
    except PipelineError:
        raise
    except OSError as error:
        if error.errno is None:  # raised by pydicom for items cut short
            raise _header_unreadable(error, source) from error
        raise SourceError(f"{source}: reading failed: {error.strerror}", source=source) from error
    except Exception as error:
        # pydicom parses lazily and trusts its input: a damaged header may raise anything, even RecursionError.
        raise _header_unreadable(error, source) from error


def open_data_set(file: BinaryIO, *, deflated: bool, source: str, most: int | None = None) -> BinaryIO:
    """Return the file to which an index's offsets refer: `file` itself, or its inflated data set of up to `most` bytes."""
    if not deflated or isinstance(file, InflatedFile):
        return file
    stream = HeaderFile(file)
    read_meta(stream, file, source, [], guess=False)
    return cast(BinaryIO, InflatedFile(file, stream.tell(), source, most))


def _read_head(file: BinaryIO, parse: _Parse, **options: Any) -> Header | None:
    """Read the header from the file's first bytes; return None if they don't suffice or can't be parsed."""
    head = read_range(file, 0, HEAD).tobytes()
    try:
        header = _read(BytesIO(head), file, parse, **options)
    except HeaderLimitError:
        raise  # the beginning alone exceeds the limits
    # The head may only be cut: reading the whole file decides.
    except Exception:  # noqa: BLE001
        return None
    return header if parse.pixel_tag or len(head) < HEAD else None


def _read(stream: Stream, file: BinaryIO, parse: _Parse, *, trailing: bool, uid: str, guess: bool) -> Header:
    file_meta = read_meta(stream, file, parse.source, parse.assumptions, guess=guess, spent=parse.spent)
    command = (
        read_group(stream, 0, parse.assumptions, implicit=True, spent=parse.spent) if next_group(stream) == 0 else None
    )
    uid = uid or declared_syntax(file_meta, parse.source)
    uid = uid or assumed_syntax(stream, parse.source, parse.assumptions, guess=guess)
    data = file
    if uid == syntaxes.DEFLATED:
        data = cast(BinaryIO, InflatedFile(file, stream.tell(), parse.source, parse.limits.inflated))
        stream = HeaderFile(data)
    implicit, little = syntaxes.encoding_of(uid)
    dataset = _elements(stream, parse, implicit=implicit, little=little)
    _note_encoding(parse, dataset, implicit=implicit)
    drop_meta(dataset, parse.assumptions)
    if command:
        dataset.update(command)
    if not parse.pixel_tag:
        _note_left_over(parse, data, stream.tell())
        return _header(parse, dataset, file_meta, uid)
    start = parse.value_offset or stream.tell() + (12 if _has_long_length(parse, dataset) else 8)
    header = _header(parse, dataset, file_meta, uid, start)
    return _with_trailing(header, data, parse) if trailing else header


def _elements(stream: Stream, parse: _Parse, *, implicit: bool, little: bool) -> Dataset:
    """Read all elements before the pixel data."""
    if isinstance(stream, BytesIO) and little and len(stream.getvalue()) <= LARGE_ELEMENT:
        dataset = quick_dataset(stream, implicit=implicit, stop_when=parse.at_pixel_data, last=_BEFORE_PIXELS)
        if dataset is not None:
            return dataset
    return parse.read_carefully(stream, parse.at_pixel_data, implicit=implicit, little=little)


def _header(parse: _Parse, dataset: Dataset, file_meta: FileMetaDataset, uid: str, start: int = 0) -> Header:
    return Header(
        source=parse.source,
        dataset=dataset,
        file_meta=file_meta,
        transfer_syntax_uid=uid,
        pixel_keyword=PIXEL_KEYWORDS.get(parse.pixel_tag),
        pixel_vr=parse.pixel_vr,
        value_offset=start,
        value_length=None if parse.pixel_length == UNDEFINED or not parse.pixel_tag else parse.pixel_length,
        deflated=uid == syntaxes.DEFLATED,
        assumptions=tuple(parse.assumptions),
        truncated=parse.truncated,
        left_over=parse.left_over,
        unstored=tuple(parse.unstored),
        limits=parse.limits,
    )


def _note_encoding(parse: _Parse, dataset: Dataset, *, implicit: bool) -> None:
    found = dataset.original_encoding[0]
    if dataset and found != implicit:
        declared, real = ("implicit", "explicit") if implicit else ("explicit", "implicit")
        parse.assumptions.append(f"the transfer syntax declares {declared} VR, the data set is in {real} VR")


def _has_long_length(parse: _Parse, dataset: Dataset) -> bool:
    """Return whether the pixel data's head has 12 bytes: explicit VR with a 32-bit length (PS3.5 7.1.2)."""
    return not dataset.original_encoding[0] and parse.pixel_vr in EXPLICIT_VR_LENGTH_32


def _note_left_over(parse: _Parse, data: BinaryIO, start: int) -> None:
    """Note bytes after the last element of a file without pixel data."""
    size = size_of(data)
    if not parse.truncated and not is_blank(data, start, size):
        parse.left_over = size - start
        parse.assumptions.append(f"{size - start} bytes after the last element aren't a data element")


def _with_trailing(header: Header, data: BinaryIO, parse: _Parse) -> Header:
    """Add the elements after the pixel data."""
    items = None
    if header.value_length is None:
        items = walk_items(data, header.value_offset, size_of(data), header.limits.fragments)
        end = items.after
    else:
        end = header.value_offset + header.value_length
    tags: list[int] = []
    if not (items and items.damage) and clip(data, end, 8):
        tags = _read_trailing(header, HeaderFile(data, end), parse)
    if isinstance(data, InflatedFile):
        parse.unstored += _describe_bytes_after(data)
    return replace(
        header,
        items=items,
        trailing=frozenset(tags),
        assumptions=tuple(parse.assumptions),
        unstored=tuple(parse.unstored),
    )


def _describe_bytes_after(data: InflatedFile) -> list[str]:
    try:
        left = data.left_over()
    except HeaderLimitError:
        raise
    except PipelineError:
        return ["the bytes after the pixel data can't be inflated"]
    return [f"{left} bytes after the deflated data set don't belong to it"] if left >= LEAST_IMAGE else []


def _read_trailing(header: Header, stream: HeaderFile, parse: _Parse) -> list[int]:
    """Read elements while their tags rise, return their tags, and note all other bytes."""
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
        extra = parse.read_carefully(stream, out_of_order, implicit=bool(implicit), little=bool(little))
    except HeaderLimitError:
        raise
    except Exception as error:  # noqa: BLE001  garbage may raise anything, but the image before it is whole
        parse.unstored.append(f"the bytes after the pixel data can't be read ({type(error).__name__})")
        return []
    start, size = stream.tell(), size_of(stream.source)
    if parse.truncated:
        parse.unstored.append(f"{parse.truncated}, after the pixel data")
    elif size - start >= LEAST_IMAGE and not is_blank(stream.source, start, size):
        parse.unstored.append(f"{size - start} bytes after the last element aren't data elements")
    elif start < size:
        parse.assumptions.append(f"{size - start} bytes after the last element are ignored")
    for tag in PIXEL_KEYWORDS.keys() & extra.keys():
        parse.unstored.append(f"the file also has {PIXEL_KEYWORDS[tag]}, but only {header.pixel_keyword} is stored")
        del extra[tag]
    header.dataset.update(extra)
    return [int(tag) for tag in extra._dict]  # noqa: SLF001  keys without converting elements


def _header_unreadable(error: Exception, source: str) -> PipelineError:
    return PipelineError(
        f"{source}: the header can't be parsed: {foreign_text(error)}",
        reason="header_too_deep" if isinstance(error, RecursionError) else "header_unreadable",
        source=source,
    )
