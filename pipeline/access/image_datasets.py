"""From lazy pixels and what the headers say to a Dataset like that of a converted image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from pipeline.model import frame_axes
from pipeline.printable import printable
from pipeline.store import split_attributes

_ALWAYS_RGB = frozenset({"YBR_RCT", "YBR_ICT"})
"""The colour transforms of JPEG 2000 itself: its decoders always undo them (PS3.5 8.2.4)."""
_RGB_UNLESS_RAW = frozenset({"YBR_FULL", "YBR_FULL_422"})


@dataclass(frozen=True, slots=True)
class DescribedInstance:
    """What one instance's header says of its frames."""

    sop_instance_uid: str
    constant: Mapping[str, Any] = field(default_factory=dict)
    """Keyword → value that holds for all frames."""
    by_frame: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """Keyword → one value a frame."""


def build_dataset(
    pixels: da.Array, instances: Sequence[DescribedInstance], photometric: str, attributes: Mapping[str, Any]
) -> xr.Dataset:
    """Return the image made of all frames of `instances`, in order: several of one frame each, or a single one."""
    axes, frames = frame_axes(pixels.ndim), pixels.shape[0]
    several = len(instances) > 1
    owner = np.arange(frames) if several else np.zeros(frames, np.int64)
    number = np.zeros(frames, np.int64) if several else np.arange(frames)
    shared, varying = split_attributes(
        {i: one.constant for i, one in enumerate(instances)},
        {i: one.by_frame for i, one in enumerate(instances) if one.by_frame},
        owner,
        number,
    )
    coordinates = {
        "sop_instance_uid": np.array([instances[i].sop_instance_uid for i in owner], object),
        "frame_number": (number + 1).astype(np.int32),
        **varying,
    }
    if photometric:
        shared["PhotometricInterpretation"] = photometric
    return xr.Dataset(
        {"pixels": (axes.names, pixels)},
        coords={
            name: ((*axes.grid, *(f"component_{size}" for size in values.shape[1:])), values)
            for name, values in coordinates.items()
        },
        attrs=printable_attributes({**shared, **attributes}),
    )


def printable_attributes(value: Any) -> Any:
    """Return attributes for a Dataset, whose representation shows them as they are: without control characters in texts.

    DICOM allows none in values of these kinds (PS3.5 6.2); what is in the store stays as it is.
    """
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable_attributes(name): printable_attributes(each) for name, each in value.items()}
    return [printable_attributes(each) for each in value] if isinstance(value, list | tuple) else value


def decoded_photometric(declared: str, *, raw: bool, encapsulated: bool) -> str:
    """Return the photometric interpretation of decoded pixels, from the header's."""
    if declared in _ALWAYS_RGB or (declared in _RGB_UNLESS_RAW and not raw):
        return "RGB"
    # Native 4:2:2 data have half of their colour samples left out (PS3.3 C.7.6.3.1.2); reading puts them back.
    return "YBR_FULL" if declared == "YBR_FULL_422" and not encapsulated else declared
