"""What a reader needs to interpret the numbers: attributes of the instance, and of each frame where they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from pipeline.frames.elements import Elements
from pipeline.frames.header import Header
from pipeline.frames.values import find_value, first_item, raw_element

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
    *("PixelPresentation", "Modality", "ImageType", "BodyPartExamined", "Laterality", "ImageLaterality"),
    *("SeriesDescription", "FrameTime", "CineRate", "RecommendedDisplayFrameRate", "SegmentationType"),
    *("SegmentationFractionalType", "MaximumFractionalValue", "DimensionOrganizationType"),
    *("TotalPixelMatrixRows", "TotalPixelMatrixColumns", "TotalPixelMatrixFocalPlanes", "NumberOfOpticalPaths"),
    *("TotalPixelMatrixOriginSequence", "ImageOrientationSlide", "ImagedVolumeWidth", "ImagedVolumeHeight"),
    "ImagedVolumeDepth",
)
"""Interpretive keywords of the whole instance."""
_IMAGE_TAGS = tuple((keyword, tag_for_keyword(keyword) or 0) for keyword in _IMAGE)

_VECTORS = ("FrameTimeVector", "GridFrameOffsetVector", "SliceLocationVector", "TimeSlotVector", "SliceVector")
"""Elements outside of functional groups that hold one value a frame."""
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
"""Functional group macros (PS3.3 C.7.6.16.2) and what of them is kept."""

_MACRO_TAGS = {
    tag_for_keyword(macro) or 0: {keyword: tag_for_keyword(keyword) or 0 for keyword in keywords}
    for macro, keywords in _MACROS.items()
}
INTERPRETIVE_KEYWORDS = tuple(dict.fromkeys([*_IMAGE, *_VECTORS, *(k for ks in _MACROS.values() for k in ks)]))
"""All keywords that may be among an image's attributes."""

_SHARED, _PER_FRAME = 0x52009229, 0x52009230
_TILE = ("ColumnPositionInTotalImagePixelMatrix", "RowPositionInTotalImagePixelMatrix")


def frame_attributes(header: Header, number_of_frames: int) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Return the interpretive attributes of an instance and of its frames.

    Functional groups (PS3.3 C.7.6.16) are read once; what they say of a frame goes before what the data set says.

    Parameters
    ----------
    header : Header
    number_of_frames : int

    Returns
    -------
    dict[str, Any]
        Keyword → value that holds for all frames: int, float, str, or a list of these; sequences as lists of dicts,
        bytes as base64 text of little endian data.
    dict[str, list]
        Keyword → one value a frame, None where a frame has none; only keywords whose values differ.
    """
    elements = header.elements
    present = elements.by_tag
    constant: dict[str, Any] = {
        keyword: value
        for keyword, tag in _IMAGE_TAGS
        if tag in present and (value := find_value(elements, tag)) is not None
    }
    if isinstance(stored := constant.get("BitsStored"), int) and "HighBit" in constant:
        constant["HighBit"] = stored - 1  # of what is stored here: samples have been moved to the lowest bits
    constant |= shared_values(header)
    varying: dict[str, list[Any]] = {}
    for keyword, values in _columns(elements, constant, number_of_frames):
        if number_of_frames > 1 and any(value != values[0] for value in values):
            constant.pop(keyword, None)
            varying[keyword] = values
        else:
            constant[keyword] = values[0]
    return {keyword: value for keyword, value in constant.items() if value is not None}, varying


def shared_values(header: Header) -> dict[str, Any]:
    """Return what the Shared Functional Groups say of every frame."""
    shared = first_item(header.dataset, _SHARED) if _SHARED in header.elements.by_tag else None
    return {} if shared is None else _group_values(shared, {})


def _columns(elements: Elements, constant: Mapping[str, Any], frames: int) -> Iterator[tuple[str, list[Any]]]:
    """Yield keywords with one value for each frame."""
    for keyword, tag in _VECTOR_TAGS:
        values = find_value(elements, tag)
        if isinstance(values, list) and len(values) == frames:
            yield keyword, values
    if constant.get("DimensionOrganizationType") == "TILED_FULL":
        yield from _tile_positions(elements, constant, frames)
    yield from _per_frame_columns(elements.dataset, frames)


def _per_frame_columns(dataset: Dataset, frames: int) -> Iterator[tuple[str, list[Any]]]:
    groups = _items(dataset, _PER_FRAME)
    if len(groups) != frames:  # then nobody knows which item is which frame's
        return
    known: dict[tuple[int, bytes], dict[str, Any]] = {}
    columns: dict[str, list[Any]] = {}
    for place, group in enumerate(groups):
        for keyword, value in _group_values(group, known).items():
            columns.setdefault(keyword, [None] * frames)[place] = value
    yield from columns.items()


def _items(dataset: Dataset, tag: int) -> Sequence[Dataset]:
    if tag not in dataset:
        return ()
    try:
        return list(dataset[tag].value or ())
    except Exception:  # noqa: BLE001  a damaged sequence may raise anything; the frames themselves are fine
        return ()


def _group_values(group: Dataset, known: dict[tuple[int, bytes], dict[str, Any]]) -> dict[str, Any]:
    """Return what one functional group item says; macros with the same bytes are parsed once."""
    values: dict[str, Any] = {}
    for tag in _MACRO_TAGS.keys() & group.keys():
        raw = raw_element(group, tag)
        key = (int(tag), raw.value) if isinstance(raw, RawDataElement) and isinstance(raw.value, bytes) else None
        found = known.get(key) if key else None
        if found is None:
            macro = first_item(group, int(tag))
            found = {} if macro is None else _macro_values(Elements(macro), _MACRO_TAGS[tag])
            if key:
                known[key] = found
        values |= {keyword: value for keyword, value in found.items() if value is not None}
    return values


def _macro_values(macro: Elements, tags: Mapping[str, int]) -> dict[str, Any]:
    return {keyword: find_value(macro, tag) for keyword, tag in tags.items()}


def _tile_positions(elements: Elements, constant: Mapping[str, Any], frames: int) -> Iterator[tuple[str, list[Any]]]:
    """Yield the tiles' positions, from 1: in rows, then planes, then optical paths (PS3.3 C.7.6.17.3, TILED_FULL)."""
    size = [find_value(elements, tag_for_keyword(keyword) or 0) for keyword in ("Columns", "Rows")]
    total: list[Any] = [constant.get(keyword) for keyword in ("TotalPixelMatrixColumns", "TotalPixelMatrixRows")]
    if not all(isinstance(number, int) and number > 0 for number in (*size, *total)):
        return
    across, down = (-(-whole // tile) for whole, tile in zip(total, size, strict=True))
    places = [divmod(frame % (across * down), across) for frame in range(frames)]
    yield _TILE[0], [column * size[0] + 1 for _, column in places]
    yield _TILE[1], [row * size[1] + 1 for row, _ in places]
