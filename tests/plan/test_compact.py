"""Values that travel between processes arrive as they were sent."""

from __future__ import annotations

import copy
import gc
import pickle
from dataclasses import fields, is_dataclass

import numpy as np
import pytest

from pipeline import model
from pipeline.model import (
    Compact,
    Coordinate,
    Failure,
    Geometry,
    Grid,
    ImageSpec,
    Instance,
    InstanceOutcome,
    Origin,
    PixelFormat,
    Placement,
    Region,
    RegionInput,
    RegionResult,
    SourceFile,
    TaskInput,
    TaskResult,
    frame_axes,
    without_collections,
)
from pipeline.storage import OutputDir
from pipeline.tasks.finalise_image import FinaliseInput, ScanRecord

FORMAT = PixelFormat(2, 3, 1, "int16", "MONOCHROME2")
INSTANCE = Instance(
    *("/a.dcm", 10, 11, "1.2", "1.3", "1.4", "CT", "1.2.840.10008.1.2.1", FORMAT, 1, 12, 3, 4),
    frame_index=b"\0index",
    position=(0.0, -1.5, 2.25),
    orientation=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    instance_number=7,
    image_type="ORIGINAL",
    etag="e",
    sha256="f" * 64,
)
PLACEMENT = Placement(0, 0, 1, 1, 0)
SPEC = ImageSpec(
    *(
        "1.2/1.3/stack-1",
        "1.2",
        "1.3",
        "CT",
        FORMAT,
        frame_axes(3),
        (1,),
        (1, 2, 3),
        (1, 2, 3),
        "position",
        (PLACEMENT,),
    )
)
REGION = Region(0, 0, 1)
RESULT = RegionResult(0, 0, 1, b"12345678", b"\1", 5, "abc")
FAILURE = Failure("decode_failed", "no", 3, salvaged=True)
GEOMETRY = Geometry(
    "gaps",
    spacing=(2.0, 0.5, 0.5),
    missing_slices=(3,),
    dimensions=(("c", Origin(("EchoTime",))),),
    reasons=("a slice is missing",),
)
VALUES = (
    *(frame_axes(3), Grid((4, 5), (2, 2))),
    *(FORMAT, INSTANCE, PLACEMENT, SPEC, REGION, RESULT, FAILURE, SourceFile("/a.dcm", 1, 2, "e", "unreadable")),
    InstanceOutcome(1, "imagecodecs", "RGB", FAILURE),
    *(GEOMETRY, Origin(("EchoTime",)), Coordinate("EchoTime", "c", "millisecond", (3.5, None))),
    TaskInput(4, (RegionInput(REGION, SPEC, {0: INSTANCE}),)),
    TaskResult(4, (RESULT,), (InstanceOutcome(1),), 1, 2, 3, {"decode": 0.5}, {"1.2": {"write": 0.25}}),
    FinaliseInput(
        *(
            0,
            SPEC,
            {0: ScanRecord(3, 4, "1.4")},
            np.array([7], np.uint64),
            np.array([True]),
            frozenset({1}),
            {0: "RGB"},
        ),
        *(OutputDir("/out"), {"name": "zstd"}, {}),
    ),
)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_values_arrive_as_they_were_sent(value: object, protocol: int) -> None:
    """Values are equal in every field and of the same type, whether pickled or copied."""
    for arrived in (pickle.loads(pickle.dumps(value, protocol)), copy.deepcopy(value)):  # noqa: S301  our own bytes
        assert type(arrived) is type(value)
        for field in fields(value):
            np.testing.assert_equal(getattr(arrived, field.name), getattr(value, field.name))


def test_every_compact_type_is_tried() -> None:
    """All of the model's types are tried, and all their fields are arguments of the constructor."""
    compact = {kind for kind in vars(model).values() if isinstance(kind, type) and issubclass(kind, Compact)}
    assert compact - {Compact} <= {type(value) for value in VALUES} | {RegionInput}
    for kind in compact - {Compact}:
        assert is_dataclass(kind)
        assert all(field.init and not field.kw_only for field in fields(kind))


def test_collections_go_on_after_a_pause() -> None:
    """Collections go on after an error too; if the caller had paused them, they stay paused."""

    @without_collections
    def fail() -> None:
        assert not gc.isenabled()
        raise KeyError

    for before in (True, False):
        (gc.enable if before else gc.disable)()
        try:
            with pytest.raises(KeyError):
                fail()
            assert gc.isenabled() is before
        finally:
            gc.enable()
