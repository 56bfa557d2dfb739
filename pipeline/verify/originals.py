"""Compare one original with the stored data: header, number of frames, pixels. Runs in a worker."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
import xxhash

from pipeline.catalog import read_row
from pipeline.deid import IDENTITY, Gate
from pipeline.errors import PipelineError, ResourceError, foreign_text
from pipeline.frames import HeaderLimits, SecondReader, header_json, open_source, unstored
from pipeline.model import ImageSpec, Instance, Placement
from pipeline.storage import Found, OutputDir, is_remote
from pipeline.store import read_stored_frames
from pipeline.verify.problems import Problem
from pipeline.verify.stored_pixels import to_ranges

_SOME_TAGS = 8


@dataclass(frozen=True, slots=True)
class SourceCheck:
    """Frames of one original, and the place where they are stored."""

    position: int
    """Position of the instance in the plan."""
    instance: Instance
    image: int
    spec: ImageSpec
    """The image's layout, without its placements."""
    placements: tuple[Placement, ...]
    """The frames to compare."""
    decoder: str
    """Decoder according to the catalog."""
    raw: bool
    options: Mapping[str, Any]
    row: int
    """Row in the catalog."""
    header: str | None
    """xxh3_128 of the stored header's text; None if no header is stored, or another task compares it."""
    header_kept: bool
    """Whether the header is stored."""
    without: frozenset[str] = frozenset()
    """Decoders not to use, because they kill the process."""
    limits: HeaderLimits | None = None
    """Limits of its header."""
    gate: Gate = IDENTITY
    """The gate that its header and all messages passed during the conversion."""

    @property
    def frames(self) -> int:
        """Number of frames to compare."""
        return sum(map(len, self.placements))

    @property
    def where(self) -> str:
        """Source of the original, for messages."""
        return self.instance.source

    @property
    def stored(self) -> range:
        """Positions of the frames in the image."""
        return range(self.placements[0].position, self.placements[-1].positions.stop)


@dataclass(slots=True)
class Comparison:
    """The result of comparing an original."""

    position: int
    problems: list[Problem] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)
    by: dict[str, None] = field(default_factory=dict)
    """Decoders that decoded it again."""
    unstored: tuple[str, ...] = ()
    """Contents of the original that aren't stored, and may be an image."""


Teller = Callable[[str], None]
"""Receives the name of each foreign function before its call (:data:`HEADER`, :data:`FIRST` or a decoder); empty afterwards."""
HEADER, FIRST = "the header", "the first decoder"


def compare(check: SourceCheck, out: OutputDir, tell: Teller) -> Comparison:
    """Compare an original with the stored data.

    Parameters
    ----------
    check : SourceCheck
    out : OutputDir
        The output directory.
    tell : callable
        Receives every call of a decoder or parser, because the call may never return.
    """
    found = Comparison(check.position)
    found.notes |= dict.fromkeys(f"{name} can't decode it and crashed its process" for name in sorted(check.without))
    source = check.instance.source
    try:
        with open_source(source) as file:
            _check_file(check, file, found)
            tell(HEADER)
            reader = SecondReader(
                file,
                source,
                check.decoder,
                raw=check.raw,
                options=check.options,
                limits=check.limits,
                gate=check.gate,
            )
            _check_header(check, reader, found, out)
            beside = unstored(reader.header, reader.index, header_kept=check.header_kept)
            found.unstored = tuple(check.gate.message(text, source=source) for text in beside)
            tell("")
            if reader.index.number_of_frames != check.instance.number_of_frames:
                message = f"it has {reader.index.number_of_frames} frames, but had {check.instance.number_of_frames}"
                _report(check, found, "frames_differ", message)
            else:
                _check_pixels(check, reader, found, out, tell)
    except ResourceError:  # not the file's fault
        raise
    except PipelineError as error:
        codes = {"file_not_found": "source_gone", "unreadable": "source_unreadable"}
        _report(check, found, codes.get(error.reason, "decode_failed"), str(error))
    # Decoders and pydicom are foreign code and raise anything on files that have been damaged since.
    except Exception as error:  # noqa: BLE001
        _report(check, found, "decode_failed", foreign_text(error))
    tell("")
    return found


def _report(check: SourceCheck, found: Comparison, code: str, message: str, frames: range | None = None) -> None:
    source = check.instance.source
    message = check.gate.message(message, reason=code, source=source).removeprefix(f"{source}: ")
    found.problems.append(Problem(code, check.gate.source(source), message, check.image, frames or check.stored))


