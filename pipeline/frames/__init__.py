"""Frames of DICOM instances: headers, frame indices, and a generator that needs memory for one frame."""

from pipeline.frames.generator import iter_frames
from pipeline.frames.header import Header, read_header
from pipeline.frames.index import available_frames, build_index, index_frames
from pipeline.frames.reader import DecodedFrame, FrameReader
from pipeline.frames.sources import open_source
from pipeline.frames.syntax import transfer_syntax_name

__all__ = [
    "DecodedFrame",
    "FrameReader",
    "Header",
    "available_frames",
    "build_index",
    "index_frames",
    "iter_frames",
    "open_source",
    "read_header",
    "transfer_syntax_name",
]
