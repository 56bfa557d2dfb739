"""The Image Pixel attributes (PS3.3 C.7.6.3) as decoding options, checked before anything is decoded or allocated."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from pydicom.datadict import dictionary_description
from pydicom.pixels.decoders.base import DecodeRunner
from pydicom.uid import UID

from pipeline.errors import InvalidAttributeError, MissingAttributeError, foreign_text
from pipeline.frames.elements import Elements, Memo
from pipeline.frames.header import Header
from pipeline.frames.photometric_labels import check_labels, label_notes

Answer = TypeVar("Answer")

OPTION_TAGS = {
    "samples_per_pixel": 0x00280002,
    "photometric_interpretation": 0x00280004,
    "planar_configuration": 0x00280006,
    "number_of_frames": 0x00280008,
    "rows": 0x00280010,
    "columns": 0x00280011,
    "bits_allocated": 0x00280100,
    "bits_stored": 0x00280101,
    "high_bit": 0x00280102,
    "pixel_representation": 0x00280103,
}
_EXTENDED_OFFSETS = (0x7FE00001, 0x7FE00002)
"""Extended Offset Table and Extended Offset Table Lengths (PS3.3 C.7.6.3.1.8)."""
_XYB = "XYB"
"""JPEG XL's own colour space (PS3.3 C.7.6.3.1.2), which pydicom's list of Photometric Interpretations lacks."""
_INSIGNIFICANT = " \0"
"""Padding around a code string: blanks (PS3.5 6.2), and the zeros of some writers."""
_FLOAT_BITS = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}


def pixel_options(header: Header, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the header's Image Pixel attributes under the names of pydicom's decoding options, with checked types.

    Parameters
    ----------
    header : Header
    overrides : Mapping[str, Any], optional
        Values that take precedence over the header's, under the same names; further ones are passed through.

    Returns
    -------
    dict[str, Any]
        Plain int and str. Missing attributes are left out, except ``number_of_frames``, which becomes 1. ``high_bit`` is
        included only if it is valid and differs from ``bits_stored - 1``. ``extended_offsets`` holds the bytes of both
        tables if both are present.

    Raises
    ------
    InvalidAttributeError
        For a value of the wrong type or multiplicity.
    """
    elements, source = header.elements, header.source
    options: dict[str, Any] = {}
    for name, tag in OPTION_TAGS.items():
        if tag in elements.by_tag and (value := _value(elements, tag, source)) is not None:
            options[name] = value
    options |= {"pixel_keyword": header.pixel_keyword, "number_of_frames": options.get("number_of_frames") or 1}
    if header.pixel_vr:
        options["pixel_vr"] = header.pixel_vr
    if all(tag in elements.by_tag for tag in _EXTENDED_OFFSETS):
        options["extended_offsets"] = tuple(_value(elements, tag, source) for tag in _EXTENDED_OFFSETS)
    options |= overrides or {}
    options["number_of_frames"] = _whole(options["number_of_frames"], 0x00280008, source) or 1
    if not _is_elsewhere(options):
        options.pop("high_bit", None)
    return options


def _is_elsewhere(options: Mapping[str, Any]) -> bool:
    """Return whether High Bit is valid and puts samples above the lowest bits of their words (PS3.5 8.1.1)."""
    high, stored, allocated = (options.get(name) for name in ("high_bit", "bits_stored", "bits_allocated"))
    return None not in (high, stored, allocated) and bool(stored <= high < allocated)  # type: ignore[operator]  # not None


