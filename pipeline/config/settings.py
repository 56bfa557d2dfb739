"""The configuration's sections, their defaults and what each value means."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from pipeline.config.sizes import parse_bytes

Bytes = Annotated[
    int,
    BeforeValidator(parse_bytes),
    Field(gt=0),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "exclusiveMinimum": 0},
                {"type": "string", "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*([kKMGTP]i?)?B?\s*$"},
            ],
            "description": "Bytes, as a number or with a unit: 64 MiB, 2 GiB, 500 kB.",
        }
    ),
]
Auto = Literal["auto"]
Scalar = str | int | float


class Section(BaseModel):
    """Base of all sections: frozen, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Source(Section):
    """Where the DICOM files are."""

    paths: tuple[str, ...] = Field(min_length=1)
    """Files, folders (walked), glob patterns, a DICOMDIR, or a .txt, .csv or .parquet list of paths. Relative paths
    count from the configuration file's folder."""


class Select(Section):
    """Which instances and frames are converted; the rest is reported as skipped."""

    where: dict[str, Scalar | tuple[Scalar, ...]] = {}
    """DICOM keyword: the value, or the list of values, that an instance must have."""
    frames: str | tuple[int, ...] | None = None
    """A slice such as "::2", or a list of frame indices from 0, applied to every instance; all frames by default."""


class Decode(Section):
    """How frames are decoded, with the words of pydicom.pixels.iter_pixels."""

    raw: bool = False
    """Keep YBR_FULL and YBR_FULL_422 as they are instead of converting them to RGB."""
    plugin: str = ""
    """The decoding plugin to use alone; by default the fastest that can is tried first, then the others."""
    options: dict[str, Any] = {}
    """More of pydicom's decoding options, such as apply_jls_sign_correction: false."""


class Chunk(Section):
    """The unit of reading and compression, in frames and pixels."""

    frame: int = Field(default=1, gt=0)
    row: Annotated[int, Field(gt=0)] | Auto = "auto"
    """Rows a chunk; "auto" is the whole frame, or tiles where a frame is huge."""
    column: Annotated[int, Field(gt=0)] | Auto = "auto"


class Output(Section):
    """Where the result goes and how it is laid out."""

    path: str
    """The output directory. A relative path counts from the configuration file's folder."""
    grouping: Literal["series", "instance"] = "series"
    """"series" stacks the single-frame instances of a series (multi-frame instances are images of their own),
    "instance" makes an image of each instance."""
    chunk: Chunk = Chunk()
    shard: Bytes = 64 * 2**20
    """Decoded bytes of a shard, the unit of writing: a whole number of chunks, about this size."""
    codec: dict[str, Any] = {"name": "blosc", "cname": "zstd", "clevel": 1, "shuffle": "auto"}
    """A Zarr codec by its registered name and its own settings; "none" stores chunks uncompressed. For blosc,
    shuffle "auto" is bitshuffle for multi-byte data and noshuffle for bytes."""


class Metadata(Section):
    """What is collected into the catalog."""

    keywords: tuple[str, ...] = ()
    """DICOM keywords that become columns of the catalog, besides the default ones."""
    header: Literal["full", "none"] = "full"
    """Whether the catalog holds each file's whole header as DICOM JSON."""


class Cluster(Section):
    """What runs the tasks."""

    kind: Literal["synchronous", "threads", "local", "address"] = "local"
    """"synchronous" runs in this process, "threads" in its threads, "local" in worker processes of this machine,
    "address" on a running Dask scheduler."""
    workers: Annotated[int, Field(gt=0)] | Auto = "auto"
    """Worker processes (or threads); "auto" is one a core."""
    threads_per_worker: int = Field(default=1, gt=0)
    address: str = ""
    """The scheduler's address, such as tcp://10.0.0.1:8786, for kind "address"."""


class Limits(Section):
    """What a file may cost."""

    frame: Bytes = 2 * 2**30
    """Decoded bytes of one frame; a file that declares more is refused before anything is allocated."""
    task_memory: Bytes = 2**30
    """Projected memory of one task; a plan that needs more is refused."""


class RunConfig(Section):
    """One run, described completely. Only `source` and `output.path` are required."""

    source: Source
    select: Select = Select()
    decode: Decode = Decode()
    output: Output
    metadata: Metadata = Metadata()
    cluster: Cluster = Cluster()
    limits: Limits = Limits()
