"""Attributes that interpret the pixels: one value for the instance, or one for each frame if they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from pipeline.frames.elements import Elements
from pipeline.frames.header import Header
from pipeline.frames.keywords import dictionary_keyword, keyword_kind
from pipeline.frames.tiles import UNKNOWN_PLACE, first_tile, tile_columns
from pipeline.frames.values import find_items, find_value, first_item, has_value, raw_element

_IMAGE = (
    *("RescaleSlope", "RescaleIntercept", "RescaleType", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    *("WindowCenterWidthExplanation", "ModalityLUTSequence", "VOILUTSequence", "PresentationLUTShape"),
    *("RealWorldValueMappingSequence", "Units", "DoseUnits", "DoseGridScaling", "PixelIntensityRelationship"),
    *("PixelIntensityRelationshipSign", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio", "SliceThickness"),
    *("SpacingBetweenSlices", "ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID"),
    *("PatientOrientation", "PatientPosition", "SequenceOfUltrasoundRegions"),
    *("PhotometricInterpretation", "BitsStored", "HighBit", "PixelRepresentation", "LossyImageCompression"),
    *("LossyImageCompressionRatio", "LossyImageCompressionMethod", "BurnedInAnnotation"),
    *("RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor"),
    *("BluePaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData"),
    *("BluePaletteColorLookupTableData", "SegmentedRedPaletteColorLookupTableData"),
    *("SegmentedGreenPaletteColorLookupTableData", "SegmentedBluePaletteColorLookupTableData"),
    *("SOPClassUID", "ConversionType", "SpecimenLabelInImage"),
    *("PixelPresentation", "Modality", "ImageType", "BodyPartExamined", "Laterality", "ImageLaterality"),
    *("SeriesDescription", "FrameTime", "CineRate", "RecommendedDisplayFrameRate", "SegmentationType"),
    *("SegmentationFractionalType", "MaximumFractionalValue", "DimensionOrganizationType"),
    *("TotalPixelMatrixRows", "TotalPixelMatrixColumns", "TotalPixelMatrixFocalPlanes", "NumberOfOpticalPaths"),
    *("TotalPixelMatrixOriginSequence", "ImageOrientationSlide", "ImagedVolumeWidth", "ImagedVolumeHeight"),
    "ImagedVolumeDepth",
)
"""Interpretive keywords of the whole instance."""
_IMAGE_TAGS = {keyword: tag_for_keyword(keyword) or 0 for keyword in _IMAGE}

_VECTORS = ("FrameTimeVector", "GridFrameOffsetVector", "SliceLocationVector", "TimeSlotVector", "SliceVector")
"""Elements outside of functional groups that hold one value per frame."""
_VECTOR_TAGS = tuple((keyword, tag_for_keyword(keyword) or 0) for keyword in _VECTORS)

_MACROS: Mapping[str, tuple[str, ...]] = {
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelValueTransformationSequence": ("RescaleIntercept", "RescaleSlope", "RescaleType"),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction", "WindowCenterWidthExplanation"),
    "RealWorldValueMappingSequence": (
        *("RealWorldValueSlope", "RealWorldValueIntercept", "RealWorldValueFirstValueMapped"),
        *("RealWorldValueLastValueMapped", "LUTLabel"),
    ),
    "PlanePositionSlideSequence": (
        *("ColumnPositionInTotalImagePixelMatrix", "RowPositionInTotalImagePixelMatrix"),
        *("XOffsetInSlideCoordinateSystem", "YOffsetInSlideCoordinateSystem", "ZOffsetInSlideCoordinateSystem"),
    ),
    "PlaneOrientationSlideSequence": ("ImageOrientationSlide",),
    "OpticalPathIdentificationSequence": ("OpticalPathIdentifier",),
    "SegmentIdentificationSequence": ("ReferencedSegmentNumber",),
    "FrameContentSequence": (
        *("DimensionIndexValues", "StackID", "InStackPositionNumber", "TemporalPositionIndex"),
        *("FrameAcquisitionNumber", "FrameReferenceDateTime", "FrameAcquisitionDateTime", "FrameAcquisitionDuration"),
    ),
    "FrameAnatomySequence": ("FrameLaterality",),
    "MRDiffusionSequence": ("DiffusionBValue", "DiffusionDirectionality"),
    "MREchoSequence": ("EffectiveEchoTime",),
    "CardiacSynchronizationSequence": ("NominalCardiacTriggerDelayTime",),
    "TemporalPositionSequence": ("TemporalPositionTimeOffset",),
}
"""Functional group macro (PS3.3 C.7.6.16.2) → its keywords that are kept."""

_MACRO_TAGS = {
    tag_for_keyword(macro) or 0: {keyword: tag_for_keyword(keyword) or 0 for keyword in keywords}
    for macro, keywords in _MACROS.items()
}
INTERPRETIVE_KEYWORDS = tuple(dict.fromkeys([*_IMAGE, *_VECTORS, *(k for ks in _MACROS.values() for k in ks)]))
"""All keywords that may be among an image's attributes."""

