"""One DICOM file: the header values about the pixels, the places of its frames, and their decoder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any, BinaryIO

from pipeline import frames
from pipeline.deid import Gate
from pipeline.errors import NoPixelDataError, NotDicomError, PipelineError
from pipeline.model import FrameIndex, PixelFormat
from pipeline.report import advice
from pipeline.text_tables import Shown, Table
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
    "codestream_starts": "no offset table: fragments that begin a codestream",
}
_NO_IMAGE = frozenset({NotDicomError.reason, NoPixelDataError.reason})
Facts = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class FirstFrame:
    """The first frame, as it was decoded."""

    shape: tuple[int, ...]
    """``(rows, columns)`` or ``(rows, columns, samples)``."""
    dtype: str
    photometric_interpretation: str
    """Of the decoded samples: YBR_FULL becomes RGB."""
    decoder: str
    """Plugin and version; empty for native data, which need none."""
    seconds: float
    """How long it took."""


@dataclass(frozen=True, slots=True, repr=False)
class FileInspection(Shown):
    """What there is to know of one file, as far as it could be read; header values as the gate lets them through."""

    path: str
    transfer_syntax_uid: str = ""
    transfer_syntax: str = ""
    """Its name (PS3.6 Table A-1)."""
    header: Mapping[str, Any] = field(default_factory=dict)
    """DICOM keyword → value, of those that describe the image and not the patient, if they are present."""
    assumptions: tuple[str, ...] = ()
    """What the header doesn't say or says wrongly, and what was assumed instead."""
    index: FrameIndex | None = None
    """Where the frames lie; None if that can't be told."""
    index_seconds: float = 0.0
    """How long finding them took."""
    format: PixelFormat | None = None
    """Shape and type of a frame."""
    first_frame: FirstFrame | None = None
    """None if it can't be decoded."""
    unstored: tuple[str, ...] = ()
    """What else the file holds, which a conversion doesn't store."""
    reason: str = ""
    """Why it isn't converted (docs/reasons.md); empty if it can be."""
    message: str = ""
    """The same in a sentence."""

    @property
    def number_of_frames(self) -> int:
        """Frames that the file holds."""
        return self.index.number_of_frames if self.index else 0

    @property
    def is_image(self) -> bool:
        """Whether a conversion would try to store it; files without an image are left alone."""
        return self.reason not in _NO_IMAGE

    @property
    def advice(self) -> str:
        """What to do if it can't be converted."""
        return advice(self.reason) if self.reason else ""

    @property
    def exit_code(self) -> int:
        """1 if it is an image that can't be converted, else 0."""
        return int(bool(self.reason) and self.is_image)

    @property
    def verdict(self) -> str:
        """Whether it can be converted, in words."""
        if not self.is_image:
            return f"not an image, so a conversion leaves it alone ({self.reason})"
        if self.reason:
            return f"it can't be converted ({self.reason})"
        return "it can be converted" + (", but not all that it holds" if self.unstored else "")

    @property
    def facts(self) -> dict[str, Facts]:
        """What is known, for people: title → name and value of each fact."""
        found = {
            "Header": list(self._header_facts()),
            "Frame index": list(self._index_facts()),
            "Decoding": list(self._decoding_facts()),
            "Not stored": [("", told) for told in self.unstored],
        }
        return {title: facts for title, facts in found.items() if facts}

    def parts(self) -> Iterator[Table | str]:
        """Yield the facts by title, and the verdict."""
        yield self.path
        for title, facts in self.facts.items():
            yield title
            yield Table(("", ""), [(f"  {name}", value) for name, value in facts])
        if self.reason:
            yield f"{self.reason}: {self.message}"
        yield f"{self.verdict[0].upper()}{self.verdict[1:]}."

    def _header_facts(self) -> Iterator[tuple[str, str]]:
        if self.transfer_syntax_uid or self.header:
            yield "Transfer syntax", f"{self.transfer_syntax} ({self.transfer_syntax_uid})"
        for keyword, value in self.header.items():
            yield _KEYWORDS[keyword], "\\".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        for assumption in self.assumptions:
            yield "Assumed", assumption

    def _index_facts(self) -> Iterator[tuple[str, str]]:
        index, pixels = self.index, self.format
        if index is None or pixels is None:
            return
        yield "Frame", f"{shape(pixels.frame_shape)} {pixels.dtype}, {size(pixels.frame_bytes)} decoded"
        yield "Frames", number(index.number_of_frames)
        yield "Boundaries", _BOUNDARIES.get(index.boundaries, index.boundaries)
        if index.encapsulated:
            yield "Fragments", number(len(index.fragment_offsets))
        yield "Pixel data", f"{size(index.value_length)} from byte {number(index.value_offset)} on"
        if index.number_of_frames:
            first = index.ranges(0)
            told = f"{size(index.encoded_bytes(0))} in {counted(len(first), 'range')}, from byte {number(first[0][0])}"
            yield "First frame", told
        yield "Index", f"{size(len(index.to_bytes()))}, built in {self.index_seconds * 1000:.1f} ms"
        for note in index.notes:
            yield "Note", note

    def _decoding_facts(self) -> Iterator[tuple[str, str]]:
        if frame := self.first_frame:
            yield "Decoder", frame.decoder or "none needed (native)"
            yield "Decoded as", f"{shape(frame.shape)} {frame.dtype}, {frame.photometric_interpretation}"
            yield "First frame took", f"{frame.seconds * 1000:.1f} ms"


def inspect_file(path: str) -> FileInspection:
    """Read header and frame index of a file, and decode its first frame; what is wrong with it is part of the result.

    Raises
    ------
    PipelineError
        If it can't be opened.
    """
    known: dict[str, Any] = {}
    with frames.open_source(path) as file:
        try:
            for facts in _read(file, path):
                known |= facts
        except PipelineError as error:
            message = Gate.of().message(str(error), reason=error.reason, source=path)
            known |= {"reason": error.reason, "message": message}
    return FileInspection(path, **known)


def _read(file: BinaryIO, path: str) -> Iterator[dict[str, Any]]:
    """Yield fields of the inspection as they become known."""
    header = frames.read_header(file, source=path, gate=Gate.of())
    uid = header.gate.uid(header.transfer_syntax_uid)
    yield {"transfer_syntax_uid": uid, "transfer_syntax": frames.transfer_syntax_name(uid)}
    values = frames.keyword_values(header, tuple(_KEYWORDS))[0]
    yield {"header": {keyword: values[keyword] for keyword in _KEYWORDS if values.get(keyword) is not None}}
    yield {"assumptions": _messages(header, header.assumptions)}
    begin = perf_counter()
    index = frames.index_frames(file, header)
    seconds = perf_counter() - begin
    yield {"index": replace(index, notes=_messages(header, index.notes)), "index_seconds": seconds}
    yield {"format": frames.pixel_format(header)}
    begin = perf_counter()
    frame = frames.FrameReader(file, index, source=path).read(0)
    seconds = perf_counter() - begin
    array = frame.array
    yield {
        "first_frame": FirstFrame(
            array.shape, str(array.dtype), frame.photometric_interpretation, frame.decoder, seconds
        )
    }
    yield {"unstored": _messages(header, frames.unstored(header, index))}


def _messages(header: frames.Header, texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(header.gate.message(text, source=header.source) for text in texts)
