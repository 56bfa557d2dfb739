"""A drop-in replacement of :func:`pydicom.pixels.iter_pixels` that holds one frame and decodes only requested ones."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from operator import index as as_int
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
from pydicom._dicom_dict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from pipeline.errors import NoPixelDataError
from pipeline.frames.byte_sources import kept_position, name_of, open_source
from pipeline.frames.header import Header
from pipeline.frames.header_reader import open_data_set, read_header
from pipeline.frames.index import available_frames, index_frames, missing_frames
from pipeline.frames.missing_pixels import PYDICOM_S_WORDS, no_pixel_data
from pipeline.frames.pydicom_datasets import check_buffer, dataset_header
from pipeline.frames.reader import FrameReader
from pipeline.model import FrameIndex, local_path
from pipeline.storage import RangeFile, is_remote

_IMAGE = 0x0028
_CHARACTER_SET = 0x00080005
_IMAGE_GROUP = {tag for tag, entry in DicomDictionary.items() if tag >> 16 == _IMAGE and not entry[3]}
"""The elements of group 0028 that aren't retired."""
_OFFSET_TABLES = {0x7FE00001, 0x7FE00002}


def iter_frames(
    src: str | os.PathLike[str] | BinaryIO | Dataset,
    *,
    ds_out: Dataset | None = None,
    specific_tags: list[BaseTag | int] | None = None,
    indices: Iterable[int] | None = None,
    raw: bool = False,
    decoding_plugin: str = "",
    **kwargs: Any,
) -> Iterator[npt.NDArray[Any]]:
    """Yield an instance's decoded frames one at a time.

    Parameters and results are those of :func:`pydicom.pixels.iter_pixels`, except where pydicom is wrong or slow (see
    ``DIFFERENCES.md`` beside this file).

    Parameters
    ----------
    src : str, path-like, binary file object or Dataset
        A path, or a URL (``s3://…``, ``https://…``, see :func:`dcm2zarr.storage_options`). A seekable file object is read
        from its beginning, only in the necessary ranges; it stays open, and its position is restored.
    ds_out : Dataset, optional
        Receives the File Meta Information, the elements of group 0028, the extended offset table, and the elements of
        `specific_tags`, before the first frame is yielded. Ignored if `src` is a Dataset.
    specific_tags : list of int, optional
        Further tags for `ds_out`.
    indices : Iterable[int], optional
        Frame indices from 0 in any order, with or without repetitions; consumed lazily. None for all frames; empty for none.
    raw : bool
        Don't convert YBR_FULL and YBR_FULL_422 to RGB.
    decoding_plugin : str
        The only plugin to use; empty for all available.
    **kwargs
        pydicom's decoding options, and Image Pixel attributes that take precedence over the file's.

    Yields
    ------
    numpy.ndarray
        ``(rows, columns)`` or ``(rows, columns, samples)``; writeable and not shared, or with ``view_only=True`` read-only for
        native data. Without `indices`, the type may be the smallest for a codestream's precision; with `indices`, it is
        the type of Bits Allocated.

    Raises
    ------
    FrameIndexError
        For an index outside ``[0, Number of Frames)``; an IndexError.
    PixelDataError
        If frames are missing or damaged, after the found frames have been yielded; a ValueError.
    DecodeError
        If no plugin can decode a frame; a RuntimeError.
    MissingAttributeError, NoPixelDataError, InvalidAttributeError, UnsupportedTransferSyntaxError
        As in pydicom: AttributeError, AttributeError, ValueError, NotImplementedError.
    FileNotFoundError
        If the path doesn't exist; for a URL, a SourceError.
    """
    with ExitStack() as stack:
        file, header = _open_source(src, stack, kwargs, whole=indices is None)
        if ds_out is not None and not isinstance(src, Dataset):
            _fill(ds_out, header, specific_tags)
        yield from _decode(file, header, indices, kwargs, raw=raw, decoding_plugin=decoding_plugin)


def _open_source(
    src: str | os.PathLike[str] | BinaryIO | Dataset, stack: ExitStack, kwargs: Mapping[str, Any], *, whole: bool
) -> tuple[BinaryIO, Header]:
    """Return the file, which `stack` closes, and its header; `whole` means that all frames will be read."""
    if isinstance(src, Dataset):
        file, header = dataset_header(src)
        stack.enter_context(kept_position(file))
        check_buffer(header, kwargs)
        return file, header
    file = _open(src, stack)
    if whole and isinstance(file, RangeFile):
        file.read_through()
    return file, _header(file, name_of(src), kwargs)


def _decode(
    file: BinaryIO, header: Header, indices: Iterable[int] | None, kwargs: Mapping[str, Any], **how: Any
) -> Iterator[npt.NDArray[Any]]:
    data = open_data_set(file, deflated=header.deflated, source=header.source, most=header.limits.inflated)
    overrides = {name: value for name, value in kwargs.items() if name != "transfer_syntax_uid"}
    index = index_frames(data, header, lenient=True, **overrides)
    reader = FrameReader(data, index, options=overrides, source=header.source, as_stored=indices is not None, **how)
    reader.expect(_predictable_frames(index, indices))
    for frame in _chosen(index, indices):
        yield reader.read(frame).array
    if indices is None and available_frames(index) < index.number_of_frames:
        raise missing_frames(index, header.source)


def _open(src: str | os.PathLike[str] | BinaryIO, stack: ExitStack) -> BinaryIO:
    if hasattr(src, "read"):
        return stack.enter_context(kept_position(cast(BinaryIO, src)))
    name = os.fspath(cast(str, src))
    if is_remote(name):
        return stack.enter_context(open_source(name))
    # Open a path like pydicom, so that errors are the same.
    path = Path(local_path(name)).resolve(strict=True)
    return cast(BinaryIO, stack.enter_context(path.open("rb", buffering=0)))


def _header(file: BinaryIO, source: str, kwargs: Mapping[str, Any]) -> Header:
    uid = kwargs.get("transfer_syntax_uid")
    header = read_header(file, source=source, trailing=False, transfer_syntax_uid=str(uid or ""), guess=False)
    if header.pixel_keyword is None:
        error = no_pixel_data(header)
        if isinstance(error, NoPixelDataError):
            raise NoPixelDataError(PYDICOM_S_WORDS, reason=error.reason, source=source)
        raise error
    return header


def _fill(ds_out: Dataset, header: Header, specific_tags: list[BaseTag | int] | None) -> None:
    """Put the same raw elements into `ds_out` as pydicom; they are converted on access."""
    wanted = {_CHARACTER_SET, *_IMAGE_GROUP, *_OFFSET_TABLES, *(specific_tags or ())}
    ds_out.file_meta = header.file_meta
    ds_out.set_original_encoding(*header.dataset.original_encoding)
    elements = header.dataset._dict  # noqa: SLF001  like pydicom; no public method copies raw elements
    ds_out._dict.update({tag: element for tag, element in elements.items() if tag in wanted})  # noqa: SLF001


def _predictable_frames(index: FrameIndex, indices: Iterable[int] | None) -> Iterable[int]:
    """Return the frames to be read as far as they are known without consuming a lazy iterable."""
    if indices is None:
        return range(available_frames(index))
    return indices if isinstance(indices, Sequence) else ()


def _chosen(index: FrameIndex, indices: Iterable[int] | None) -> Iterator[int]:
    """Yield the frames to decode: requested ones, each checked just before its decoding, or all that were found."""
    if indices is None:
        yield from range(available_frames(index))
        return
    for frame in indices:
        if isinstance(frame, np.bool_):
            yield index.check(int(frame))
        else:
            yield index.check(as_int(frame))
