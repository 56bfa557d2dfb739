"""Cost of planning against the number of instances: CT slices in series of three hundred."""

from __future__ import annotations

from time import perf_counter

from pipeline.model import Instance, PixelFormat
from pipeline.plan import make_plan

COUNTS = (1_000, 10_000, 100_000)
_SERIES = 300


def measure(counts: tuple[int, ...] = COUNTS) -> list[dict[str, float]]:
    """Return ``instances``, ``seconds`` and ``microseconds`` per instance."""
    rows = []
    for count in counts:
        instances = [_instance(number) for number in range(count)]
        begin = perf_counter()
        make_plan(instances)
        seconds = perf_counter() - begin
        rows.append({"instances": count, "seconds": seconds, "microseconds": 1e6 * seconds / count})
    return rows


_FORMAT = PixelFormat(512, 512, 1, "int16", "MONOCHROME2")


def _instance(number: int) -> Instance:
    series, place = divmod(number, _SERIES)
    return Instance(
        source=f"/archive/{series}/{place}.dcm",
        size=530_000,
        mtime_ns=0,
        study_instance_uid=f"1.2.{series // 4}",
        series_instance_uid=f"1.2.{series // 4}.{series}",
        sop_instance_uid=f"1.2.{series // 4}.{series}.{place}",
        modality="CT",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        format=_FORMAT,
        number_of_frames=1,
        encoded_bytes=_FORMAT.frame_bytes,
        segment=number // 64,
        row=number % 64,
        position=(0.0, 0.0, float(place)),
        orientation=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
        instance_number=place + 1,
        image_type="ORIGINAL\\PRIMARY\\AXIAL",
    )
