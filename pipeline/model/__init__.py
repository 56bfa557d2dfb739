"""Frozen value types that the rooms exchange. They hold no behaviour beyond what follows from their own fields."""

from pipeline.model.compact import Compact
from pipeline.model.instances import UNKNOWN, Copy, Failure, Instance, SourceFile, Vector
from pipeline.model.many import without_collections
from pipeline.model.pixels import FrameIndex, PixelFormat
from pipeline.model.plans import ImageSpec, Plan, Region, RegionInput, Span, Task, TaskInput
from pipeline.model.results import InstanceOutcome, RegionResult, TaskResult

__all__ = [
    "UNKNOWN",
    "Compact",
    "Copy",
    "Failure",
    "FrameIndex",
    "ImageSpec",
    "Instance",
    "InstanceOutcome",
    "PixelFormat",
    "Plan",
    "Region",
    "RegionInput",
    "RegionResult",
    "SourceFile",
    "Span",
    "Task",
    "TaskInput",
    "TaskResult",
    "Vector",
    "without_collections",
]
