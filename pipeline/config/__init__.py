"""One YAML file → a frozen, validated :class:`RunConfig`."""

from pipeline.config.settings import (
    Chunk,
    Cluster,
    Decode,
    Limits,
    Metadata,
    Output,
    RunConfig,
    Select,
    Source,
)

__all__ = ["Chunk", "Cluster", "Decode", "Limits", "Metadata", "Output", "RunConfig", "Select", "Source"]
