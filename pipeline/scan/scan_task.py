"""The scan task, run by workers: a batch of files → a catalog segment and compact records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, BinaryIO, Protocol, cast

from pipeline import frames
from pipeline.catalog import open_segment, write_segment
from pipeline.config import RunConfig
from pipeline.deid import Gate
from pipeline.errors import NoPixelDataError, NotDicomError, PipelineError, ResourceError, foreign_text
from pipeline.model import FrameIndex, Instance, PixelFormat, SourceFile
from pipeline.printable import printable
from pipeline.scan.duplicates import digest
from pipeline.scan.file_records import Record, RowPlace, Wanted
from pipeline.scan.patient_hashing import make_salt
from pipeline.scan.where_filter import selected
from pipeline.scan.without_warnings import without_warnings
from pipeline.storage import Expected, OutputDir, RangeFile, is_remote

LEAST_SALVAGED = 1000
"""A file is salvaged only if it has at least one of this many declared frames; else its Number of Frames is implausible."""
INLINE_INDEX = 512
"""Bytes up to which a serialised frame index travels in its instance's record."""
_PROBLEMS = {
    "header_crashed": ("failed", "the process that read its header crashed, twice"),
    "timeout": ("failed", "its header was not read within limits.header_seconds"),
    "memory": ("failed", "reading its header took more memory than limits.decode_memory allows"),
    "file_not_found": ("failed", "no such file"),
    "unreadable": ("failed", "the file or folder can't be read or listed; check its permissions"),
    "invalid_attribute": (
        "failed",
        "Referenced File ID in the DICOMDIR isn't a path below its folder (but empty, absolute, or with '..'); not opened",
    ),
    "ambiguous_file_id": (
        "failed",
        "no file has the name that the DICOMDIR lists, and several have similar names",
    ),
    "outside_file_set": (
        "failed",
        "a symbolic link leads out of the folder of the DICOMDIR that lists this file; not opened",
    ),
    "list_entry_refused": (
        "failed",
        "the list that names this file lies on another server, and source.list_origins doesn't allow that; not opened",
    ),
    "list_entry_unusable": (
        "failed",
        "a list entry that isn't a usable path or URL, or can't be listed",
    ),
    "dicomdir_without_files": ("failed", "all files that this DICOMDIR lists are missing"),
    "not_a_regular_file": ("rejected", "a pipe, socket, device or folder instead of a file; not opened"),
    "symbolic_link": ("skipped", "a symbolic link to a folder; name its target as a source to convert it"),
}
_MISSING = "pixel_data_missing"


@dataclass(frozen=True, slots=True)
class ScanResult:
    """A scan task's report, which is small however large the headers are."""

    segment: int
    instances: tuple[Instance, ...]
    counts: Mapping[tuple[str, str], int]
    """``(status, reason)`` → number of files without an instance."""
    files: int
    bytes: int
    """Size of all files."""
    read_before: bool = False
    """Whether the result comes from an earlier scan, without opening a file."""


class FileWatch(Protocol):
    """An observer that is called before and after reading each file."""

    def begin(self) -> None: ...  # noqa: D102
    def end(self) -> None: ...  # noqa: D102


def scan_batch(
    files: Sequence[SourceFile],
    config: RunConfig,
    out: OutputDir,
    segment: int,
    *,
    salt: bytes = b"",
    gate: Gate | None = None,
    watch: FileWatch | None = None,
) -> ScanResult:
    """Read the header of each file once, and write the batch's catalog segment.

    Every file becomes one row, with a status, and a reason if it won't be converted. Problems of files don't raise errors.

    Parameters
    ----------
    files : sequence of SourceFile
    config : RunConfig
        The task uses the sections `select`, `decode`, `metadata` and `limits`, and ``source.hash``.
    out : OutputDir
        The output directory; the segment and large frame indices are written below its ``plan/``.
    segment : int
        The segment's number.
    salt : bytes, optional
        The key for hashing patients, equal for all batches that are compared. By default a new key, so that files are
        compared only within this batch.
    gate : Gate, optional
        The gate that everything written about the files passes; by default the configuration's.
    watch : FileWatch, optional
        Called before and after each file, so that a hanging header parser is noticed.

    Raises
    ------
    ConfigError
        For an unknown keyword.
    OSError
        If the segment can't be written.
    """
    wanted, gate = Wanted.by(config, salt or make_salt()), gate or Gate.of(config)
    instances: list[Instance] = []
    counts: Counter[tuple[str, str]] = Counter()
    seen: list[SourceFile] = []
    with without_warnings(), open_segment(out.segment(segment), wanted.kinds) as writer:
        for row, file in enumerate(files):
            record = Record(file, gate)
            if watch:
                watch.begin()
            found = _read(record, config, wanted, RowPlace(segment, row))
            if watch:
                watch.end()
            if found is not None and (config.source.hash or not found[0].known_uid):
                found = _with_digest(record, *found, keep=config.source.hash)
            if found is None:
                counts[record.row["status"], record.row["reason"]] += 1
            else:
                instances.append(_with_index(*found, out))
            writer.write(record.finished_row())
            seen.append(record.file)
    return _result(seen, segment, _sharing_values(instances), counts)


