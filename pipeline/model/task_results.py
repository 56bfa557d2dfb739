"""The results that tasks return: small, and enough for ledger, catalog and report."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.model.compact import Compact
from pipeline.model.instances import Failure


@dataclass(frozen=True, slots=True)
class RegionResult(Compact):
    """One stored shard."""

    image: int
    start: int
    stop: int
    """Positions of its frames: from `start` to before `stop`."""
    checksums: bytes
    """xxh3_64 of each decoded frame's little-endian C-order bytes, as little-endian uint64."""
    valid: bytes
    """One byte per frame: 1 stored, 0 missing."""
    stored_bytes: int = 0
    """Bytes written, compressed."""
    digest: str = ""
    """xxh3_128 of the shard's file as written, in hexadecimal digits; empty if nothing was written."""

    @property
    def positions(self) -> range:
        """Positions of its frames."""
        return range(self.start, self.stop)


@dataclass(frozen=True, slots=True)
class InstanceOutcome(Compact):
    """The outcome of one instance in one task."""

    instance: int
    decoder: str = ""
    """Plugin and version that decoded it; several joined with ``+``; empty for native data."""
    photometric_interpretation: str = ""
    """Of the stored pixels."""
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class TaskResult(Compact):
    """One finished task."""

    task: int
    regions: tuple[RegionResult, ...]
    outcomes: tuple[InstanceOutcome, ...]
    frames: int = 0
    encoded_bytes: int = 0
    """Bytes read of pixel data."""
    decoded_bytes: int = 0
    """Bytes of the decoded frames."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time by stage: ``decode`` (including reading) and ``write`` (including compression)."""
    syntax_seconds: dict[str, dict[str, float]] = field(default_factory=dict)
    """The same by Transfer Syntax UID; a shard's ``write`` is divided among its instances by their frames."""
