"""What travels to the workers: converting frames, finalising an image, and the same work done carefully."""

from pipeline.tasks.allocator import keep_freed_memory
from pipeline.tasks.convert_frames import Frame, Job, convert, decode_frames, job_of
from pipeline.tasks.finalise_image import FinaliseInput, describe, finalise, finalise_input, frame_results
from pipeline.tasks.isolated import convert_carefully, scan_carefully, to_blame

__all__ = [
    "FinaliseInput",
    "Frame",
    "Job",
    "convert",
    "convert_carefully",
    "decode_frames",
    "describe",
    "finalise",
    "finalise_input",
    "frame_results",
    "job_of",
    "keep_freed_memory",
    "scan_carefully",
    "to_blame",
]
