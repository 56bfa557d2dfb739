"""A Dataset's pixel data as a file with a header."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO, cast

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.decoders.base import DecodeRunner
from pydicom.uid import UID

from pipeline.errors import MissingAttributeError, NoPixelDataError, PixelDataError
from pipeline.frames.byte_sources import BufferFile, kept_position, size_of
from pipeline.frames.decoding_options import pixel_options, validate_options
from pipeline.frames.header import PIXEL_KEYWORDS, Header
from pipeline.frames.plugins import decoder_for
from pipeline.model import syntaxes


def dataset_header(dataset: Dataset) -> tuple[BinaryIO, Header]:
    """Return the Dataset's pixel data as a file, and a header with offsets in that file.

    Buffered pixel data begin at the buffer's position, which the caller restores.

    Raises
    ------
    MissingAttributeError
        If the transfer syntax is missing.
    NoPixelDataError
        If no pixel data element is present, or several are.
    """
    file_meta = getattr(dataset, "file_meta", None) or FileMetaDataset()
    uid = file_meta.get("TransferSyntaxUID", None)
    if not uid:
        raise MissingAttributeError(
            "Unable to decode the pixel data as the dataset's 'file_meta' has no (0002,0010) 'Transfer Syntax UID' "
            "element"
        )
    present = [keyword for keyword in PIXEL_KEYWORDS.values() if keyword in dataset]
    if not present:
        raise NoPixelDataError(
            "The dataset has no 'Pixel Data', 'Float Pixel Data' or 'Double Float Pixel Data' element, no pixel data "
            "to decode"
        )
    if len(present) > 1:
        raise NoPixelDataError(
            "One and only one of 'Pixel Data', 'Float Pixel Data' or 'Double Float Pixel Data' may be present in the "
            "dataset",
            reason="invalid_attribute",
        )
    element = dataset[present[0]]
    value = element.value
    file = cast(BinaryIO, value if hasattr(value, "read") else BufferFile(value or b""))
    start = file.tell()
    with kept_position(file):
        length = None if syntaxes.is_encapsulated(uid) else size_of(file) - start
    header = Header(
        source="Dataset",
        dataset=dataset,
        file_meta=file_meta,
        transfer_syntax_uid=str(uid),
        pixel_keyword=present[0],
        pixel_vr=str(element.VR),
        value_offset=start,
        value_length=length,
    )
    return file, header


def check_buffer(header: Header, overrides: Mapping[str, Any]) -> None:
    """Compare the length of a Dataset's pixel data with its attributes like pydicom, with the same warnings.

    Raises
    ------
    PixelDataError
        If native data are shorter than the frames, or contradict YBR_FULL_422.
    """
    uid = header.transfer_syntax_uid
    decoder_for(uid, header.source)
    options = pixel_options(header, overrides)
    validate_options(uid, options, header.source)
    value = header.dataset[str(header.pixel_keyword)].value
    if hasattr(value, "read"):
        return
    runner = DecodeRunner(UID(uid))
    runner.set_source(value or b"")
    runner.set_options(**{"planar_configuration": 0, **options, "allow_excess_frames": False})
    try:
        runner.validate()
    except ValueError as error:
        short = "less than expected" in str(error)
        reason = "pixel_data_too_short" if short else None
        raise PixelDataError(str(error), reason=reason, source=header.source) from error
