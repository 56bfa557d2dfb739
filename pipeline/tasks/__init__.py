"""The tasks that travel to the workers: convert frames, finalise an image, and do the same work carefully."""

from pipeline.tasks.allocator import keep_freed_memory
from pipeline.tasks.convert_frames import Frame, Job, convert, decode_frames, make_job
from pipeline.tasks.finalise_image import FinaliseInput, describe, finalise, frame_results, make_finalise_input
from pipeline.tasks.isolated import convert_carefully, is_to_blame, scan_carefully

__all__ = [
    "FinaliseInput",
    "Frame",
    "Job",
    "convert",
    "convert_carefully",
    "decode_frames",
    "describe",
    "finalise",
    "frame_results",
    "is_to_blame",
    "keep_freed_memory",
    "make_finalise_input",
    "make_job",
    "scan_carefully",
]
