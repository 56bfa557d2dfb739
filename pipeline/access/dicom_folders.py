"""Open many untouched DICOM files as images, grouped and ordered as a conversion would do it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from tempfile import TemporaryDirectory

import xarray as xr

from pipeline import scan
from pipeline.access.blocks import Decoding, FrameSource, frames_of_file, frames_of_files
from pipeline.access.image_datasets import DescribedInstance, build_dataset, decoded_photometric
from pipeline.access.images import Images
from pipeline.access.table import ImageRow
from pipeline.catalog import RowAttributes, read_attributes, read_rows
from pipeline.config import Metadata, Output, RunConfig
from pipeline.config import Source as SourceSection
from pipeline.errors import SourceError
from pipeline.model import FrameIndex, ImageSpec, Instance, PixelFormat, Plan, SourceFile, describe_dimensions
from pipeline.plan import Layout, make_plan
from pipeline.storage import OutputDir, absolute

BATCH = 1024
_NO_LIMIT = 2**62
_LEFT_OUT = ("source", "status", "reason", "message")


@dataclass(frozen=True, slots=True)
class Scanned:
    """The result of reading all headers once. Indices and attributes are in the order of the plan's instances."""

    plan: Plan
    indices: list[FrameIndex]
    attributes: list[RowAttributes]
    left_out: list[dict[str, str]]


class DicomImages(Images):
    """Images of untouched DICOM files; see :func:`~pipeline.access.open_dicom`."""

    def __init__(self, found: Scanned, decode: Callable[[PixelFormat], Decoding], frames_per_block: int) -> None:
        self.left_out = found.left_out
        """Source, status, reason and message of every found file that is in no image."""
        self._found = found
        self._specs = {spec.path: spec for spec in found.plan.images}
        self._decode = decode
        self._frames_per_block = frames_per_block

    def __repr__(self) -> str:
        left_out = f"\n{len(self.left_out)} file(s) hold no image: see left_out" if self.left_out else ""
        return super().__repr__() + left_out

    def _list(self) -> list[str]:
        return list(self._specs)

    def _exists(self, path: str) -> bool:
        return path in self._specs

    def _rows(self) -> list[ImageRow]:
        return [self._row(self._specs[path]) for path in self.paths]

    def _row(self, spec: ImageSpec) -> ImageRow:
        block = spec.axes.shape((min(self._frames_per_block, spec.frames),), spec.format.frame_shape)
        constant = self._found.attributes[spec.placements[0].instance].constant
        description = str(constant.get("SeriesDescription") or "")
        return ImageRow(spec.path, spec.shape, spec.format.dtype, block, block, spec.modality, description, "untouched")

    def _open(self, path: str) -> xr.Dataset:
        spec = self._specs[path]
        members = [placement.instance for placement in spec.placements]
        sources = [self._source(member) for member in members]
        decoding = self._decode(spec.format)
        lazy = (
            frames_of_file(sources[0], decoding, self._frames_per_block)
            if len(sources) == 1
            else frames_of_files(sources, decoding, self._frames_per_block)
        )
        described = [self._describe(member) for member in members]
        more = {
            "StudyInstanceUID": spec.study_instance_uid,
            "SeriesInstanceUID": spec.series_instance_uid,
            "dimensions": describe_dimensions(spec.axes, spec.order),
            "frame_order": spec.order,
        }
        photometric = decoded_photometric(
            spec.format.photometric_interpretation, raw=decoding.raw, encapsulated=sources[0].index.encapsulated
        )
        return build_dataset(lazy, described, photometric, more)

    def _describe(self, position: int) -> DescribedInstance:
        constant, by_frame = self._found.attributes[position]
        return DescribedInstance(self._found.plan.instances[position].sop_instance_uid, constant, by_frame)

    def _source(self, position: int) -> FrameSource:
        instance = self._found.plan.instances[position]
        return FrameSource(
            instance.source, instance.size, instance.mtime_ns, self._found.indices[position], instance.etag
        )


def scan_images(paths: Sequence[str], decode: Callable[[PixelFormat], Decoding], frames_per_block: int) -> DicomImages:
    """Read every header once, group the instances into images, and keep the data for opening the images."""
    with TemporaryDirectory(prefix="dcm2zarr-open-") as folder:
        out = OutputDir(folder)
        found, left_out = _scan(paths, out)
        copies = _copies(found)
        left_out += [_copy(found[copy], found[kept]) for copy, kept in copies.items()]
        kept = [instance for position, instance in enumerate(found) if position not in copies]
        plan = make_plan(kept, Layout(task_memory=_NO_LIMIT))
        left_out += [
            _left_out(kept[position].source, "failed", failure.reason, failure.message)
            for position, failure in plan.refused
        ]
        attributes = read_attributes(out, [(instance.segment, instance.row) for instance in kept])
        indices = [_index(instance, out) for instance in kept]
    return DicomImages(Scanned(plan, indices, attributes, left_out), decode, frames_per_block)


def _scan(paths: Sequence[str], out: OutputDir) -> tuple[list[Instance], list[dict[str, str]]]:
    config = RunConfig(
        source=SourceSection(paths=tuple(paths)), output=Output(path=out.name), metadata=Metadata(header="none")
    )
    found: list[Instance] = []
    left_out: list[dict[str, str]] = []
    salt = scan.make_salt()
    for segment, files in enumerate(_batches(scan.find_files(paths), BATCH)):
        result = scan.scan_batch(files, config, out, segment, salt=salt)
        found += result.instances
        if len(result.instances) < len(files):
            rows = read_rows(out.segment(segment), range(len(files)), _LEFT_OUT)
            left_out += [row for row in rows if row["reason"]]
    _check_found(paths, left_out)
    return sorted(found, key=lambda instance: instance.source), left_out


def _check_found(paths: Sequence[str], left_out: Sequence[dict[str, str]]) -> None:
    """Raise an error for a given path that doesn't exist: a mistyped name isn't an empty folder."""
    absent = {row["source"]: row for row in left_out if row["reason"] == "file_not_found"}
    for path in paths:
        row = absent.get(absolute(path))
        if row:
            raise SourceError(row["message"], reason="file_not_found", source=path)


def _copies(found: Sequence[Instance]) -> dict[int, int]:
    """Return the byte-identical copies of other files, found as in a conversion."""
    positions = sorted({position for group in scan.candidates(found) for position in group})
    return scan.mark(found, {position: scan.digest(found[position].source) for position in positions})


def _copy(copy: Instance, kept: Instance) -> dict[str, str]:
    return _left_out(copy.source, "skipped", "duplicate", f"byte-identical to {kept.source}")


def _left_out(*values: str) -> dict[str, str]:
    return dict(zip(_LEFT_OUT, values, strict=True))


def _index(instance: Instance, out: OutputDir) -> FrameIndex:
    return FrameIndex.from_bytes(instance.frame_index or out.at(instance.frame_index_file).read_bytes())


def _batches(files: Iterator[SourceFile], size: int) -> Iterator[list[SourceFile]]:
    while batch := list(islice(files, size)):
        yield batch