def _check_file(check: SourceCheck, file: BinaryIO, found: Comparison) -> None:
    """Compare size, and time of change or ETag; a file that was only touched is still compared, and may be equal."""
    instance = check.instance
    then = (instance.mtime_ns, instance.etag)
    if is_remote(instance.source):
        seen: Found = cast(Any, file).found  # fetched files know their size and time
        size, now = seen.size, (seen.mtime_ns, seen.etag)
    else:
        status = os.fstat(file.fileno())
        size, now = status.st_size, (status.st_mtime_ns, "")
    if size != instance.size:
        _report(check, found, "source_changed", f"it has {size} bytes, but had {instance.size}")
    elif now != then:
        found.notes["changed or touched since it was converted"] = None


def _check_header(check: SourceCheck, reader: SecondReader, found: Comparison, out: OutputDir) -> None:
    if check.header is None:
        return
    text, _ = header_json(reader.header)
    if xxhash.xxh3_128_hexdigest(text.encode("utf-8", "backslashreplace")) == check.header:
        return
    stored = read_row(out, check.row, ("header",))["header"]
    tags = _find_differences(json.loads(stored or "{}"), json.loads(text))
    if tags:
        some = ", ".join(tags[:_SOME_TAGS]) + (", …" if len(tags) > _SOME_TAGS else "")
        _report(check, found, "header_differs", f"{len(tags)} element(s) differ from the stored ones: {some}")


def _find_differences(stored: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the tags whose elements differ; their values may identify a patient and aren't shown."""
    return sorted(tag for tag in stored.keys() | now.keys() if stored.get(tag) != now.get(tag))


def _check_pixels(check: SourceCheck, reader: SecondReader, found: Comparison, out: OutputDir, tell: Teller) -> None:
    wrong: dict[str, list[int]] = {}
    for placement in check.placements:
        numbers, place = placement.frames, placement.positions
        others = _SecondDecoding(reader, numbers, check, tell)
        for number, at, stored in zip(numbers, place, read_stored_frames(out, check.spec, place), strict=True):
            code = _judge(check, others, number, stored, found)
            if code:
                wrong.setdefault(code, []).append(at)
    for code, frames in wrong.items():
        for run in to_ranges(frames):
            message = (
                f"frames {run.start} to {run.stop - 1} of the image"
                if len(run) > 1
                else f"frame {run.start} of the image"
            )
            _report(check, found, code, message, run)


def _judge(
    check: SourceCheck, others: _SecondDecoding, number: int, stored: npt.NDArray[Any], found: Comparison
) -> str:
    """Return the code of a frame's problem, or an empty text."""
    other, reader = others.next(), others.reader
    if other is not None and _are_alike(stored, other, reader.tolerance):
        found.by[others.by] = None
        return ""
    others.tell(FIRST)
    first = reader.again(number, check.spec.format.dtype)
    others.tell("")
    if not _are_alike(stored, first, 0):
        return "pixels_differ"
    if other is None or reader.tolerance:
        # No other decoder, or lossy data for which two correct decoders differ too much (upsampled colour).
        found.by[check.decoder or "the same reader"] = None
        return ""
    return "decoders_disagree"


def _are_alike(stored: npt.NDArray[Any], other: npt.NDArray[Any], tolerance: int) -> bool:
    if stored.shape != other.shape:
        return False
    if not tolerance:
        return bool(np.array_equal(stored, other, equal_nan=stored.dtype.kind == "f"))
    return bool(np.abs(stored.astype(np.int64) - other.astype(np.int64)).max(initial=0) <= tolerance)


class _SecondDecoding:
    """A placement's frames by another decoder; from its first failure on it returns None, and the next decoder is tried."""

    def __init__(self, reader: SecondReader, numbers: range, check: SourceCheck, tell: Teller) -> None:
        self.reader, self.tell = reader, tell
        self._numbers, self._dtype = numbers, check.spec.format.dtype
        self._left = [name for name in reader.others if name not in check.without]
        self._done = 0
        self._frames: Iterator[npt.NDArray[Any]] | None = None
        self.by = ""

    def next(self) -> npt.NDArray[Any] | None:
        """Return the next frame; None if no other decoder can decode it."""
        while self._frames or self._left:
            try:
                if self._frames is None:
                    self.by = self._left.pop(0)
                    self._frames = self.reader.otherwise(self._numbers[self._done :], self._dtype, self.by)
                self.tell(self.by)
                frame = next(self._frames)
                self.tell("")
            # A decoder's failure isn't the file's fault: another decoder may succeed, and the first one has to.
            except Exception:  # noqa: BLE001
                self._frames = None
                continue
            self._done += 1
            return frame
        self._done += 1
        return None
