"""Keys that tell the frames of one position apart: which are time, which channel, their units, and where vendors hide them."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pipeline.model import Floats

Axis = Literal["t", "c"]


@dataclass(frozen=True, slots=True)
class Key:
    """A DICOM keyword whose values may tell frames of one position apart."""

    name: str
    axis: Axis
    """``t`` (of type time in OME-Zarr) or ``c`` (channel)."""
    unit: str = ""
    """Empty if the values have none."""
    optional: bool = False
    """Whether a frame without value is told apart by that."""


KEYS = (
    Key("TemporalPositionIndex", "t"),
    Key("TemporalPositionIdentifier", "t"),
    Key("TemporalPositionTimeOffset", "t", "second"),
    Key("FrameReferenceTime", "t", "millisecond"),
    Key("TriggerTime", "t", "millisecond"),
    Key("NominalCardiacTriggerDelayTime", "t", "millisecond"),
    Key("EchoTime", "c", "millisecond"),
    Key("EffectiveEchoTime", "c", "millisecond"),
    Key("DiffusionBValue", "c", "second/millimeter^2"),
    Key("DiffusionGradientOrientation", "c", optional=True),  # frames without diffusion weighting have none
    Key("ImageType", "c"),
    Key("ReferencedSegmentNumber", "c"),
    Key("OpticalPathIdentifier", "c"),
    Key("AcquisitionNumber", "t"),  # last, after all combinations of others: Siemens counts directions with it
)
"""All keys, in the order in which they are tried."""
KEY_OF = {key.name: key for key in KEYS}
SPATIAL_POINTERS = frozenset(
    ("StackID", "InStackPositionNumber", "ImagePositionPatient", "ImageOrientationPatient", "ImagePositionVolume")
)
"""What Dimension Index Pointers point to that position and orientation tell already."""
TIME_POINTERS = frozenset(("FrameReferenceDateTime", "FrameAcquisitionDateTime", "FrameAcquisitionNumber"))
"""Further time keys, which only a Dimension Index Pointer makes keys."""


def pointer_key(name: str) -> Key | None:
    """Return the key that a Dimension Index Pointer (PS3.3 C.7.6.17) to a keyword, or to a private tag, makes; None if spatial."""
    if name in SPATIAL_POINTERS:
        return None
    return KEY_OF.get(name) or Key(name, "t" if name in TIME_POINTERS else "c")


@dataclass(frozen=True, slots=True)
class PrivateElement:
    """An element of a vendor's private block (PS3.5 7.8.1)."""

    creator: str
    group: int
    element: int
    """Last byte of the element's number."""
    manufacturer: str
    """Part of Manufacturer (0008,0070), in capitals."""

    def find_tag(self, creators: Mapping[int, str], manufacturer: str) -> int | None:
        """Return the element's tag in a file, None if the file can't have it.

        Anonymisers like to remove private creators and leave the elements; then the manufacturer stands for the creator of the
        first block.

        Parameters
        ----------
        creators : mapping
            Tag of each private creator of the file → its value.
        manufacturer : str
        """
        group = {tag: name for tag, name in creators.items() if tag >> 16 == self.group}
        blocks = [tag & 0xFF for tag, name in group.items() if name.strip() == self.creator]
        if not group and self.manufacturer in manufacturer.upper():
            blocks = [0x10]
        return self.group << 16 | blocks[0] << 8 | self.element if blocks else None


SIEMENS_B_VALUE = PrivateElement("SIEMENS MR HEADER", 0x0019, 0x0C, "SIEMENS")
PHILIPS_B_VALUE = PrivateElement("Philips Imaging DD 001", 0x2001, 0x03, "PHILIPS")
GE_B_VALUE = PrivateElement("GEMS_PARM_01", 0x0043, 0x39, "GE ")
B_VALUE_ELEMENTS = (PHILIPS_B_VALUE, SIEMENS_B_VALUE, GE_B_VALUE)
"""Private elements that hold a b-value, in the order in which they are tried after Diffusion b-value (0018,9087)."""
_GE_MODULUS = 100_000
"""GE adds multiples of this to the b-value as flags."""


