"""One YAML file → a frozen, validated :class:`RunConfig`."""

from pipeline.config.choices import parse_slice
from pipeline.config.cluster import BATCH_SYSTEMS, Adapt, Certificates, Cluster
from pipeline.config.json_schema import schema
from pipeline.config.loading import cluster_of, config_of, dump, for_paths, from_dict, load
from pipeline.config.mistakes import unknown_keywords
from pipeline.config.sections import (
    Chunk,
    Decode,
    Limits,
    Metadata,
    Output,
    Report,
    RunConfig,
    Sections,
    Select,
    Source,
)
from pipeline.config.sizes import parse_bytes

__all__ = [
    "BATCH_SYSTEMS",
    "Adapt",
    "Certificates",
    "Chunk",
    "Cluster",
    "Decode",
    "Limits",
    "Metadata",
    "Output",
    "Report",
    "RunConfig",
    "Sections",
    "Select",
    "Source",
    "cluster_of",
    "config_of",
    "dump",
    "for_paths",
    "from_dict",
    "load",
    "parse_bytes",
    "parse_slice",
    "schema",
    "unknown_keywords",
]
