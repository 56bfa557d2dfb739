"""Geometry and keys of real files, read with pydicom: what the scan will hand to ``pipeline.geometry``."""

from __future__ import annotations

import itertools
import warnings
from collections import defaultdict
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.datadict import keyword_for_tag
from pydicom.errors import InvalidDicomError

from pipeline.geometry import (
    B_VALUE_ELEMENTS,
    KEYS,
    FrameKeys,
    arrange_frames,
    arrange_segments,
    dose_positions,
    make_planes,
    read_b_value,
    split_image_type,
)
from support.corpora import NOT_DICOM, corpus


def series():
    """Headers of all real images: single-frame files by series, size, Image Type and orientation; multi-frame files alone."""
    with warnings.catch_warnings(action="ignore"):  # on values that break their type
        return _series()


def _series():
    found = defaultdict(list)
    for path in corpus():
        header = _read(path) if path.name not in NOT_DICOM else None
        if header is not None:
            shared, _ = split_image_type("\\".join(header.get("ImageType") or ()))
            size = str(header.Rows), str(header.Columns), str(header.get("NumberOfFrames"))
            orientation = tuple(np.round(_floats(header, "ImageOrientationPatient") or (), 3))
            alone = path if "NumberOfFrames" in header else path.parent
            found[alone, header.get("SeriesInstanceUID"), size, shared, orientation].append((path, header))
    return list(found.values())


def _read(path: Path) -> Dataset | None:
    try:
        header = dcmread(path, stop_before_pixels=True)
    except (InvalidDicomError, NotImplementedError, EOFError):
        return None
    return header if "Rows" in header and "Columns" in header else None


def arrange(files):
    """Arrange the frames of files; returns the arrangement, and Image Position (Patient) of each frame as its file says it."""
    with warnings.catch_warnings(action="ignore"):  # on values that break their type
        return _arrange(files)


def _arrange(files):
    frames = list(itertools.chain.from_iterable(_frames(header) for _, header in files))
    positions = [frame["ImagePositionPatient"] for frame in frames]
    orientations = [frame["ImageOrientationPatient"] for frame in frames]
    planes = make_planes(positions, orientations, [frame["PixelSpacing"] for frame in frames])
    if files[0][1].get("Modality") == "SEG":
        segments = [frame.get("ReferencedSegmentNumber") for frame in frames]
        return arrange_segments(planes, None if None in segments else np.array(segments)), positions
    values = {key.name: [frame.get(key.name) for frame in frames] for key in KEYS}
    known = {name: _column(name, column) for name, column in values.items() if any(v is not None for v in column)}
    pointers = frames[0].get("pointers", ())
    indices = [np.ravel(frame.get("DimensionIndexValues", ())) for frame in frames]
    index = {}
    if pointers and all(len(row) == len(pointers) for row in indices):
        index = {name: np.array(row) for name, row in zip(pointers, zip(*indices, strict=True), strict=True)}
    numbers = [frame.get("InstanceNumber") for frame in frames]
    order = None if None in numbers else np.array(numbers, float) * 1e6 + np.array([f["frame"] for f in frames])
    return arrange_frames(planes, FrameKeys(known, index, order)), positions


def _column(name, values):
    if name == "DiffusionGradientOrientation":
        return np.array([(np.nan,) * 3 if value is None else value for value in values], float)
    texts = name in {"ImageType", "OpticalPathIdentifier"}
    return np.array(values, object) if texts else np.array([np.nan if v is None else v for v in values], float)


def _floats(header: Dataset, keyword: str) -> tuple[float, ...] | None:
    try:
        value = header.get(keyword)
        return tuple(map(float, value)) if value else None
    except (TypeError, ValueError):
        return None


def _frames(header: Dataset):
    """Yield the header values of each frame."""
    count = int(header.get("NumberOfFrames") or 1) if str(header.get("NumberOfFrames") or 1).isdigit() else 1
    shared = _of_groups(header.get("SharedFunctionalGroupsSequence") or ())
    own = [_of_groups([item]) for item in header.get("PerFrameFunctionalGroupsSequence") or ()]
    plain = _values(header) | _vendor(header)
    planes = _dose_planes(header, count)
    pointers = [
        keyword_for_tag(item.DimensionIndexPointer) or str(item.DimensionIndexPointer)
        for item in header.get("DimensionIndexSequence") or ()
        if "DimensionIndexPointer" in item
    ]
    for frame in range(count):
        values = dict.fromkeys(("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"))
        values |= plain | shared | (own[frame] if len(own) == count else {}) | {"frame": frame, "pointers": pointers}
        if count > 1 and not own:
            values["ImagePositionPatient"] = None if planes is None else tuple(planes[frame])
        yield values


def _of_groups(groups):
    macros = (item for group in groups for element in group for item in (element.value if element.VR == "SQ" else ()))
    values = {}
    for item in macros:
        values |= _values(item)
        for inner in item.get("MRDiffusionSequence") or item.get("DiffusionGradientDirectionSequence") or ():
            values |= _values(inner)
    return values


def _values(item: Dataset):
    values = {}
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        values[name] = _floats(item, name)
    names = (*(key.name for key in KEYS), "DimensionIndexValues", "InstanceNumber")
    values |= {name: item.get(name) for name in names if name not in {"ImageType", "DiffusionGradientOrientation"}}
    values["DiffusionGradientOrientation"] = _floats(item, "DiffusionGradientOrientation")
    if item.get("ImageType"):
        values["ImageType"] = split_image_type("\\".join(item.ImageType))[1]
    return {name: value for name, value in values.items() if value is not None and value != ""}


def _vendor(header: Dataset):
    creators = {int(e.tag): str(e.value) for e in header if e.tag.is_private_creator}
    private = {}
    for element in B_VALUE_ELEMENTS:
        tag = element.find_tag(creators, str(header.get("Manufacturer") or ""))
        if tag is not None and tag in header:
            value = header[tag].value
            private[element] = (
                value if isinstance(value, (str, bytes)) or not hasattr(value, "__len__") else list(value)
            )
    found = read_b_value(header.get("DiffusionBValue"), private)
    return {"DiffusionBValue": found[0]} if found else {}


def _dose_planes(header: Dataset, count: int):
    offsets, position = _floats(header, "GridFrameOffsetVector"), _floats(header, "ImagePositionPatient")
    orientation = _floats(header, "ImageOrientationPatient")
    if offsets is None or position is None or orientation is None or len(offsets) != count:
        return None
    return dose_positions(np.array(position), np.reshape(orientation, (2, 3)), np.array(offsets))