def read_b_value(standard: Any, private: Mapping[PrivateElement, Any]) -> tuple[float, str] | None:
    """Return the b-value in s/mm², and the name of the element that told it; None if none does.

    Parameters
    ----------
    standard : any
        Diffusion b-value (0018,9087), None if missing.
    private : mapping
        Values of :data:`B_VALUE_ELEMENTS`, those that there are: numbers, texts, lists of them, or bytes (little endian)
        if the file doesn't name their type.
    """
    value = _first_number(standard, "<d")
    if value is not None and value >= 0:
        return value, "DiffusionBValue"
    for element in B_VALUE_ELEMENTS:
        value = _first_number(private.get(element), "<f" if element is PHILIPS_B_VALUE else None)
        if value is not None and value >= 0:
            name = f"{element.creator} ({element.group:04X},xx{element.element:02X})"
            return (value % _GE_MODULUS if element is GE_B_VALUE else value), name
    return None


def _first_number(value: Any, binary: str | None) -> float | None:
    """Return the first value as a finite number, None if it is none; bytes are a text unless a binary format is given."""
    if isinstance(value, bytes):
        if binary:
            return float(struct.unpack(binary, value)[0]) if len(value) == struct.calcsize(binary) else None
        value = value.decode("ascii", "replace").strip("\0 ")
    if isinstance(value, str):
        value = value.split("\\")[0]
    elif isinstance(value, Sequence):
        value = value[0] if value else None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


GEOMETRIC_TYPES = frozenset(("LOCALIZER", "MPR", "CSA MPR", "MIP", "PROJECTION IMAGE", "REFORMATTED", "RESAMPLED"))
"""Values of Image Type that tell geometry: frames that differ in them are never one image."""
_COMPONENTS = {"M": "magnitude", "P": "phase", "R": "real", "I": "imaginary"}
_COMPONENT_OF = {
    **_COMPONENTS,
    **{name.upper(): name for name in _COMPONENTS.values()},
    **{f"{letter}_{kind}": name for letter, name in _COMPONENTS.items() for kind in ("FFE", "SE", "IR", "TSE", "PCA")},
    "PHASE MAP": "phase",
}


def split_image_type(image_type: str) -> tuple[str, str]:
    """Divide Image Type (PS3.3 C.7.6.1.1.2) into what frames of one image share, and the key that tells its frames apart.

    The former are the first two values and :data:`GEOMETRIC_TYPES`, the latter the other values, such as magnitude and
    phase. Values are separated by backslashes.
    """
    values = [value.strip() for value in image_type.split("\\")]
    shared = values[:2] + [value for value in values[2:] if value in GEOMETRIC_TYPES]
    return "\\".join(shared), "\\".join(value for value in values[2:] if value not in GEOMETRIC_TYPES)


def complex_component(image_type: str) -> str | None:
    """Return ``magnitude``, ``phase``, ``real`` or ``imaginary`` if Image Type says so from its third value on."""
    found = {_COMPONENT_OF.get(value.strip()) for value in image_type.split("\\")[2:]} - {None}
    return found.pop() if len(found) == 1 else None


def cine_times(
    frames: int, frame_time: float | None, frame_time_vector: Sequence[float] | None = None
) -> Floats | None:
    """Return the time of each frame of a cine in ms, shape ``(frame,)``, the first 0; None if it is unknown.

    Frame Time Vector (0018,1065) holds the time from one frame to the next, Frame Time (0018,1063) one for all
    (PS3.3 C.7.6.5).
    """
    if frame_time_vector is not None and len(frame_time_vector) == frames:
        steps: Floats = np.array([0.0, *frame_time_vector[1:]], np.float64)
        return np.cumsum(steps, dtype=np.float64) if (steps >= 0).all() and np.isfinite(steps).all() else None
    if frame_time is None or not 0 < frame_time < math.inf:
        return None
    return np.arange(frames, dtype=np.float64) * frame_time