_NUMBERS = {
    keyword: int(vm) if (vm := (dictionary_keyword(keyword) or ("", ""))[1]).isdecimal() else 0
    for keyword in INTERPRETIVE_KEYWORDS
    if keyword_kind(keyword).rstrip("s") in {"number", "integer"}
}
"""Numeric keyword → its fixed number of values (PS3.6), or 0 if the number varies."""

_SHARED, _PER_FRAME = 0x52009229, 0x52009230
_UNUSABLE: Any = object()
"""Marks a value that contradicts its keyword's type."""


class FrameAttributes(NamedTuple):
    """Interpretive attributes of one instance, under DICOM keywords."""

    constant: dict[str, Any]
    """Values that are equal in all frames: int, float, str, or a list of these; sequences as lists of dicts, bytes as base64
    text of little endian data."""
    by_frame: dict[str, list[Any]]
    """Values that differ between frames: one per frame, None for a frame without value."""
    notes: tuple[str, ...] = ()
    """Notes about unusable values."""


@dataclass(slots=True)
class _Unusable:
    """Collection of unusable values."""

    frames: dict[str, list[int]] = field(default_factory=dict)
    """Keyword → frames; an empty list for the instance's own value."""
    notes: list[str] = field(default_factory=list)

    def remove_from(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the usable values and record the others."""
        for keyword in [keyword for keyword, value in values.items() if value is _UNUSABLE]:
            self.frames[keyword] = []
            del values[keyword]
        return values

    def all_notes(self) -> tuple[str, ...]:
        """Return a note on each unusable value, without the value, which may be a patient's."""
        return (*self.notes, *(self._note(keyword, frames) for keyword, frames in self.frames.items()))

    def _note(self, keyword: str, frames: list[int]) -> str:
        count = _NUMBERS.get(keyword)
        problem = "can't be read" if not count else f"isn't {count} numbers" if count > 1 else "isn't one number"
        which = f" in {len(frames)} frame(s), the first is frame index {frames[0]}" if frames else ""
        return f"{keyword} {problem}{which}: left out"


def frame_attributes(header: Header, number_of_frames: int) -> FrameAttributes:
    """Return the interpretive attributes of an instance and of its frames.

    Functional groups (PS3.3 C.7.6.16) are read once and take precedence over the data set. Values that contradict their
    keyword's type are left out and noted.

    Parameters
    ----------
    header : Header
    number_of_frames : int
    """
    elements, unusable = header.released, _Unusable()
    constant = unusable.remove_from(_read(elements, _IMAGE_TAGS)) | unusable.remove_from(_shared(elements))
    if isinstance(stored := constant.get("BitsStored"), int) and "HighBit" in constant:
        constant["HighBit"] = stored - 1  # in the image, samples are moved to the lowest bits
    varying: dict[str, list[Any]] = {}
    for keyword, values in _columns(elements, constant, number_of_frames, unusable):
        if number_of_frames > 1 and any(value != values[0] for value in values):
            constant.pop(keyword, None)
            varying[keyword] = values
        else:
            constant[keyword] = values[0]
    kept = {keyword: value for keyword, value in constant.items() if value is not None}
    return FrameAttributes(kept, varying, unusable.all_notes())


def shared_values(elements: Elements) -> dict[str, Any]:
    """Return the values in the Shared Functional Groups of a data set."""
    return _Unusable().remove_from(_shared(elements))


def _shared(elements: Elements) -> dict[str, Any]:
    shared = first_item(elements.dataset, _SHARED) if _SHARED in elements.by_tag else None
    return {} if shared is None else _group_values(shared, {})


def _read(elements: Elements, tags: Mapping[str, int]) -> dict[str, Any]:
    """Return the values of the keywords that are present; :data:`_UNUSABLE` for an unusable value."""
    values: dict[str, Any] = {}
    present = elements.by_tag
    for keyword, tag in tags.items():
        if tag not in present:
            continue
        value = find_value(elements, tag)
        if value is not None and _is_sound(keyword, value):
            values[keyword] = value
        elif value is not None or has_value(elements, tag):
            values[keyword] = _UNUSABLE
    return values


def _is_sound(keyword: str, value: Any) -> bool:
    """Return whether a value has its keyword's number of numbers; always True for texts and sequences."""
    count = _NUMBERS.get(keyword)
    if count is None:
        return True
    if not isinstance(value, list):
        return count <= 1 and not isinstance(value, str)
    if count:
        return len(value) == count and all(isinstance(part, int | float) for part in value)
    return any(part is not None for part in value) and not any(isinstance(part, str) for part in value)


def _columns(
    elements: Elements, constant: Mapping[str, Any], frames: int, unusable: _Unusable
) -> Iterator[tuple[str, list[Any]]]:
    """Yield keywords with one value for each frame."""
    for keyword, tag in _VECTOR_TAGS:
        values = find_value(elements, tag)
        if isinstance(values, list) and len(values) == frames:
            yield keyword, values
        elif has_value(elements, tag) and (isinstance(values, list) or frames > 1):
            found = len(values) if isinstance(values, list) else int(values is not None)
            unusable.notes.append(f"{keyword} has {found} value(s) for {frames} frame(s): left out")
    if constant.get("DimensionOrganizationType") == "TILED_FULL":
        yield from tile_columns(elements, constant, frames).items()
        if first_tile(elements) is None:
            unusable.notes.append(UNKNOWN_PLACE)
    yield from _per_frame_columns(elements, frames, unusable)


def _per_frame_columns(elements: Elements, frames: int, unusable: _Unusable) -> Iterator[tuple[str, list[Any]]]:
    groups = [item.dataset for item in find_items(elements.dataset, _PER_FRAME)]
    if len(groups) != frames:  # then items can't be assigned to frames
        if has_value(elements, _PER_FRAME):
            unusable.notes.append(
                f"the Per-frame Functional Groups have {len(groups)} item(s) for {frames} frame(s): left out"
            )
        return
    known: dict[tuple[int, bytes], dict[str, Any]] = {}
    columns: dict[str, list[Any]] = {}
    for frame, group in enumerate(groups):
        for keyword, value in _group_values(group, known).items():
            column = columns.setdefault(keyword, [None] * frames)
            if value is _UNUSABLE:
                unusable.frames.setdefault(keyword, []).append(frame)
            else:
                column[frame] = value
    yield from columns.items()


def _group_values(group: Dataset, known: dict[tuple[int, bytes], dict[str, Any]]) -> dict[str, Any]:
    """Return the values of one functional group item; macros with the same bytes are parsed once."""
    values: dict[str, Any] = {}
    for tag in _MACRO_TAGS.keys() & group.keys():
        raw = raw_element(group, tag)
        key = (int(tag), raw.value) if isinstance(raw, RawDataElement) and isinstance(raw.value, bytes) else None
        found = known.get(key) if key else None
        if found is None:
            macro = first_item(group, int(tag))
            found = {} if macro is None else _read(Elements(macro), _MACRO_TAGS[tag])
            if key:
                known[key] = found
        values |= found
    return values
