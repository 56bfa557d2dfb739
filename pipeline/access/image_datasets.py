"""Make a Dataset, like that of a converted image, from lazy pixels and header values."""

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
"""The colour transforms of JPEG 2000, which its decoders always undo (PS3.5 8.2.4)."""
_RGB_UNLESS_RAW = frozenset({"YBR_FULL", "YBR_FULL_422"})


@dataclass(frozen=True, slots=True)
class DescribedInstance:
    """The header values of one instance about its frames."""

    sop_instance_uid: str
    constant: Mapping[str, Any] = field(default_factory=dict)
    """Keyword → value that holds for all frames."""
    by_frame: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """Keyword → one value for each frame."""


def build_dataset(
    pixels: da.Array, instances: Sequence[DescribedInstance], photometric: str, attributes: Mapping[str, Any]
) -> xr.Dataset:
    """Return a Dataset of all frames of `instances`, in order: several single-frame instances, or one instance."""
    axes, frames = frame_axes(pixels.ndim), pixels.shape[0]
    several = len(instances) > 1
    owner = np.arange(frames) if several else np.zeros(frames, np.int64)
    number = np.zeros(frames, np.int64) if several else np.arange(frames)
    shared, varying = split_attributes(
        {i: instance.constant for i, instance in enumerate(instances)},
        {i: instance.by_frame for i, instance in enumerate(instances) if instance.by_frame},
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
    """Return attributes for a Dataset with control characters in texts escaped: the `repr` of a Dataset shows texts unchanged.

    DICOM allows no control characters in such values (PS3.5 6.2). The store keeps the original values.
    """
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable_attributes(name): printable_attributes(each) for name, each in value.items()}
    return [printable_attributes(each) for each in value] if isinstance(value, list | tuple) else value


def decoded_photometric(declared: str, *, raw: bool, encapsulated: bool) -> str:
    """Return the photometric interpretation of decoded pixels, given the header's."""
    if declared in _ALWAYS_RGB or (declared in _RGB_UNLESS_RAW and not raw):
        return "RGB"
    # Native 4:2:2 data have half of their colour samples left out (PS3.3 C.7.6.3.1.2); reading puts them back.
    return "YBR_FULL" if declared == "YBR_FULL_422" and not encapsulated else declared
