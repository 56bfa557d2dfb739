"""Values of the keys of frames, as columns, and encoded as numbers that can be compared and combined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.geometry.fold_keys import KEY_OF, KEYS, Key, pointer_key
from pipeline.model import Integers

Values = npt.NDArray[Any]
DECIMALS = 6
"""Numbers are compared after rounding to so many decimals: they have been through texts and single precision."""


@dataclass(frozen=True, slots=True, eq=False)
class FrameKeys:
    """What may tell the frames of one position apart: one row per frame, in any order."""

    values: Mapping[str, Values] = field(default_factory=dict)
    """Name of one of :data:`~pipeline.geometry.fold_keys.KEYS` → numbers or objects, shape ``(frame,)`` or ``(frame, …)``;
    NaN or None if a frame has no value."""
    dimension_index: Mapping[str, Values] = field(default_factory=dict)
    """Keyword, or tag, that a Dimension Index Pointer points to → Dimension Index Values, integers, shape ``(frame,)``."""
    order: Values | None = None
    """Order of the frames, by Instance Number, then frame number: numbers, shape ``(frame,)``; None if it is unknown."""

    def __post_init__(self) -> None:
        if unknown := self.values.keys() - KEY_OF.keys():
            raise ValueError(f"{sorted(unknown)}: not among the keys that frames are folded by")

    def select(self, frames: Values) -> FrameKeys:
        """Return the keys of some frames: their numbers, or a mask."""
        return FrameKeys(
            {name: values[frames] for name, values in self.values.items()},
            {name: values[frames] for name, values in self.dimension_index.items()},
            None if self.order is None else self.order[frames],
        )


@dataclass(frozen=True, slots=True, eq=False)
class CodedKey:
    """The values of a key as numbers from 0, in ascending order of the values."""

    key: Key
    codes: Integers
    values: tuple[Any, ...]


def encode(keys: FrameKeys) -> list[CodedKey]:
    """Encode the keys that vary, in the order in which they are tried; without those that frames lack but mustn't."""
    found = []
    for key in KEYS:
        if key.name in keys.values:
            codes, values = _number_values(keys.values[key.name])
            if len(values) > 1 and (key.optional or None not in values):
                found.append(CodedKey(key, codes, values))
    return found


def encode_dimension_index(keys: FrameKeys) -> list[CodedKey]:
    """Encode the Dimension Index Values that vary and aren't spatial, with the values that they stand for if those are known."""
    found = []
    for name, indices in keys.dimension_index.items():
        key = pointer_key(name)
        codes, values = _number_values(indices)
        if key and len(values) > 1:
            named = _values_of_steps(codes, keys.values.get(name))
            found.append(CodedKey(key if named else Key(key.name, key.axis), codes, named or values))
    return found


def _values_of_steps(codes: Integers, values: Values | None) -> tuple[Any, ...] | None:
    """Return the one value that all frames of each step have; None if there is none."""
    if values is None:
        return None
    own, distinct = _number_values(values)
    _, first = np.unique(codes, return_index=True)
    steps = own[first]
    return tuple(distinct[step] for step in steps.tolist()) if (steps[codes] == own).all() else None


def _number_values(values: Values) -> tuple[Integers, tuple[Any, ...]]:
    """Return the number of each frame's value among the distinct ones, and these in ascending order, missing (None) first."""
    if values.ndim > 1:
        return _number_vectors(values.reshape(len(values), -1))
    if values.dtype.kind == "f":
        distinct, codes = np.unique(
            np.round(np.where(np.isfinite(values), values, np.nan), DECIMALS) + 0.0, return_inverse=True
        )
        missing = int(np.isnan(distinct[-1]))  # NaN comes last
        found = (None,) * missing + tuple(distinct[: len(distinct) - missing].tolist())
        return ((codes + missing) % len(found)).astype(np.int64), found
    if values.dtype.kind in "iub":
        distinct, codes = np.unique(values, return_inverse=True)
        return codes.astype(np.int64), tuple(distinct.tolist())
    listed = values.tolist()
    texts = tuple(sorted(set(listed), key=lambda value: (value is not None, value)))
    number = {text: code for code, text in enumerate(texts)}
    return np.fromiter(map(number.__getitem__, listed), np.int64, len(listed)), texts


def _number_vectors(vectors: Values) -> tuple[Integers, tuple[Any, ...]]:
    """Do the same for vectors, shape ``(frame, n)``; a vector without any of its numbers is missing."""
    absent = ~np.isfinite(vectors).all(axis=1)
    columns = [_number_values(np.where(absent, np.nan, column)) for column in vectors.T]
    codes = np.zeros(len(vectors), np.int64)
    steps: list[tuple[Any, ...]] = [()]
    for own, values in columns:
        distinct, codes = np.unique(codes * len(values) + own, return_inverse=True)
        steps = [(*steps[code // len(values)], values[code % len(values)]) for code in distinct.tolist()]
    return codes, tuple(None if None in step else step for step in steps)