def describe_options(header: Header, options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return notes on attributes that were assumed or ignored.

    Parameters
    ----------
    header : Header
    options : Mapping[str, Any]
        The result of :func:`pixel_options`, checked by :func:`validate_options`.
    """
    tag = OPTION_TAGS["number_of_frames"]
    notes = []
    if tag in header.elements.by_tag and _value(header.elements, tag, header.source) in (None, 0):
        notes.append("Number of Frames is empty or 0: 1 frame assumed")
    return (*notes, *_place_notes(header, options), *label_notes(header.transfer_syntax_uid, options))


def _place_notes(header: Header, options: Mapping[str, Any]) -> Iterator[str]:
    """Yield a note if High Bit moves the samples, or contradicts Bits Stored."""
    stored = options.get("bits_stored")
    if "high_bit" in options:
        low = options["high_bit"] - stored + 1
        yield f"High Bit is {options['high_bit']}, not Bits Stored - 1: samples of words are bits {low} to {options['high_bit']}"
    elif OPTION_TAGS["high_bit"] in header.elements.by_tag and stored is not None:
        high = _value(header.elements, OPTION_TAGS["high_bit"], header.source)
        if high is not None and high + 1 != stored:
            yield f"High Bit {high} contradicts Bits Stored {stored}: samples are the lowest {stored} bits"


def _value(elements: Elements, tag: int, source: str) -> Any:
    try:
        known = _VALUES.get(elements, tag)
        value = elements.dataset[tag].value if known is None else known[0]
    except Exception as error:  # pydicom converts lazily: a damaged value may raise anything
        raise InvalidAttributeError(
            f"{source}: {_label(tag)} can't be read: {foreign_text(error)}", source=source
        ) from error
    if tag >> 16 != 0x0028:  # noqa: PLR2004  the offset tables, which are bytes
        return value
    if tag == OPTION_TAGS["photometric_interpretation"]:
        return _text(value, tag, source)
    return _whole(value, tag, source)


def _text(value: Any, tag: int, source: str) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise InvalidAttributeError(f"{source}: {_label(tag)} must be one text, not {_seen(value)}", source=source)
    return value.strip(_INSIGNIFICANT) or None


def _whole(value: Any, tag: int, source: str) -> int | None:
    if value is None or (isinstance(value, str | list) and not value):
        return None
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or (isinstance(value, float) and number != value):
        raise InvalidAttributeError(
            f"{source}: {_label(tag)} must be one whole number, not {_seen(value)}", source=source
        )
    return number


def _seen(value: Any) -> str:
    """Describe a wrong value for a message: numbers are shown, texts aren't, because they may be a patient's."""
    several = isinstance(value, list | tuple) or hasattr(value, "_list")
    if all(isinstance(part, int | float) for part in (value if several else [value])):
        return repr(list(value) if several else value)[:80]
    return f"{len(value)} values" if several else "a text" if isinstance(value, str) else type(value).__name__


def _label(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X}) '{dictionary_description(tag)}'"


def _is_xyb(options: Mapping[str, Any]) -> bool:
    return bool(options.get("photometric_interpretation") == _XYB)


def validate_options(uid: str, options: Mapping[str, Any], source: str) -> None:
    """Check the options like pydicom, with its messages.

    Raises
    ------
    MissingAttributeError
        If a required attribute is absent or empty.
    InvalidAttributeError
        For a value that the standard forbids, or bits that no NumPy type has; reason ``contradictory_attributes`` if two
        attributes contradict each other, so that the pixels' layout is unknown.
    """
    try:
        _validate(uid, {**options, "photometric_interpretation": "RGB"} if _is_xyb(options) else options)
    except AttributeError as error:
        raise MissingAttributeError(str(error), source=source) from error
    except ValueError as error:
        text = str(error).removesuffix(
            f" '{options.get('photometric_interpretation')}'"
        )  # an unknown value may be any text, so it isn't shown
        raise InvalidAttributeError(text, source=source) from error
    needed = _FLOAT_BITS.get(options["pixel_keyword"])
    if needed not in (None, options["bits_allocated"]):
        raise InvalidAttributeError(
            f"(0028,0100) 'Bits Allocated' must be {needed} for {options['pixel_keyword']}, not "
            f"{options['bits_allocated']}",
            source=source,
        )
    stored_dtype(uid, options, source)
    check_labels(uid, options, source)


def stored_dtype(uid: str, options: Mapping[str, Any], source: str) -> np.dtype[Any]:
    """Return the type of Bits Allocated and Pixel Representation, in the data's byte order."""
    try:
        return _pixel_dtype(uid, options)
    except NotImplementedError as error:
        raise InvalidAttributeError(
            f"(0028,0100) 'Bits Allocated' of {options['bits_allocated']}: {error}", source=source
        ) from error


def native_frame_bits(uid: str, options: Mapping[str, Any]) -> int:
    """Return the distance in bits between the first pixels of two consecutive native frames (PS3.5 8.1.1)."""
    if options["bits_allocated"] == 1:
        return _frame_pixels(uid, options)
    return _frame_bytes(uid, options) * 8


def _cached(question: Callable[[DecodeRunner], Answer]) -> Callable[[str, Mapping[str, Any]], Answer]:
    """Cache pydicom's answers by options, because making a runner costs more than reading a short header."""

    @lru_cache(256)
    def known(uid: str, items: tuple[tuple[str, type, Any], ...]) -> Answer:
        return question(_runner(uid, {name: value for name, _, value in items}))

    def ask(uid: str, options: Mapping[str, Any]) -> Answer:
        if not all(isinstance(value, _PLAIN) for value in options.values()):
            return question(_runner(uid, options))
        return known(uid, tuple((name, type(value), value) for name, value in options.items()))

    return ask


_PLAIN = int | str | None
_validate = _cached(DecodeRunner.validate)
_pixel_dtype = _cached(lambda runner: runner.pixel_dtype)
_frame_pixels = _cached(lambda runner: int(runner.frame_length(unit="pixels")))
_frame_bytes = _cached(lambda runner: int(runner.frame_length(unit="bytes")))
_VALUES: Memo[tuple[Any]] = Memo(lambda element: None if element.VR == "SQ" else (element.value,))


def _runner(uid: str, options: Mapping[str, Any]) -> DecodeRunner:
    runner = DecodeRunner(UID(uid))
    runner.set_source(io.BytesIO())  # pydicom doesn't validate a file's length; the frame index does
    runner.set_options(**{name: value for name, value in options.items() if value is not None})
    if not runner.transfer_syntax.is_encapsulated or runner.get_option("planar_configuration") is not None:
        return runner
    runner.set_option("planar_configuration", 0)  # in compressed data, the codestream decides
    return runner
