"""Compare one shard's pixels with the digest of its file and the checksums of its frames. Runs in a worker."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import xxhash

from pipeline.model import ImageSpec, RegionResult
from pipeline.storage import ZARR_JSON, OutputDir
from pipeline.store import decode_shard, read_file, shard_name
from pipeline.verify.problems import Problem


@dataclass(frozen=True, slots=True)
class ShardCheck:
    """A shard of a complete image."""

    image: int
    spec: ImageSpec
    region: RegionResult
    only: frozenset[int] | None = None
    """The positions to check; None for all positions and the whole file."""

    @property
    def where(self) -> str:
        """Path of the image, for messages."""
        return f"{OutputDir.IMAGES}/{self.spec.path}"

    @property
    def shard(self) -> int:
        """The shard's number."""
        return self.spec.grid.shard_of(self.region.start)

    @property
    def frames(self) -> int:
        """Number of frames to check."""
        return sum(self.region.valid) if self.only is None else len(self.only)

    def looks_at(self, frame: int) -> bool:
        """Return whether this frame of the image is stored and to be checked."""
        return bool(self.region.valid[frame - self.region.start]) and (self.only is None or frame in self.only)


def check_shard(check: ShardCheck, out: OutputDir) -> Iterator[Problem]:
    """Yield the problems of a shard: as a file, and frame by frame."""
    region, spec = check.region, check.spec
    if not any(region.valid):
        return
    name = f"{spec.path}/{shard_name(spec, check.shard)}"

    def found(code: str, message: str, frames: range) -> Problem:
        return Problem(code, f"{OutputDir.IMAGES}/{name}", message, check.image, frames)

    whole = region.positions
    data, document = read_file(out, name), read_file(out, f"{spec.path}/pixels/{ZARR_JSON}")
    if data is None or document is None:
        yield found("missing_file", "the shard or its metadata are missing", whole)
        return
    if check.only is None and region.digest and xxhash.xxh3_128_hexdigest(data) != region.digest:
        yield found("changed_file", "the shard isn't as written", whole)
    differing, unreadable = _check_frames(check, document, data)
    for run in to_ranges(differing):
        yield found("frame_differs", f"{_frames(run)} of the image: the pixels don't match their checksums", run)
    for run in to_ranges(unreadable):
        yield found("frame_unreadable", f"{_frames(run)} of the image can't be decoded", run)


def _check_frames(check: ShardCheck, document: bytes, data: bytes) -> tuple[list[int], list[int]]:
    """Return the frames that differ and those that can't be decoded."""
    region = check.region
    try:
        return list(_find_differing(check, document, data, region.positions)), []
    # Codecs raise anything on damaged data, and such damage is a finding.
    except Exception:  # noqa: BLE001
        differing: list[int] = []
        unreadable: list[int] = []
    for start, _, count in check.spec.grid.runs(region.positions, check.spec.chunk_frames):
        chunk = range(start, start + count)
        try:
            differing += _find_differing(check, document, data, chunk)
        except Exception:  # noqa: BLE001  as above
            unreadable += [frame for frame in chunk if check.looks_at(frame)]
    return differing, unreadable


def _find_differing(check: ShardCheck, document: bytes, shard: bytes, frames: range) -> Iterator[int]:
    """Yield those of `frames` that don't match their checksum."""
    region = check.region
    checksums = np.frombuffer(region.checksums, "<u8")
    wanted = frozenset(filter(check.looks_at, frames))
    little = np.dtype(check.spec.format.dtype).newbyteorder("<")
    every = len(wanted) == len(region.valid)
    for start, arrays in decode_shard(document, check.spec, check.shard, shard, None if every else wanted):
        for number, frame in enumerate(arrays, start):
            digest = xxhash.xxh3_64_intdigest(np.ascontiguousarray(frame, little).data) if number in wanted else 0
            if number in wanted and digest != checksums[number - region.start]:
                yield number


def to_ranges(numbers: Iterable[int]) -> list[range]:
    """Return ascending numbers as ranges without gaps."""
    found: list[range] = []
    for number in numbers:
        if found and found[-1].stop == number:
            found[-1] = range(found[-1].start, number + 1)
        else:
            found.append(range(number, number + 1))
    return found


def _frames(run: range) -> str:
    return f"frame {run.start}" if len(run) == 1 else f"frames {run.start} to {run.stop - 1}"
