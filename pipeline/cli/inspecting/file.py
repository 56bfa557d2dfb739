"""Show one DICOM file: the header values about the pixels, the places of its frames, and their decoder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from time import perf_counter
from typing import Any, BinaryIO

from rich.markup import escape
from rich.table import Table

from pipeline import frames
from pipeline.cli.screen import Screen, plain
from pipeline.deid import Gate
from pipeline.errors import NoPixelDataError, NotDicomError, PipelineError
from pipeline.model import FrameIndex
from pipeline.report import advice
from pipeline.units import counted, number, shape, size

# Attributes that describe the image, not the patient.
_KEYWORDS = {
    "SOPClassUID": "SOP Class UID",
    "SOPInstanceUID": "SOP Instance UID",
    "SeriesInstanceUID": "Series Instance UID",
    "StudyInstanceUID": "Study Instance UID",
    "Modality": "Modality",
    "Manufacturer": "Manufacturer",
    "ImageType": "Image Type",
    "NumberOfFrames": "Number of Frames",
    "BitsAllocated": "Bits Allocated",
    "BitsStored": "Bits Stored",
    "HighBit": "High Bit",
    "PixelRepresentation": "Pixel Representation",
    "PlanarConfiguration": "Planar Configuration",
    "PhotometricInterpretation": "Photometric Interpretation",
    "LossyImageCompression": "Lossy Image Compression",
}
_BOUNDARIES = {
    "native": "native: every frame has the same length",
    "basic_offset_table": "the basic offset table",
    "extended_offset_table": "the extended offset table",
    "one_fragment_per_frame": "no offset table, but one fragment for each frame",
    "single_frame": "a single frame",
    "end_of_image_markers": "no offset table: end-of-image markers in the fragments",
}
Facts = Iterable[tuple[str, str]]


def inspect_file(screen: Screen, path: str) -> int:
    """Print header, frame index and decoder of a file, and return the exit code: 1 if it can't be converted, else 0."""
    code = 0
    with frames.open_source(str(path)) as file:
        try:
            verdict = "it can be converted" + (", but not all that it holds" if _inspect(screen, file, path) else "")
        except PipelineError as error:
            message = Gate.of().message(str(error), reason=error.reason, source=path)
            code, verdict = _report_error(screen, error.reason, message)
    screen.show("")
    screen.final(f"{path}. Exit code {code}: {verdict}.")
    return code


def _report_error(screen: Screen, reason: str, message: str) -> tuple[int, str]:
    """Print the error of a file; return the exit code and its meaning."""
    if reason in {NotDicomError.reason, NoPixelDataError.reason}:
        screen.show("", escape(message))
        return 0, f"not an image, so a conversion leaves it alone ({reason})"
    screen.show("", f"[red]{escape(reason)}[/]: {escape(message)}", escape(advice(reason)))
    return 1, f"it can't be converted ({reason})"


def _inspect(screen: Screen, file: BinaryIO, path: str) -> bool:
    """Print all facts about a file; return whether the file holds anything that a conversion doesn't store."""
    header = frames.read_header(file, source=path, gate=Gate.of())
    screen.show("", "[bold]Header[/]", _facts(_header_facts(header)))
    begin = perf_counter()
    index = frames.index_frames(file, header)
    seconds = perf_counter() - begin
    pixels = frames.pixel_format(header)
    facts = [("Frame", f"{shape(pixels.frame_shape)} {pixels.dtype}, {size(pixels.frame_bytes)} decoded")]
    screen.show("", "[bold]Frame index[/]", _facts([*facts, *_index_facts(index, seconds, header)]))
    reader = frames.FrameReader(file, index, source=path)
    screen.show("", "[bold]Decoding[/]", _facts(_decoding_facts(reader)))
    unstored = frames.unstored(header, index)
    if unstored:
        screen.show("", "[yellow]Not stored[/]", _facts(("", _message(header, text)) for text in unstored))
    return bool(unstored)


def _facts(facts: Facts) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(f"  {name}", plain(value))
    return table


def _header_facts(header: frames.Header) -> Facts:
    uid = header.gate.uid(header.transfer_syntax_uid)
    yield "Transfer syntax", f"{frames.transfer_syntax_name(uid)} ({uid})"
    values: Mapping[str, Any] = frames.keyword_values(header, tuple(_KEYWORDS))[0]
    for keyword, name in _KEYWORDS.items():
        value = values.get(keyword)
        if value is not None:
            yield name, "\\".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    for assumption in header.assumptions:
        yield "Assumed", _message(header, assumption)


def _message(header: frames.Header, text: str) -> str:
    return header.gate.message(text, source=header.source)


def _index_facts(index: FrameIndex, seconds: float, header: frames.Header) -> Facts:
    yield "Frames", number(index.number_of_frames)
    yield "Boundaries", _BOUNDARIES.get(index.boundaries, index.boundaries)
    if index.encapsulated:
        yield "Fragments", number(len(index.fragment_offsets))
    yield "Pixel data", f"{size(index.value_length)} from byte {number(index.value_offset)} on"
    if index.number_of_frames:
        first = index.ranges(0)
        yield (
            "First frame",
            f"{size(index.encoded_bytes(0))} in {counted(len(first), 'range')}, from byte {first[0][0]:,}",
        )
    yield "Index", f"{size(len(index.to_bytes()))}, built in {seconds * 1000:.1f} ms"
    for note in index.notes:
        yield "Note", _message(header, note)


def _decoding_facts(reader: frames.FrameReader) -> Facts:
    begin = perf_counter()
    frame = reader.read(0)
    milliseconds = (perf_counter() - begin) * 1000
    yield "Decoder", frame.decoder or "none needed (native)"
    yield "Decoded as", f"{shape(frame.array.shape)} {frame.array.dtype}, {frame.photometric_interpretation}"
    yield "First frame took", f"{milliseconds:.1f} ms"
