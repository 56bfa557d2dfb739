"""The finalise task: an image whose shards are all written gets its per-frame arrays and, last, its attributes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.catalog import read_attributes
from pipeline.model import Compact, ImageSpec, Plan, RegionResult, describe_dimensions
from pipeline.outcomes import Outcomes
from pipeline.storage import OutputDir
from pipeline.store import as_output_error, finalise_image, split_attributes
from pipeline.tasks.allocator import give_back_freed_memory
from pipeline.tasks.frame_sources import frame_sources, frame_uids

MANY_FRAMES = 2**16
"""Frames of a large image: its checksums alone take about a megabyte."""


class ScanRecord(NamedTuple):
    """Location of the scan's record of an instance."""

    segment: int
    row: int
    known_uid: str
    """SOP Instance UID; empty if the file has none."""


@dataclass(frozen=True, slots=True, eq=False)
class FinaliseInput(Compact):
    """One image, its tasks' results for each frame, and its instances."""

    image: int
    spec: ImageSpec
    instances: dict[int, ScanRecord]
    checksums: npt.NDArray[np.uint64]
    """Checksum of the frame at each position; arrays, because Dask doesn't copy them when it sends and receives them."""
    valid: npt.NDArray[np.bool_]
    """Whether the frame is stored."""
    failed: frozenset[int]
    """Instances with a frame that couldn't be stored: none of their frames counts."""
    photometric: dict[int, str]
    """Photometric interpretation of the stored pixels, by instance."""
    out: OutputDir
    codec: Mapping[str, Any]
    provenance: Mapping[str, Any]


def instances_of(plan: Plan, spec: ImageSpec) -> dict[int, ScanRecord]:
    """Return the instances of an image, by their position in the plan."""
    members = ((placement.instance, plan.instances[placement.instance]) for placement in spec.placements)
    return {i: ScanRecord(instance.segment, instance.row, instance.known_uid) for i, instance in members}


def make_finalise_input(
    outcomes: Outcomes,
    image: int,
    regions: Iterable[RegionResult],
    *,
    out: OutputDir,
    codec: Mapping[str, Any],
    provenance: Mapping[str, Any],
) -> FinaliseInput:
    """Return the input of an image's finalise task after all its tasks have ended with the results `regions`."""
    plan = outcomes.plan
    spec = plan.images[image]
    checksums, valid = frame_results(spec, regions)
    return FinaliseInput(
        image=image,
        spec=spec,
        instances=instances_of(plan, spec),
        checksums=checksums,
        valid=valid,
        failed=outcomes.without_frames(image),
        photometric={i: outcomes.photometric.get(i, "") for i in outcomes.members(image)},
        out=out,
        codec=codec,
        provenance=provenance,
    )


def frame_results(
    spec: ImageSpec, regions: Iterable[RegionResult]
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
    """Return the checksum of the frame at each position of an image, and whether it is stored, from the tasks' results."""
    checksums = np.zeros(spec.frames, np.uint64)
    valid = np.zeros(spec.frames, np.bool_)
    for region in regions:
        place = slice(region.start, region.stop)
        checksums[place] = np.frombuffer(region.checksums, "<u8")
        valid[place] = np.frombuffer(region.valid, np.uint8)
    return checksums, valid


def finalise(image: FinaliseInput) -> str:
    """Write everything of an image except its shards; return a digest of the written files."""
    if image.spec.frames > MANY_FRAMES:
        give_back_freed_memory()  # the task's message took several times the memory of its contents
    per_frame, attributes = describe(image)
    return finalise_image(
        image.out,
        image.spec,
        codec=image.codec,
        per_frame=per_frame,
        attributes={**attributes, **image.provenance},
    )


def describe(image: FinaliseInput) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Return the image's per-frame arrays over its grid, and the attributes that hold for all frames."""
    spec = image.spec
    owner, number = frame_sources(spec)
    checksums, valid = image.checksums, image.valid
    if image.failed:
        missing = np.isin(owner, list(image.failed))
        checksums, valid = np.where(missing, np.uint64(0), checksums), valid & ~missing
    with as_output_error(str(image.out.segments), "can't be read"):
        rows = read_attributes(image.out, [(i.segment, i.row) for i in image.instances.values()])
    found = dict(zip(image.instances, rows, strict=True))
    for instance, photometric in image.photometric.items():
        if photometric:
            found[instance].constant["PhotometricInterpretation"] = photometric
    attributes, varying = split_attributes(
        {i: row.constant for i, row in found.items()},
        {i: row.by_frame for i, row in found.items()},
        owner,
        number,
    )
    per_frame: dict[str, npt.NDArray[Any]] = {
        "sop_instance_uid": frame_uids(spec, {i: instance.known_uid for i, instance in image.instances.items()}),
        "frame_number": number + np.int32(1),
        "checksum": checksums,
        "valid": valid,
        **varying,
    }
    return {name: spec.grid.spread(values) for name, values in per_frame.items()}, {
        **attributes,
        "StudyInstanceUID": spec.study_instance_uid,
        "SeriesInstanceUID": spec.series_instance_uid,
        "dimensions": describe_dimensions(spec.axes, spec.order),
        "frame_order": spec.order,
        "frames_missing": int((~valid).sum()),
    }
