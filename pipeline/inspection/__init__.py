"""What a path holds, and what a conversion would do: looked at, as values that show themselves as tables. Nothing is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.lazy_imports import lazily

if TYPE_CHECKING:
    from pipeline.inspection.file_inspection import FileInspection, FirstFrame, inspect_file
    from pipeline.inspection.folder_inspection import FileKind, FolderInspection, inspect_folder
    from pipeline.inspection.output_inspection import OutputInspection, inspect_output
    from pipeline.inspection.path_inspection import Inspection, inspect
    from pipeline.inspection.planned_conversion import PlannedConversion, PlannedImage, RefusedFile, plan_conversion

_HOME = {
    "FileInspection": "pipeline.inspection.file_inspection",
    "FileKind": "pipeline.inspection.folder_inspection",
    "FirstFrame": "pipeline.inspection.file_inspection",
    "FolderInspection": "pipeline.inspection.folder_inspection",
    "Inspection": "pipeline.inspection.path_inspection",
    "OutputInspection": "pipeline.inspection.output_inspection",
    "PlannedConversion": "pipeline.inspection.planned_conversion",
    "PlannedImage": "pipeline.inspection.planned_conversion",
    "RefusedFile": "pipeline.inspection.planned_conversion",
    "inspect": "pipeline.inspection.path_inspection",
    "inspect_file": "pipeline.inspection.file_inspection",
    "inspect_folder": "pipeline.inspection.folder_inspection",
    "inspect_output": "pipeline.inspection.output_inspection",
    "plan_conversion": "pipeline.inspection.planned_conversion",
}
__all__ = [
    "FileInspection",
    "FileKind",
    "FirstFrame",
    "FolderInspection",
    "Inspection",
    "OutputInspection",
    "PlannedConversion",
    "PlannedImage",
    "RefusedFile",
    "inspect",
    "inspect_file",
    "inspect_folder",
    "inspect_output",
    "plan_conversion",
]
__getattr__ = lazily(__name__, _HOME)