def lost_batch(
    files: Sequence[SourceFile], out: OutputDir, segment: int, *, reason: str, message: str, gate: Gate | None = None
) -> ScanResult:
    """Write the segment of a batch whose task was lost: every file fails with the given reason."""
    counts: Counter[tuple[str, str]] = Counter()
    rows = []
    for file in files:
        record = Record(file, gate or Gate.of())
        if not _known_problem(record):
            record.end("failed", reason, message)
        counts[record.row["status"], record.row["reason"]] += 1
        rows.append(record.finished_row())
    write_segment(out.segment(segment), rows, {})
    return _result(files, segment, [], counts)


def _result(
    files: Sequence[SourceFile], segment: int, instances: Sequence[Instance], counts: Mapping[tuple[str, str], int]
) -> ScanResult:
    size = sum(max(file.size, 0) for file in files)
    return ScanResult(segment, tuple(instances), dict(counts), len(files), size)


def _known_problem(record: Record) -> bool:
    """End the record of a file whose problem is known from the listing; return whether it has one."""
    problem = record.file.problem
    if problem:
        status, text = _PROBLEMS[problem]
        record.end(status, problem, f"{record.file.source}: {text}")
    return bool(problem)


def _read(record: Record, config: RunConfig, wanted: Wanted, place: RowPlace) -> tuple[Instance, FrameIndex] | None:
    """Read one file into its record; return its instance and frame index if it will be converted."""
    if _known_problem(record):
        return None
    try:
        return _read_instance(record, config, wanted, place)
    except ResourceError:  # the process's problem, not the file's
        raise
    except NotDicomError as error:
        record.end("rejected", error.reason, _message(record, error))
    except NoPixelDataError as error:
        _without_pixels(record, error)
    except PipelineError as error:
        record.end("failed", error.reason, _message(record, error))
    except OSError as error:
        record.end("failed", "unreadable", f"{record.file.source}: reading failed: {error.strerror or error}")
    # pydicom trusts its input, so a damaged file may raise anything: struct.error, KeyError, MemoryError, …
    except Exception as error:  # noqa: BLE001
        text = foreign_text(error)
        record.end("failed", "header_unreadable", f"{record.file.source}: the header can't be read: {text}")
    return None


def _read_instance(
    record: Record, config: RunConfig, wanted: Wanted, place: RowPlace
) -> tuple[Instance, FrameIndex] | None:
    with _open(record) as file:
        if isinstance(file, RangeFile) and config.select.frames is None and not config.select.where:
            file.read_through()
        header = frames.read_header(file, source=record.file.source, limits=header_limits(config), gate=record.gate)
        record.describe(header, wanted)
        lacking = None if header.pixel_keyword else frames.no_pixel_data(header)
        # files that aren't images, or are cut, are reported as such even if `select.where` excludes them
        if (lacking is None or lacking.reason == _MISSING) and not selected(config.select.where, record.deciding):
            record.end("skipped", "not_selected", f"left out by select.where ({', '.join(config.select.where)})")
            return None
        if lacking:
            raise lacking
        pixels = frames.pixel_format(header)
        record.describe_format(pixels)
        _check_size(pixels, config.limits.frame, header.source)
        index = _index(file, header, salvage=config.decode.salvage)
        return record.instance(header, pixels, index, place), index


