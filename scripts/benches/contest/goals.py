"""The project's goals on two cores."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Goal:
    """Least ratios of the project's frames a second to those of the other contenders."""

    limit: float
    serial: float
    delayed: float = 2.0


GOALS = {
    "native": Goal(0.80, 8),
    "rle": Goal(0.80, 8),
    "jpeg-lossless": Goal(0.90, 6),
    "jpeg-ls": Goal(0.90, 5),
    "jpeg-2000-lossless": Goal(0.90, 1.8),
    "jpeg-tiles": Goal(0.90, 10),
    "jpeg-tiles-no-table": Goal(0.90, 10),
    "jpeg-2000-tiles": Goal(0.90, 5),
    "htj2k-tiles": Goal(0.90, 5),
    "ct-files": Goal(0.80, 8),
}
MEMORY_FLAT = 1.10
"""Largest growth of the workers' peak from the smallest file to the largest."""
