"""Which instance and which of its frames each frame of an image is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.model import ImageSpec


def frame_sources(spec: ImageSpec) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return, for each frame of the image, its instance and its frame index in that instance."""
    owner = np.empty(spec.frames, np.int64)
    frame = np.empty(spec.frames, np.int64)
    for span in spec.spans:
        place = slice(span.frame_start, span.frame_start + len(span))
        owner[place] = span.instance
        frame[place] = range(span.start, span.stop, span.step)
    return owner, frame
