"""Fixtures that make instances for all tests of the plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from pipeline.model import Instance, PixelFormat

CT = PixelFormat(512, 512, 1, "int16", "MONOCHROME2")
AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
BASE = Instance(
    source="/in/0",
    size=525_000,
    mtime_ns=1,
    study_instance_uid="1.2.3",
    series_instance_uid="1.2.3.4",
    sop_instance_uid="1.2.3.4.0",
    modality="CT",
    transfer_syntax_uid="1.2.840.10008.1.2.1",
    format=CT,
    number_of_frames=1,
    encoded_bytes=CT.frame_bytes,
    segment=0,
    row=0,
)


@pytest.fixture
def instance() -> Callable[..., Instance]:
    """Make instance number `key`, with any field changed."""

    def make(key: int | str = 0, **fields: object) -> Instance:
        named = {"source": f"/in/{key}", "sop_instance_uid": f"1.2.3.4.{key}", **fields}
        return replace(BASE, **named)  # type: ignore[arg-type]

    return make


@pytest.fixture
def axial(instance: Callable[..., Instance]) -> Callable[..., Instance]:
    """Make axial slice number `key`, at `key` mm."""

    def make(key: int, **fields: object) -> Instance:
        return instance(key, **{"position": (-9.0, 4.0, float(key)), "orientation": AXIAL, **fields})

    return make
