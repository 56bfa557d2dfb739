"""The instance and frame index at each position of an image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.model import ImageSpec, Placement


def frame_sources(spec: ImageSpec) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return, by position, the frame's instance and its frame index in that instance; read-only."""
    if len(spec.placements) == 1:  # usually a long image: this takes half the memory
        (placement,) = spec.placements
        numbers = _numbers(placement.frames)
        return _repeat(placement.instance, spec.frames, np.int32), numbers
    owner = np.empty(spec.frames, np.int32)
    frame = np.empty(spec.frames, np.int32)
    for placement in spec.placements:
        place = _slice(placement)
        owner[place] = placement.instance
        frame[place] = _numbers(placement.frames)
    return owner, frame


def frame_uids(spec: ImageSpec, uids: Mapping[int, str]) -> npt.NDArray[np.object_]:
    """Return, by position, the UID of the frame's instance; read-only."""
    if len(spec.placements) == 1:
        return _repeat(uids[spec.placements[0].instance], spec.frames, object)
    found = np.empty(spec.frames, object)
    for placement in spec.placements:
        found[_slice(placement)] = uids[placement.instance]
    return found


def _slice(placement: Placement) -> slice:
    return slice(placement.positions.start, placement.positions.stop)


def _numbers(frames: range) -> npt.NDArray[np.int32]:
    return np.arange(frames.start, frames.stop, frames.step, dtype=np.int32)


def _repeat(value: int | str, frames: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return a read-only array that holds `value` once and shows it `frames` times."""
    return np.broadcast_to(np.array(value, dtype), (frames,))
