"""The SHA-256 of many files, read by tasks of the executor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipeline import scan
from pipeline.errors import PipelineError
from pipeline.executors import Executor

BATCH = 64
BATCH_BYTES = 256 * 2**20
"""Most bytes that a task reads, unless its number of files ends it first: small files together, large ones in parallel."""

File = tuple[int, str, int]
"""The caller's own number of a file, its source and its size."""


@dataclass(frozen=True, slots=True)
class Digest:
    """The digest of a file, under the caller's number."""

    key: int
    sha256: str = ""
    problem: str = ""
    """The reason why there is no digest."""


def read_digests(files: Iterable[File], executor: Executor) -> Iterator[Digest]:
    """Yield the digest of each file, in any order."""
    for outcome in executor.map(_read, _batches(files), name="digest"):
        if outcome.error is None:
            yield from outcome.result
        else:
            problem = f"its content couldn't be read: {type(outcome.error).__name__}: {outcome.error}"
            yield from (Digest(key, problem=problem) for key, _, _ in outcome.item)


def _batches(files: Iterable[File]) -> Iterator[tuple[File, ...]]:
    batch: list[File] = []
    for file in files:
        batch.append(file)
        if len(batch) >= BATCH or sum(size for _, _, size in batch) >= BATCH_BYTES:
            yield tuple(batch)
            batch = []
    if batch:
        yield tuple(batch)


def _read(files: tuple[File, ...]) -> list[Digest]:
    return [_digest(key, source) for key, source, _ in files]


def _digest(key: int, source: str) -> Digest:
    try:
        return Digest(key, scan.digest(source))
    except PipelineError as error:
        return Digest(key, problem=str(error).removeprefix(f"{source}: "))
