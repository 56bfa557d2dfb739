"""Frozen value types that the rooms exchange. They hold no behaviour beyond what follows from their own fields."""

from pipeline.model import syntaxes
from pipeline.model.axes import INSIDE, Axes, Grid, frame_axes
from pipeline.model.compact import Compact
from pipeline.model.frame_index import FrameIndex, PixelFormat
from pipeline.model.garbage_pause import without_collections
from pipeline.model.instances import UNKNOWN, Copy, Failure, Instance, SourceFile, Vector
from pipeline.model.patient_hashes import PATIENT_ATTRIBUTES, PATIENT_HASH_BYTES, pack_patient, unpack_patient
from pipeline.model.plans import (
    LAYOUT,
    ImageSpec,
    Placement,
    Plan,
    Region,
    RegionInput,
    Task,
    TaskInput,
    describe_dimensions,
)
from pipeline.model.result_records import NO_RECORD, read_number, read_result, read_text, result_record
from pipeline.model.source_names import local_path, source_of
from pipeline.model.task_results import InstanceOutcome, RegionResult, TaskResult
from pipeline.model.volume_geometry import (
    VERDICTS,
    Affine,
    Coordinate,
    Floats,
    Geometry,
    Integers,
    Origin,
    as_affine,
)

__all__ = [
    "INSIDE",
    "LAYOUT",
    "NO_RECORD",
    "PATIENT_ATTRIBUTES",
    "PATIENT_HASH_BYTES",
    "UNKNOWN",
    "VERDICTS",
    "Affine",
    "Axes",
    "Compact",
    "Coordinate",
    "Copy",
    "Failure",
    "Floats",
    "FrameIndex",
    "Geometry",
    "Grid",
    "ImageSpec",
    "Instance",
    "InstanceOutcome",
    "Integers",
    "Origin",
    "PixelFormat",
    "Placement",
    "Plan",
    "Region",
    "RegionInput",
    "RegionResult",
    "SourceFile",
    "Task",
    "TaskInput",
    "TaskResult",
    "Vector",
    "as_affine",
    "describe_dimensions",
    "frame_axes",
    "local_path",
    "pack_patient",
    "read_number",
    "read_result",
    "read_text",
    "result_record",
    "source_of",
    "syntaxes",
    "unpack_patient",
    "without_collections",
]
