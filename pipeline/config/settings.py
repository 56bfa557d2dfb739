"""The configuration's sections, their defaults and what each value means."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from pipeline.config.choices import check_codec_name, check_frames, check_path
from pipeline.config.sizes import SIZE_PATTERN, format_bytes, parse_bytes

# Strict types: YAML has told text, numbers and booleans apart already, and a quoted "false" is not false.
Bytes = Annotated[
    StrictInt,
    BeforeValidator(parse_bytes),
    Field(gt=0),
    PlainSerializer(format_bytes, when_used="json"),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "exclusiveMinimum": 0}, {"type": "string", "pattern": SIZE_PATTERN}]},
        mode="validation",
    ),
]
Count = Annotated[StrictInt, Field(gt=0)]
Auto = Literal["auto"]
Text = Annotated[StrictStr, Field(min_length=1)]
# Not a `str` of pydantic's, which refuses the names of files that aren't UTF-8.
FilePath = Annotated[str, PlainValidator(check_path), WithJsonSchema({"type": "string", "minLength": 1})]
Finite = Annotated[StrictFloat, Field(allow_inf_nan=False)]
Scalar = Annotated[StrictStr | StrictInt | Finite, WithJsonSchema({"type": ["string", "number"]})]

_ADDRESS_FITS_KIND: dict[str, Any] = {
    "if": {"properties": {"kind": {"const": "address"}}, "required": ["kind"]},
    "then": {"properties": {"address": {"minLength": 1}}, "required": ["address"]},
    "else": {"properties": {"address": {"maxLength": 0}}},
}


class Section(BaseModel):
    """Base of all sections: frozen, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, ser_json_inf_nan="constants")


class Source(Section):
    """Where the DICOM files are."""

    paths: tuple[FilePath, ...] = Field(min_length=1)
    """Files, folders (walked), glob patterns, a DICOMDIR, or a .txt, .csv or .parquet list of paths. Relative paths
    count from the configuration file's folder."""


class Select(Section):
    """Which instances and frames are converted; the rest is reported as skipped."""

    where: dict[str, Scalar | Annotated[tuple[Scalar, ...], Field(min_length=1)]] = {}
    """DICOM keyword: the value, or the list of values, that an instance must have. A number that is an identifier
    is safest in quotes: "007"."""
    frames: Annotated[StrictStr | tuple[StrictInt, ...] | None, AfterValidator(check_frames)] = None
    """A slice such as "::2", or a list of frame indices from 0 (negative ones count from the end), applied to every
    instance; all frames by default."""


class Decode(Section):
    """How frames are decoded, with the words of pydicom.pixels.iter_pixels."""

    raw: StrictBool = False
    """Keep YBR_FULL and YBR_FULL_422 as they are instead of converting them to RGB."""
    plugin: StrictStr = ""
    """The decoding plugin to use alone; by default the fastest that can is tried first, then the others."""
    options: dict[str, Any] = {}
    """More of pydicom's decoding options, such as apply_jls_sign_correction: false."""


class Chunk(Section):
    """The unit of reading and compression, in frames and pixels."""

    frame: Count = 1
    """Frames a chunk."""
    row: Count | Auto = "auto"
    """Rows a chunk; "auto" is the whole frame, or tiles where a frame is huge."""
    column: Count | Auto = "auto"
    """Columns a chunk, as for rows."""


class Output(Section):
    """Where the result goes and how it is laid out."""

    path: FilePath
    """The output directory. A relative path counts from the configuration file's folder."""
    grouping: Literal["series", "instance"] = "series"
    """"series" stacks the single-frame instances of a series (multi-frame instances are images of their own),
    "instance" makes an image of each instance."""
    chunk: Chunk = Chunk()
    shard: Bytes = 64 * 2**20
    """Decoded bytes of a shard, the unit of writing: a whole number of chunks, about this size."""
    codec: Annotated[dict[str, Any], AfterValidator(check_codec_name)] = {
        "name": "blosc",
        "cname": "zstd",
        "clevel": 1,
        "shuffle": "auto",
    }
    """A Zarr codec by its registered name and its own settings; "none" stores chunks uncompressed. For blosc,
    shuffle "auto" is bitshuffle for multi-byte data and noshuffle for bytes."""


class Metadata(Section):
    """What is collected into the catalog."""

    keywords: tuple[Text, ...] = ()
    """DICOM keywords that become columns of the catalog, besides the default ones."""
    header: Literal["full", "none"] = "full"
    """Whether the catalog holds each file's whole header as DICOM JSON."""


class Cluster(Section):
    """What runs the tasks."""

    model_config = ConfigDict(json_schema_extra=_ADDRESS_FITS_KIND)

    kind: Literal["synchronous", "threads", "local", "address"] = "local"
    """"synchronous" runs in this process, "threads" in its threads, "local" in worker processes of this machine,
    "address" on a running Dask scheduler."""
    workers: Count | Auto = "auto"
    """Worker processes (or threads); "auto" is one a core."""
    threads_per_worker: Count = 1
    """Tasks at once in a worker process; codecs release the GIL, much of the rest doesn't."""
    address: StrictStr = ""
    """The scheduler's address, such as tcp://10.0.0.1:8786, for kind "address"."""

    @model_validator(mode="after")
    def _address_fits_kind(self) -> Self:
        if self.kind == "address" and not self.address:
            raise PydanticCustomError(
                "below", "kind address needs the scheduler's address, such as tcp://10.0.0.1:8786", {"key": "address"}
            )
        if self.kind != "address" and self.address:
            raise PydanticCustomError(
                "below",
                "an address is only for kind: address, but the kind is {kind}",
                {"key": "address", "kind": self.kind},
            )
        return self


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
