"""Pure: where frames lie, from their header values; positions and time are in mm and as the headers have them.

:func:`arrange_frames` gives geometry (:class:`Geometry`: verdict, affine) and grid (:class:`Fold`) of frames in any order;
:func:`arrange_segments` those of a segmentation, which leaves frames out. :func:`make_planes`, :func:`dose_positions` and
:class:`FrameKeys` make what they take; the functions of ``anatomy`` turn an affine into what viewers and arrays need.
"""

from pipeline.geometry.anatomy import axis_coordinates, directions, orientation_names, scale_and_translation, to_ras
from pipeline.geometry.arrangement import Arrangement, arrange_frames, arrange_segments, same_grid
from pipeline.geometry.dose_planes import dose_positions
from pipeline.geometry.fold_keys import (
    B_VALUE_ELEMENTS,
    KEYS,
    Key,
    PrivateElement,
    cine_times,
    complex_component,
    read_b_value,
    split_image_type,
)
from pipeline.geometry.folding import Fold, Unfolded, fold_frames
from pipeline.geometry.frame_keys import FrameKeys
from pipeline.geometry.ordering import order_stack
from pipeline.geometry.planes import REGULAR_TOLERANCE, Planes, Slices, find_slices, make_planes

__all__ = [
    "B_VALUE_ELEMENTS",
    "KEYS",
    "REGULAR_TOLERANCE",
    "Arrangement",
    "Fold",
    "FrameKeys",
    "Key",
    "Planes",
    "PrivateElement",
    "Slices",
    "Unfolded",
    "arrange_frames",
    "arrange_segments",
    "axis_coordinates",
    "cine_times",
    "complex_component",
    "directions",
    "dose_positions",
    "find_slices",
    "fold_frames",
    "make_planes",
    "order_stack",
    "orientation_names",
    "read_b_value",
    "same_grid",
    "scale_and_translation",
    "split_image_type",
    "to_ras",
]
