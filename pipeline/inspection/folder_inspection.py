"""A folder of DICOM files: what is in it, without decoding anything."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from tempfile import TemporaryDirectory

from pipeline.catalog import read_unstored
from pipeline.config import for_paths
from pipeline.executors import NullProgress, Progress, start
from pipeline.frames import transfer_syntax_name
from pipeline.inspection.file_counts import failed_files, reasons_text
from pipeline.model import Instance, PixelFormat
from pipeline.runs import Scan, scan_sources
from pipeline.scan import make_salt
from pipeline.storage import OutputDir
from pipeline.text_tables import SHOWN, Shown, Table, more
from pipeline.units import counted, number, shape, size

_HEADINGS = (
    "Modality",
    "Transfer syntax",
    "Frame",
    "Type",
    "Colour",
    "Series",
    "Files",
    "Frames",
    "Encoded",
    "Decoded",
)


@dataclass(frozen=True, slots=True)
class FileKind:
    """All image files of one modality, transfer syntax and pixel format."""

    modality: str
    transfer_syntax_uid: str
    format: PixelFormat
    """Shape and type of their frames."""
    series: int
    files: int
    frames: int
    encoded_bytes: int
    """Bytes of pixel data in the files."""
    decoded_bytes: int

    @property
    def cells(self) -> tuple[str, ...]:
        """What it is, for people: modality, transfer syntax, frame, type and colour; then its five numbers."""
        return (
            self.modality or "–",  # noqa: RUF001  a dash for nothing
            transfer_syntax_name(self.transfer_syntax_uid),
            shape(self.format.frame_shape),
            self.format.dtype,
            self.format.photometric_interpretation,
            *map(number, (self.series, self.files, self.frames)),
            *map(size, (self.encoded_bytes, self.decoded_bytes)),
        )


@dataclass(frozen=True, slots=True, repr=False)
class FolderInspection(Shown):
    """What a scan finds in a folder, a prefix, a DICOMDIR or a list."""

    path: str
    files: int
    """All that were found."""
    bytes: int
    """Their size."""
    images: int
    """Files that hold an image that can be stored, as far as header and lengths tell."""
    frames: int
    series: int
    studies: int
    kinds: tuple[FileKind, ...]
    """The images by kind, the most frequent first."""
    counts: Mapping[tuple[str, str], int]
    """``(status, reason)`` → number of all other files: those that would fail, or aren't images."""
    unstored: tuple[tuple[str, str], ...]
    """Files of which not everything would be stored, and what would not."""

    @property
    def failed(self) -> int:
        """Files that would fail."""
        return failed_files(self.counts)

    @property
    def exit_code(self) -> int:
        """1 if files would fail, else 0."""
        return int(self.failed > 0)

    @property
    def total(self) -> str:
        """All numbers in a sentence."""
        return (
            f"{counted(self.files, 'file')}, {size(self.bytes)}: {counted(self.images, 'image file')} with "
            f"{counted(self.frames, 'frame')}, in {number(self.series)} series of {number(self.studies)} "
            f"{'study' if self.studies == 1 else 'studies'}"
        )

    def parts(self) -> Iterator[Table | str]:
        """Yield kinds, reasons, and the total."""
        yield self.path
        if self.kinds:
            yield Table(_HEADINGS, [kind.cells for kind in self.kinds[:SHOWN]])
            yield from more(len(self.kinds), "kinds has all")
        yield from reasons_text(self.counts)
        yield self.total
        if self.unstored:
            yield f"Of {counted(len(self.unstored), 'file')} not everything would be stored:"
            yield from (f"  {source}: {told}" for source, told in self.unstored[:SHOWN])
            yield from more(len(self.unstored), "unstored has all")


def inspect_folder(path: str, progress: Progress | None = None) -> FolderInspection:
    """Scan a folder, a prefix, a DICOMDIR or a list in this process: headers and lengths, no pixels."""
    with TemporaryDirectory(prefix="dcm2zarr-inspect-") as temporary:
        config = for_paths(path, temporary, cluster={"kind": "synchronous"})
        with start(config.cluster) as executor:
            found = scan_sources(config, OutputDir(temporary), executor, progress or NullProgress(), make_salt())
        return _summed(path, found, tuple(read_unstored(OutputDir(temporary), found.segments)))


def _summed(path: str, found: Scan, unstored: tuple[tuple[str, str], ...]) -> FolderInspection:
    return FolderInspection(
        path,
        files=found.files,
        bytes=found.bytes,
        images=len(found.instances),
        frames=sum(instance.number_of_frames for instance in found.instances),
        series=len({instance.series_instance_uid for instance in found.instances}),
        studies=len({instance.study_instance_uid for instance in found.instances}),
        kinds=_kinds(found.instances),
        counts=dict(found.counts),
        unstored=unstored,
    )


def _kinds(instances: Sequence[Instance]) -> tuple[FileKind, ...]:
    groups: defaultdict[tuple[str, str, PixelFormat], list[Instance]] = defaultdict(list)
    for instance in instances:
        groups[instance.modality, instance.transfer_syntax_uid, instance.format].append(instance)
    kinds = (
        FileKind(
            *kind,
            series=len({instance.series_instance_uid for instance in members}),
            files=len(members),
            frames=sum(instance.number_of_frames for instance in members),
            encoded_bytes=sum(instance.encoded_bytes for instance in members),
            decoded_bytes=sum(instance.number_of_frames * instance.format.frame_bytes for instance in members),
        )
        for kind, members in groups.items()
    )
    return tuple(sorted(kinds, key=lambda kind: (-kind.files, kind.cells[:5])))
