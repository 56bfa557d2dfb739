"""Headers without pixel data: objects that never have any, and images that lost theirs or were cut before them."""

from __future__ import annotations

from pydicom._uid_dict import UID_dictionary

from pipeline.errors import NoPixelDataError, PipelineError, PixelDataError
from pipeline.frames.header import Header
from pipeline.frames.values import find_value

_SOP_CLASS, _MEDIA_SOP_CLASS = 0x00080016, 0x00020002
_ROWS, _COLUMNS, _BITS_ALLOCATED = 0x00280010, 0x00280011, 0x00280100
_SPECTROSCOPY_DATA = 0x56000020
_DIRECTORY_RECORDS = 0x00041220
_URL = 0x00287FE0

_IMAGE_STORAGE = "Image Storage"
"""Part of the name of every SOP Class whose IOD requires the Image Pixel Module, except those below (PS3.4 B.5)."""
_IMAGES = {
    "1.2.840.10008.5.1.4.1.1.6.2": "Enhanced US Volume Storage",
    "1.2.840.10008.5.1.4.1.1.30": "Parametric Map Storage",
    "1.2.840.10008.5.1.4.1.1.66.4": "Segmentation Storage",
    "1.2.840.10008.5.1.4.1.1.66.7": "Label Map Segmentation Storage",
    "1.2.840.10008.5.1.4.1.1.66.8": "Height Map Segmentation Storage",
    "1.2.840.10008.5.1.4.1.1.77.1.5.8": "Ophthalmic Optical Coherence Tomography B-scan Volume Analysis Storage",
    "1.2.840.10008.5.1.4.1.1.81.1": "Ophthalmic Thickness Map Storage",
    "1.2.840.10008.5.1.4.1.1.82.1": "Corneal Topography Map Storage",
}
PYDICOM_S_WORDS = (
    "The dataset in 'src' has no 'Pixel Data', 'Float Pixel Data' or 'Double Float Pixel Data' element, no pixel data to "
    "decode"
)


def no_pixel_data(header: Header) -> PipelineError:
    """Return the error for a header without pixel data.

    Returns
    -------
    NoPixelDataError
        ``no_pixel_data`` if SOP Class, attributes and file length agree that the file isn't an image;
        ``pixel_data_missing`` if the SOP Class is an image's, or Rows, Columns and Bits Allocated are present.
    PixelDataError
        ``pixel_data_too_short`` if the file of such an image ends inside an element.
    PipelineError
        ``header_unreadable`` if the file ends inside an element, and it is unknown whether it was an image.
    """
    source, cut, name = header.source, header.truncated, _sop_class_name(header)
    why = _promise(header, name)
    if not header.dataset:
        cut = "the file ends before its data set"
    elif header.left_over and not cut and (why or not name):
        cut = f"the file ends {header.left_over} bytes into an element"
    if why and cut:
        return PixelDataError(
            f"{source}: {cut}, before its pixel data; {why}", reason="pixel_data_too_short", source=source
        )
    if why:
        elsewhere = "; Pixel Data Provider URL refers to another place" if _URL in header.elements.by_tag else ""
        return NoPixelDataError(
            f"{source}: no pixel data, although {why}{elsewhere}", reason="pixel_data_missing", source=source
        )
    if cut:
        return PipelineError(
            f"{source}: {cut}; it is unknown whether it was an image", reason="header_unreadable", source=source
        )
    return NoPixelDataError(f"{source}: no pixel data", source=source)


def _promise(header: Header, name: str) -> str:
    """Describe the evidence that the file is an image; empty without evidence."""
    present = header.elements.by_tag
    if _DIRECTORY_RECORDS in present:  # a DICOMDIR, whatever its other elements
        return ""
    if _IMAGE_STORAGE in name or name in _IMAGES.values():
        return f"its SOP Class is {name}"
    if {_ROWS, _COLUMNS, _BITS_ALLOCATED} <= present.keys() and _SPECTROSCOPY_DATA not in present:
        return "it has Rows, Columns and Bits Allocated"
    return ""


def _sop_class_name(header: Header) -> str:
    """Return the name of the SOP Class, from the data set or else the file meta information; empty if unknown."""
    for uid in (find_value(header.elements, _SOP_CLASS), find_value(header.meta, _MEDIA_SOP_CLASS)):
        known = uid.strip(" \0") if isinstance(uid, str) else ""
        name: str = _IMAGES.get(known) or UID_dictionary.get(known, ("",))[0]
        if name:
            return name
    return ""
