"""Frames of DICOM instances: headers, frame indices, and a generator that needs memory for one frame.

Only this room reads DICOM; other rooms get header values as plain Python values.
"""

from pipeline.frames.byte_sources import open_source
from pipeline.frames.data_set_encoding import transfer_syntax_name
from pipeline.frames.decoding_attempts import DecodedFrame
from pipeline.frames.describe import geometry, keyword_values, pixel_format, unreleased_values
from pipeline.frames.dicomdir_records import read_file_ids
from pipeline.frames.dicomjson import header_json
from pipeline.frames.generator import iter_frames
from pipeline.frames.header import Header
from pipeline.frames.header_reader import read_header
from pipeline.frames.image_and_frame_attributes import INTERPRETIVE_KEYWORDS, FrameAttributes, frame_attributes
from pipeline.frames.index import available_frames, build_index, index_frames
from pipeline.frames.keywords import (
    all_keywords,
    dictionary_keyword,
    keyword_kind,
    nearest_keywords,
)
from pipeline.frames.limits import HeaderLimits
from pipeline.frames.missing_pixels import no_pixel_data
from pipeline.frames.plugins import check_plugin
from pipeline.frames.reader import FrameReader
from pipeline.frames.second_decoder import SecondReader
from pipeline.frames.unstored import unstored

__all__ = [
    "INTERPRETIVE_KEYWORDS",
    "DecodedFrame",
    "FrameAttributes",
    "FrameReader",
    "Header",
    "HeaderLimits",
    "SecondReader",
    "all_keywords",
    "available_frames",
    "build_index",
    "check_plugin",
    "dictionary_keyword",
    "frame_attributes",
    "geometry",
    "header_json",
    "index_frames",
    "iter_frames",
    "keyword_kind",
    "keyword_values",
    "nearest_keywords",
    "no_pixel_data",
    "open_source",
    "pixel_format",
    "read_file_ids",
    "read_header",
    "transfer_syntax_name",
    "unreleased_values",
    "unstored",
]