def header_limits(config: RunConfig) -> frames.HeaderLimits:
    """Return the configuration's limits of a header."""
    names = [field.name for field in fields(frames.HeaderLimits)]
    return frames.HeaderLimits(**{name: getattr(config.limits, name) for name in names})


def _open(record: Record) -> BinaryIO:
    """Open the file; if an object was named without a listing, get its size and identity from the first answer."""
    source = record.file
    if not is_remote(source.source):
        return frames.open_source(source.source)
    known = source.size >= 0
    file = frames.open_source(source.source, Expected(source.size, source.mtime_ns, source.etag) if known else None)
    if not known:
        found = cast(Any, file).found
        record.identify(replace(source, size=found.size, mtime_ns=found.mtime_ns, etag=found.etag))
    return file


def _with_digest(
    record: Record, instance: Instance, index: FrameIndex, *, keep: bool
) -> tuple[Instance, FrameIndex] | None:
    """Read the whole file, without the time limit of headers; return None if it can't be read.

    The digest names an instance without SOP Instance UID; `keep` it in the catalog if the configuration wants it.
    """
    file = record.file
    try:
        sha256 = digest(file.source, Expected(file.size, file.mtime_ns, file.etag))
    except ResourceError:  # the process's problem, not the file's
        raise
    except PipelineError as error:
        record.end("failed", error.reason, _message(record, error))
        return None
    if not instance.known_uid:
        instance = replace(instance, sop_instance_uid=record.name_by_content(sha256))
    if keep:
        record.row["sha256"] = sha256
        instance = replace(instance, sha256=sha256)
    return instance, index


def _index(file: BinaryIO, header: frames.Header, *, salvage: bool) -> FrameIndex:
    """Index the frames; with `salvage`, also of a file that lacks some frames."""
    if salvage:
        index = frames.index_frames(file, header, lenient=True)
        if frames.available_frames(index) * LEAST_SALVAGED >= index.number_of_frames:
            return index
    return frames.index_frames(file, header)


def _without_pixels(record: Record, error: NoPixelDataError) -> None:
    """End the record of a file without pixel data, which may be an image that lost them."""
    source, what = record.file.source, record.row.get("sop_class_uid") or "unknown"
    if error.reason == _MISSING:
        record.end("failed", error.reason, _message(record, error))
    else:
        record.end("rejected", error.reason, f"{source}: DICOM without pixel data; SOP Class UID {what}")


def _check_size(pixels: PixelFormat, limit: int, source: str) -> None:
    if pixels.frame_bytes > limit:
        raise PipelineError(
            f"{source}: one frame of {pixels.rows} x {pixels.columns} x {pixels.samples_per_pixel} {pixels.dtype} has "
            f"{pixels.frame_bytes} bytes, limits.frame allows {limit}",
            reason="frame_too_large",
            source=source,
        )


def _with_index(instance: Instance, index: FrameIndex, out: OutputDir) -> Instance:
    """Return the instance with its frame index; a large index goes to a separate file."""
    data = index.to_bytes()
    if len(data) <= INLINE_INDEX:
        return replace(instance, frame_index=data)
    name = out.frame_index(instance.segment, instance.row)
    out.at(name).write_bytes(data)
    return replace(instance, frame_index_file=name)


def _sharing_values(instances: Sequence[Instance]) -> list[Instance]:
    """Make equal values one object, so that they are pickled once and the driver keeps them once."""
    known: dict[Any, Any] = {}
    fields = (
        *("study_instance_uid", "series_instance_uid", "modality", "transfer_syntax_uid", "image_type", "format"),
        *("frame_index", "orientation", "patient"),
    )
    changes = ({name: known.setdefault(getattr(i, name), getattr(i, name)) for name in fields} for i in instances)
    return [replace(instance, **change) for instance, change in zip(instances, changes, strict=True)]


def _message(record: Record, error: PipelineError) -> str:
    """Return an error's text, with the file's name first if the text doesn't contain it."""
    text = str(error)
    return text if printable(record.file.source) in text else f"{record.file.source}: {text}"
