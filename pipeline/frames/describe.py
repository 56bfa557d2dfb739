"""Answers to the scan's questions about a header, in plain Python types."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from pydicom.datadict import tag_for_keyword

from pipeline.errors import UnsupportedTransferSyntaxError
from pipeline.frames.decoding_options import stored_dtype
from pipeline.frames.elements import Elements
from pipeline.frames.header import Header
from pipeline.frames.image_and_frame_attributes import frame_attributes, shared_values
from pipeline.frames.index import checked_options
from pipeline.frames.missing_pixels import no_pixel_data
from pipeline.frames.plugins import decoder_for, plugin_order
from pipeline.frames.values import plain_element, text_of
from pipeline.model import PixelFormat, Vector

_META_GROUP = 2
_PER_FRAME = 0x52009230
"""Per-frame Functional Groups Sequence."""
_POSITION, _ORIENTATION = 3, 6


def pixel_format(header: Header) -> PixelFormat:
    """Return the pixel format that all frames of an instance share.

    Raises
    ------
    NoPixelDataError, PixelDataError
        If the file has no pixel data, by its nature or because it is cut short.
    UnsupportedTransferSyntaxError
        If the transfer syntax has no decoder, or none of its plugins is installed.
    MissingAttributeError, InvalidAttributeError
        If an Image Pixel attribute is missing, or its value isn't allowed.
    """
    if header.pixel_keyword is None:
        raise no_pixel_data(header)
    _check_decodable(header)
    options = checked_options(header)
    uid = header.transfer_syntax_uid
    return PixelFormat(
        rows=options["rows"],
        columns=options["columns"],
        samples_per_pixel=options["samples_per_pixel"],
        dtype=stored_dtype(uid, options, header.source).newbyteorder("=").name,
        photometric_interpretation=options["photometric_interpretation"],
    )


def keyword_values(header: Header, keywords: Iterable[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values of DICOM keywords, after the gate.

    Keywords of group 0002 come from the File Meta Information; keywords that the data set lacks, from the Shared Functional
    Groups.

    Returns
    -------
    dict[str, Any]
        Keyword → int, float, str, None, or a list of these; None if absent, empty or not convertible.
    dict[str, str]
        Keyword → bytes as text, for values that pydicom can't convert.
    """
    return _keyword_values(header.released, header.released_meta, keywords)


def unreleased_values(header: Header, keywords: Iterable[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the same values before the gate: for decisions only, never to be written or shown."""
    return _keyword_values(header.elements, header.meta, keywords)


def _keyword_values(
    data_set: Elements, meta: Elements, keywords: Iterable[str]
) -> tuple[dict[str, Any], dict[str, str]]:
    values: dict[str, Any] = {}
    texts: dict[str, str] = {}
    shared: dict[str, Any] | None = None
    for keyword in keywords:
        tag = tag_for_keyword(keyword)
        values[keyword] = None
        if tag is None:
            continue
        elements = meta if tag >> 16 == _META_GROUP else data_set
        if tag in elements.by_tag:
            try:
                values[keyword] = plain_element(elements, tag)
            except Exception:  # noqa: BLE001  pydicom converts here, and damaged values fail in many ways
                texts[keyword] = text_of(elements.dataset, tag)
        else:
            shared = shared_values(data_set) if shared is None else shared
            values[keyword] = shared.get(keyword)
    return values, texts


def geometry(header: Header) -> tuple[Vector | None, tuple[Vector, Vector] | None]:
    """Return Image Position (Patient) in mm and Image Orientation (Patient); None for missing or unsound values.

    For an instance with functional groups, return the values that all its frames share.
    """
    values, _ = keyword_values(header, ("ImagePositionPatient", "ImageOrientationPatient"))
    if None in values.values() and _PER_FRAME in header.released.by_tag:
        values |= frame_attributes(header, 1).constant
    position = _numbers(values.get("ImagePositionPatient"), _POSITION)
    orientation = _numbers(values.get("ImageOrientationPatient"), _ORIENTATION)
    return (
        (position[0], position[1], position[2]) if position else None,
        ((orientation[0], orientation[1], orientation[2]), (orientation[3], orientation[4], orientation[5]))
        if orientation
        else None,
    )


def _numbers(value: Any, count: int) -> list[float] | None:
    if not isinstance(value, list) or len(value) != count:
        return None
    return value if all(isinstance(part, float | int) and math.isfinite(part) for part in value) else None


def _check_decodable(header: Header) -> None:
    uid = header.transfer_syntax_uid
    try:
        plugin_order(decoder_for(uid, header.source))
    except RuntimeError as error:
        raise UnsupportedTransferSyntaxError(str(error), source=header.source) from error
