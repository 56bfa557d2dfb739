"""Frame indices: the byte ranges of every frame, from one walk over a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
from pydicom.dataset import Dataset

from pipeline.errors import PixelDataError
from pipeline.frames import native
from pipeline.frames.byte_sources import kept_position, name_of, open_source, size_of
from pipeline.frames.codestream_starts import begins_codestream, codestream_starts, is_one_fragment_a_frame
from pipeline.frames.decoding_options import describe_options, native_frame_bits, pixel_options, validate_options
from pipeline.frames.encapsulated import Boundaries, find_boundaries
from pipeline.frames.header import Header
from pipeline.frames.header_reader import open_data_set, read_header
from pipeline.frames.items import Items, walk_items, with_first_item
from pipeline.frames.missing_pixels import no_pixel_data
from pipeline.frames.photometric_labels import is_native_422
from pipeline.frames.plugins import decoder_for
from pipeline.frames.pydicom_datasets import dataset_header
from pipeline.model import FrameIndex, syntaxes

_STORED = (
    *("rows", "columns", "samples_per_pixel", "photometric_interpretation", "planar_configuration"),
    *("bits_allocated", "bits_stored", "high_bit", "pixel_representation", "pixel_keyword", "pixel_vr"),
)


def build_index(src: str | os.PathLike[str] | BinaryIO | Dataset, **kwargs: Any) -> FrameIndex:
    """Return the frame index of one instance.

    Parameters
    ----------
    src : str, path-like, binary file object or Dataset
        A file object stays open, and its position is restored. The offsets of a Dataset's index count within its pixel data.
    **kwargs
        Image Pixel attributes (``rows=…``) that take precedence over the header's; ``lenient=True`` as in
        :func:`index_frames`.

    Returns
    -------
    FrameIndex

    Raises
    ------
    PipelineError
        One of its children, see :func:`read_header` and :func:`index_frames`.
    """
    if isinstance(src, str | os.PathLike):
        with open_source(os.fspath(src)) as file:
            return _build(file, read_header(file, source=name_of(src)), kwargs)
    if isinstance(src, Dataset):
        return _build(*dataset_header(src), kwargs)
    with kept_position(src):
        return _build(src, read_header(src, source=name_of(src)), kwargs)


def _build(file: BinaryIO, header: Header, kwargs: Mapping[str, Any]) -> FrameIndex:
    with kept_position(file):
        return index_frames(file, header, **kwargs)


def index_frames(file: BinaryIO, header: Header, *, lenient: bool = False, **overrides: Any) -> FrameIndex:
    """Return the byte ranges of every frame.

    Parameters
    ----------
    file : BinaryIO
        The file the header was read from; its position moves.
    header : Header
        The result of :func:`~pipeline.frames.header_reader.read_header`.
    lenient : bool
        If frames are missing, index the found ones; :func:`available_frames` returns their number.
    **overrides
        Image Pixel attributes that take precedence over the header's.

    Raises
    ------
    NoPixelDataError, MissingAttributeError, InvalidAttributeError
        If the header doesn't describe an image.
    PixelDataError
        If the pixel data contradict the header, reason ``damaged_pixel_data``, ``frames_missing`` or
        ``pixel_data_too_short``.
    """
    if header.pixel_keyword is None:
        raise no_pixel_data(header)
    decoder_for(header.transfer_syntax_uid, header.source)
    options = checked_options(header, overrides)
    data = open_data_set(file, deflated=header.deflated, source=header.source, most=header.limits.inflated)
    build = _encapsulated if encapsulates(header) else _native
    return build(data, header, options, lenient=lenient)


def checked_options(header: Header, overrides: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """Return the header's validated Image Pixel attributes; without overrides they are cached in the header.

    Raises
    ------
    MissingAttributeError, InvalidAttributeError
        If an attribute is missing, or its value isn't allowed.
    """
    if header.checked and not overrides:
        return header.checked
    options = pixel_options(header, overrides)
    if encapsulates(header):
        options.setdefault("planar_configuration", 0)
    validate_options(header.transfer_syntax_uid, options, header.source)
    if not overrides:
        header.checked.update(options)
    return options


def available_frames(index: FrameIndex) -> int:
    """Return the number of frames in a lenient index: all declared frames, or only the first ones."""
    if index.encapsulated:
        return index.first_frame + len(index.frame_fragments) - 1
    return native.available_native(index)


def encapsulates(header: Header) -> bool:
    """Return whether the transfer syntax encapsulates pixel data in items."""
    return syntaxes.is_encapsulated(header.transfer_syntax_uid)


def _index(header: Header, options: Mapping[str, Any], **fields: Any) -> FrameIndex:
    # UN is always little endian, even in a big endian data set (PS3.5 6.2.2).
    swapped = header.transfer_syntax_uid == syntaxes.BIG_ENDIAN and header.pixel_vr == "UN"
    return FrameIndex(
        transfer_syntax_uid=syntaxes.EXPLICIT if swapped else header.transfer_syntax_uid,
        number_of_frames=options["number_of_frames"],
        options={name: options[name] for name in _STORED if options.get(name) is not None},
        value_offset=header.value_offset,
        deflated=header.deflated,
        **fields,
    )


def _native(file: BinaryIO, header: Header, options: Mapping[str, Any], *, lenient: bool) -> FrameIndex:
    length = native.value_extent(file, header, inflate=not lenient)
    notes = describe_options(header, options)
    bits = native_frame_bits(header.transfer_syntax_uid, options)
    if is_native_422(header.transfer_syntax_uid, options):
        if options.get("planar_configuration"):
            notes += ("Planar Configuration is 1, but YBR_FULL_422 has no planes: pixels come one after the other",)
        options = {**options, "planar_configuration": 0}
        bits, layout = native.shared_chroma_bits(options, length, header.source)
        notes += layout
    index = _index(header, options, value_length=length, frame_bits=bits, notes=notes)
    short = index.value_length * 8 < bits * index.number_of_frames
    if short and lenient:
        return index
    notes += native.check_extent(file, index, header.source)
    found = native.whole_frames(index)
    unstored = (_surplus(header, found, index.number_of_frames),) if found > index.number_of_frames else ()
    return replace(index, notes=notes, unstored=unstored)


def _encapsulated(file: BinaryIO, header: Header, options: Mapping[str, Any], *, lenient: bool) -> FrameIndex:
    items, item_notes = _items(file, header)
    frames, uid = options["number_of_frames"], header.transfer_syntax_uid
    begins = np.zeros(len(items.offsets), np.bool_)
    if len(begins) > frames:
        begins = codestream_starts(file, items, uid, -(-native_frame_bits(uid, options) // 8))
    found = find_boundaries(file, items, frames, options.get("extended_offsets"), begins)
    problem, starts = _problem(found, items, uid)
    if problem and not lenient:
        missing = len(starts) - 1 < frames
        raise PixelDataError(
            _missing(header.source, problem, len(starts) - 1, frames),
            reason="frames_missing" if missing and not items.damage else None,
            source=header.source,
        )
    return _index(
        header,
        options,
        value_length=items.end - header.value_offset,
        fragment_offsets=found.offsets,
        fragment_lengths=found.lengths,
        frame_fragments=starts,
        boundaries=found.source,
        notes=describe_options(header, options) + item_notes + found.notes + _item_notes(header, items, problem),
        unstored=_unstored(header, found, items, frames),
    )


def _items(file: BinaryIO, header: Header) -> tuple[Items, tuple[str, ...]]:
    """Return the items, and a note if the first item is a fragment instead of the basic offset table."""
    items = header.items or _walk(file, header)
    if begins_codestream(np.array([items.table_start], np.uint64), header.transfer_syntax_uid).any():
        note = "the basic offset table is missing: the first item is a fragment"
        return with_first_item(file, items), (note,)
    if items.damage and not len(items.offsets):
        hint = "" if header.value_length is None else "; its defined length is that of native pixel data"
        raise PixelDataError(
            f"{header.source}: encapsulated pixel data: {items.damage}{hint}",
            reason="transfer_syntax_mismatch" if hint else None,
            source=header.source,
        )
    return items, ()


def _walk(file: BinaryIO, header: Header) -> Items:
    end = size_of(file)
    if header.value_length is not None:
        end = min(end, header.value_offset + header.value_length)
    return walk_items(file, header.value_offset, end, header.limits.fragments)


def _problem(found: Boundaries, items: Items, uid: str) -> tuple[str, Any]:
    """Return the problem and the starts of the sound frames; the last frame before damage may be incomplete."""
    if not items.damage or found.source == "extended_offset_table" or _ends_whole(found, items, uid):
        return found.problem, found.starts
    return items.damage, found.starts[: max(len(found.starts) - 1, 1)]


def _ends_whole(found: Boundaries, items: Items, uid: str) -> bool:
    """Return whether all frames were found and the last one certainly ends with its last fragment."""
    if found.problem:
        return False
    last = np.searchsorted(items.offsets, found.offsets[int(found.starts[-1]) - 1])
    return bool(found.surplus or items.ends_image[last] or (is_one_fragment_a_frame(uid) and not items.shifted))


def _surplus(header: Header, found: int, declared: int) -> str:
    """Describe frames beyond the declared ones."""
    stated = "" if "NumberOfFrames" in header.dataset else " (Number of Frames is absent)"
    verb = "is" if declared == 1 else "are"
    return f"{found} frames found, only the declared {declared} {verb} stored{stated}"


def _unstored(header: Header, found: Boundaries, items: Items, frames: int) -> tuple[str, ...]:
    """Describe data in the items that belong to no declared frame."""
    descriptions = [_surplus(header, frames + found.surplus, frames)] if found.surplus else []
    if found.left:
        descriptions.append(f"{found.left} fragment(s) after the last end-of-image marker belong to no frame")
    if items.damage:
        descriptions.append(f"the bytes after the last fragment can't be read: {items.damage}")
    return tuple(descriptions)


def _missing(source: str, problem: str, found: int, declared: int) -> str:
    if found >= declared:
        return f"{source}: encapsulated pixel data: {problem}"
    which = f"frame index {found} is" if found == declared - 1 else f"frame indices {found} to {declared - 1} are"
    return f"{source}: encapsulated pixel data: {problem}; {which} missing"


def missing_frames(index: FrameIndex, source: str) -> PixelDataError:
    """Return the error that names the declared frames missing in a lenient index."""
    found, declared = available_frames(index), index.number_of_frames
    which = f"frame index {found}" if found == declared - 1 else f"frame indices {found} to {declared - 1}"
    return PixelDataError(
        f"Only {found} of {declared} frame(s) have been found in the pixel data: {which} missing"
        + "".join(f"; {note}" for note in index.notes),
        reason="frames_missing" if index.encapsulated else "pixel_data_too_short",
        source=source,
        frame=found,
    )


def _item_notes(header: Header, items: Items, problem: str) -> tuple[str, ...]:
    notes = []
    if header.value_length is not None:
        notes.append("encapsulated pixel data in an element of defined length")
    elif not items.delimited and not items.damage:
        padding = f": {items.padding} bytes of padding are in its place" if items.padding else ""
        notes.append(f"the sequence delimiter is missing{padding}")
    if items.truncated:
        notes.append("the file ends inside the last fragment")
    if problem:
        notes.append(problem)
    return tuple(notes)
