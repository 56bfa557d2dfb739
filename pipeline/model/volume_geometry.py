"""What is known of where an image's frames lie: the verdict, the affine and what they rest on, and their JSON form."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.model.compact import Compact

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Row = tuple[float, float, float, float]
Affine = tuple[Row, Row, Row, Row]

VERDICTS = (
    *("regular", "gaps", "irregular", "single_slice", "incomplete", "coincident"),
    *("mixed_orientation", "mixed_spacing", "no_geometry"),
)
"""
- ``regular``: slices at equal steps. ``gaps``: at equal steps, some slices are missing. ``irregular``: at unequal steps.
- ``single_slice``: one position.
- ``incomplete``: the positions don't have the same number of frames, so they make no grid.
- ``coincident``: frames lie in one plane and nothing tells them apart, or they lie there side by side.
- ``mixed_orientation``, ``mixed_spacing``: the frames don't have one Image Orientation (Patient), or one Pixel Spacing.
- ``no_geometry``: a frame lacks one of these or Image Position (Patient), or the value can't be right.
"""
VERSION = 1
"""Version of the JSON form."""
AFFINE_MAPS = "(column, row, slice) -> LPS mm"


@dataclass(frozen=True, slots=True)
class Origin(Compact):
    """Where the values of a dimension come from."""

    keys: tuple[str, ...]
    """DICOM keywords whose values tell the dimension's steps apart."""
    assumed: bool = False
    """Whether only the order of Instance Numbers tells them apart."""


@dataclass(frozen=True, slots=True)
class Coordinate(Compact):
    """Values of one key along one dimension."""

    name: str
    axis: str
    unit: str
    values: tuple[Any, ...]
    """One for each step: a number, a text, or a tuple of numbers; None if the frames have none."""


@dataclass(frozen=True, slots=True)
class Geometry(Compact):
    """Where the frames of an image lie (PS3.3 C.7.6.2.1.1). None means unknown."""

    verdict: str
    """One of :data:`VERDICTS`."""
    affine: Affine | None = None
    """Rows of the matrix that maps ``(column, row, slice, 1)`` to LPS coordinates in mm; None if there is no axis ``z``."""
    spacing: tuple[float | None, float | None, float | None] = (None, None, None)
    """Distances ``(z, y, x)`` in mm along the affine's columns; `z` is None if it isn't measured."""
    spacing_deviation_mm: float | None = None
    """Largest deviation of a step along the normal from that of the affine."""
    position_residual_mm: float | None = None
    """Largest distance of a position from that of the affine at :meth:`slice_index`."""
    tilt_degrees: float | None = None
    """Angle between the slices' normal and the direction in which they follow each other."""
    sheared: bool | None = None
    """Whether the slices are displaced in their planes, as by the tilt of a gantry, so the axes aren't at right angles."""
    missing_slices: tuple[int, ...] = ()
    """Indices in the affine's grid at which there is no slice."""
    repeats: int | None = None
    """Frames at each position; the most at one position if the numbers differ."""
    dimensions: tuple[tuple[str, Origin], ...] = ()
    """Where the values of ``t`` and ``c`` come from."""
    reasons: tuple[str, ...] = ()
    """Why the verdict isn't ``regular``, as sentences without final stop."""

    @property
    def has_slices(self) -> bool:
        """Whether the frames make an axis ``z``."""
        return self.affine is not None

    @property
    def matrix(self) -> Floats:
        """The affine as an array, shape (4, 4); ValueError if there is none."""
        if self.affine is None:
            raise ValueError(f"a geometry with the verdict {self.verdict} has no affine")
        return np.array(self.affine, np.float64)

    def slice_index(self, slices: int) -> Integers:
        """Return the index of each of `slices` slices in the affine's grid, shape ``(slice,)``."""
        index = np.arange(slices + len(self.missing_slices), dtype=np.int64)
        return np.delete(index, np.array(self.missing_slices, np.int64))

    def to_json(self) -> dict[str, Any]:
        """Return the attribute ``geometry``; unknown values are None, and no number is NaN or infinite."""
        return {
            "version": VERSION,
            "verdict": self.verdict,
            "affine": self.affine and [list(row) for row in self.affine],
            "affine_maps": AFFINE_MAPS,
            "spacing": list(self.spacing),
            "spacing_deviation_mm": self.spacing_deviation_mm,
            "position_residual_mm": self.position_residual_mm,
            "tilt_degrees": self.tilt_degrees,
            "sheared": self.sheared,
            "missing_slices": list(self.missing_slices),
            "repeats": self.repeats,
            "dimensions": {
                axis: {"from": list(origin.keys), "assumed": origin.assumed} for axis, origin in self.dimensions
            },
            "reasons": list(self.reasons),
        }

    @classmethod
    def from_json(cls, found: Any) -> Geometry:
        """Return the geometry that :meth:`to_json` wrote; ValueError if it wasn't written so."""
        try:
            return cls(
                verdict=_verdict(found["version"], found["verdict"]),
                affine=None if found["affine"] is None else _matrix(found["affine"]),
                spacing=_triple(found["spacing"]),
                spacing_deviation_mm=_number(found["spacing_deviation_mm"]),
                position_residual_mm=_number(found["position_residual_mm"]),
                tilt_degrees=_number(found["tilt_degrees"]),
                sheared=None if found["sheared"] is None else bool(found["sheared"]),
                missing_slices=tuple(map(int, found["missing_slices"])),
                repeats=None if found["repeats"] is None else int(found["repeats"]),
                dimensions=tuple(_origins(found["dimensions"])),
                reasons=tuple(map(str, found["reasons"])),
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"not a geometry: {error}") from None


def as_affine(columns: Sequence[Floats]) -> Affine:
    """Return the affine of three columns and the origin, each of shape (3,); its zeros have no sign."""
    x, y, z = np.add(columns, 0.0).T.tolist()
    return tuple(x), tuple(y), tuple(z), (0.0, 0.0, 0.0, 1.0)


def _verdict(version: Any, verdict: Any) -> str:
    if version != VERSION or verdict not in VERDICTS:
        raise ValueError(f"version {version!r}, verdict {verdict!r}")
    return str(verdict)


def _matrix(rows: Iterable[Iterable[Any]]) -> Affine:
    first, second, third, last = (_row(row) for row in rows)
    return first, second, third, last


def _row(values: Iterable[Any]) -> Row:
    x, y, z, w = (float(value) for value in values)
    if not all(map(math.isfinite, (x, y, z, w))):
        raise ValueError(f"{(x, y, z, w)} isn't finite")
    return x, y, z, w


def _triple(values: Iterable[Any]) -> tuple[float | None, float | None, float | None]:
    z, y, x = map(_number, values)
    return z, y, x


def _number(value: Any) -> float | None:
    if value is not None and not math.isfinite(value):
        raise ValueError(f"{value} isn't finite")
    return None if value is None else float(value)


def _origins(found: Mapping[str, Any]) -> Iterable[tuple[str, Origin]]:
    for axis, origin in found.items():
        yield axis, Origin(tuple(map(str, origin["from"])), bool(origin["assumed"]))
