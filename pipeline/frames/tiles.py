"""Positions of the tiles of a TILED_FULL image, which follow from their order (PS3.3 C.7.6.17.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydicom.datadict import tag_for_keyword

from pipeline.frames.elements import Elements
from pipeline.frames.values import find_items, find_value

TILE = ("ColumnPositionInTotalImagePixelMatrix", "RowPositionInTotalImagePixelMatrix")
_OFFSET, _NUMBER, _CONCATENATION = 0x00209228, 0x00209162, 0x00209161
_OPTICAL_PATHS, _PATH_IDENTIFIER = 0x00480105, 0x00480106
_SEGMENTS, _SEGMENT_NUMBER = 0x00620002, 0x00620004
UNKNOWN_PLACE = (
    "a later part of a concatenation without Concatenation Frame Offset Number: where its tiles lie isn't known"
)


def tile_columns(elements: Elements, constant: Mapping[str, Any], frames: int) -> dict[str, list[Any]]:
    """Return each tile's position in the total pixel matrix, from 1, and its optical path or segment if there are several.

    Tiles are ordered by rows, then focal planes, then optical paths, then segments; each part of a concatenation continues the
    one before it.

    Parameters
    ----------
    elements : Elements
        The data set.
    constant : mapping
        The instance's attributes.
    frames : int

    Returns
    -------
    dict
        Keyword → one value per frame; empty if the matrix or the part's place in it is unknown.
    """
    size = [find_value(elements, tag_for_keyword(keyword) or 0) for keyword in ("Columns", "Rows")]
    total: list[Any] = [constant.get(keyword) for keyword in ("TotalPixelMatrixColumns", "TotalPixelMatrixRows")]
    first = first_tile(elements)
    if first is None or not all(isinstance(number, int) and number > 0 for number in (*size, *total)):
        return {}
    across, down = (-(-whole // tile) for whole, tile in zip(total, size, strict=True))
    numbers = range(first, first + frames)
    columns: dict[str, list[Any]] = {
        TILE[0]: [number % across * size[0] + 1 for number in numbers],
        TILE[1]: [number // across % down * size[1] + 1 for number in numbers],
    }
    planes = constant.get("TotalPixelMatrixFocalPlanes")
    done = across * down * (planes if isinstance(planes, int) and planes > 0 else 1)
    for keyword, values in _channels(elements, constant).items():
        if len(values) > 1:
            columns[keyword] = [values[number // done % len(values)] for number in numbers]
        done *= max(len(values), 1)
    return columns


def first_tile(elements: Elements) -> int | None:
    """Return the number of the concatenation's tiles before this instance's first tile; None if it is unknown."""
    offset = find_value(elements, _OFFSET)
    if isinstance(offset, int) and offset >= 0:
        return offset
    number = find_value(elements, _NUMBER)
    alone = number is None and find_value(elements, _CONCATENATION) is None
    return 0 if alone or number == 1 else None


def _channels(elements: Elements, constant: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the optical paths in listed order, and the segments by number."""
    paths = [find_value(item, _PATH_IDENTIFIER) for item in find_items(elements.dataset, _OPTICAL_PATHS)]
    numbers = [find_value(item, _SEGMENT_NUMBER) for item in find_items(elements.dataset, _SEGMENTS)]
    whole = constant.get("SegmentationType") == "LABELMAP" or not all(isinstance(number, int) for number in numbers)
    return {"OpticalPathIdentifier": paths, "ReferencedSegmentNumber": [] if whole else sorted(numbers)}
