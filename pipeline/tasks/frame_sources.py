"""Which instance and which of its frames each frame of an image is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.model import ImageSpec


def frame_sources(spec: ImageSpec) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return, for each frame of the image, its instance and its frame index in that instance; not to be written to."""
    if len(spec.spans) == 1:  # a long one as a rule: half the memory
        (span,) = spec.spans
        numbers = np.arange(span.start, span.stop, span.step, dtype=np.int32)
        return _everywhere(span.instance, spec.frames, np.int32), numbers
    owner = np.empty(spec.frames, np.int32)
    frame = np.empty(spec.frames, np.int32)
    for span in spec.spans:
        place = slice(span.frame_start, span.frame_start + len(span))
        owner[place] = span.instance
        frame[place] = np.arange(span.start, span.stop, span.step, dtype=np.int32)
    return owner, frame


def frame_uids(spec: ImageSpec, uids: Mapping[int, str]) -> npt.NDArray[np.object_]:
    """Return, for each frame of the image, the UID of its instance; not to be written to."""
    if len(spec.spans) == 1:
        return _everywhere(uids[spec.spans[0].instance], spec.frames, object)
    found = np.empty(spec.frames, object)
    for span in spec.spans:
        found[span.frame_start : span.frame_start + len(span)] = uids[span.instance]
    return found


def _everywhere(value: int | str, frames: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return an array that holds `value` once, and shows it `frames` times."""
    return np.broadcast_to(np.array(value, dtype), (frames,))
