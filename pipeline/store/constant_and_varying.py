"""Divide attributes into those that hold for a whole image and those that vary from frame to frame."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Attributes = Mapping[str, Any]
"""DICOM keyword → JSON-ready value."""


def split_attributes(
    constant: Mapping[int, Attributes],
    by_frame: Mapping[int, Mapping[str, Sequence[Any]]],
    owner: npt.NDArray[np.integer[Any]],
    frame: npt.NDArray[np.integer[Any]],
) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Divide the instances' attributes into the image's attributes and per-frame arrays.

    Parameters
    ----------
    constant : mapping of int to mapping
        By instance, the values that hold for all its frames.
    by_frame : mapping of int to mapping
        By instance, the values that differ between its frames: one for each frame of the instance.
    owner, frame : numpy.ndarray of shape (frames,)
        For each frame of the image, its instance and its frame index in that instance.

    Returns
    -------
    dict, dict
        Keyword → value equal in every frame; keyword → array of shape ``(frames,)`` or ``(frames, components)``,
        with NaN or an empty text for frames without a value.
    """
    keywords = sorted({k for values in (*constant.values(), *by_frame.values()) for k in values})
    shared: dict[str, Any] = {}
    varying: dict[str, npt.NDArray[Any]] = {}
    for keyword in keywords:
        if not any(keyword in values for values in by_frame.values()):
            first, *others = (values.get(keyword) for values in constant.values())
            if all(other == first for other in others):
                shared[keyword] = first
                continue
        lists = {i: values[keyword] for i, values in by_frame.items() if keyword in values}
        varying[keyword] = as_array(
            [
                lists[i][n] if i in lists else constant.get(i, {}).get(keyword)
                for i, n in zip(owner.tolist(), frame.tolist(), strict=True)
            ]
        )
    return shared, varying


def as_array(values: Sequence[Any]) -> npt.NDArray[Any]:
    """Return per-frame values as the simplest array that holds them all; values that fit no such array become JSON text.

    If frames have several numbers, NaN fills the rows of frames with fewer.
    """
    present = [value for value in values if value is not None]
    if all(isinstance(value, str) for value in present):
        return np.array([value or "" for value in values], dtype=object)
    if all(_is_number(value) for value in present):
        return np.array([np.nan if value is None else value for value in values], np.float64)
    rows = [value if isinstance(value, list) else [value] for value in values]
    if all(part is None or _is_number(part) for row in rows for part in row):
        array = np.full((len(rows), max(map(len, rows))), np.nan)
        for place, row in enumerate(rows):
            array[place, : len(row)] = [np.nan if part is None else part for part in row]
        return array
    return np.array(["" if value is None else json.dumps(value) for value in values], dtype=object)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
