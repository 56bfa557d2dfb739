"""The settings that a plan follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.errors import ConfigError

MiB = 2**20
Auto = Literal["auto"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The settings that a plan follows; the defaults are the configuration's.

    Raises
    ------
    ConfigError
        If a setting has an invalid value.
    """

    grouping: Literal["series", "instance"] = "series"
    frames: str | tuple[int, ...] | None = None
    """Selection of frames in every instance (:func:`pipeline.plan.select_frames`)."""
    chunk_frames: int = 1
    chunk_rows: int | Auto = "auto"
    chunk_columns: int | Auto = "auto"
    shard_bytes: int | Auto = "auto"
    """Decoded bytes of a shard: 64 MiB, or fewer if decoding them would be too much work for one task."""
    frame_limit: int = 2048 * MiB
    """Decoded bytes of one frame."""
    task_memory: int = 1024 * MiB
    """Projected bytes of one task (:func:`pipeline.plan.task_memory.project`)."""
    task_bytes: int = 512 * MiB
    """Work of one task, in bytes of native pixel data to store; about a second."""

    def __post_init__(self) -> None:
        if self.grouping not in ("series", "instance"):
            raise ConfigError(f'output.grouping: expected "series" or "instance", got {self.grouping!r}')
        for name in ("chunk_frames", "chunk_rows", "chunk_columns", "shard_bytes", "task_bytes"):
            value = getattr(self, name)
            if value != "auto" and value < 1:
                raise ConfigError(f"{name}: expected at least 1, got {value}")
