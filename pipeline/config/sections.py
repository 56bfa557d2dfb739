"""The configuration's sections, their defaults and the meaning of each value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypedDict

from pydantic import AfterValidator, Field, StrictBool, StrictInt, StrictStr

from pipeline.config.base import Auto, Bytes, Count, FilePath, Scalar, Seconds, Section, Text
from pipeline.config.choices import check_codec_name, check_frames, check_mode_bits, check_origin
from pipeline.config.cluster import Cluster
from pipeline.config.storage import Storage


class Source(Section):
    """Which DICOM files to convert."""

    paths: tuple[FilePath, ...] = Field(min_length=1)
    """Files, folders (with subfolders), glob patterns, a DICOMDIR, or a .txt, .csv or .parquet list of paths; on disk, or as
    URLs of an object store (s3, gs, az). Single files also by http(s). Relative paths start at the configuration file's
    folder. A query of a DICOMweb service: dicomweb+https://host/root?StudyDate=20240101-."""
    list_origins: tuple[Annotated[Text, AfterValidator(check_origin)], ...] = ()
    """Further servers or buckets that lists on a server or in a bucket may name: https://host, s3://bucket and so on, or "file"
    for files of this machine. Other entries aren't read; each gets a catalog row with reason list_entry_refused. Lists on
    this machine may name anything."""
    hash: StrictBool = False
    """Read every file to be converted completely and keep its SHA-256 in the catalog's column sha256. When the command is given
    again, files are then also compared by content: a file with only a new time counts as unchanged, and a change of content
    under the same size and time is noticed. May be switched between runs; files scanned without it have no SHA-256 and are
    compared by size and time only."""
    changed: Literal["redo", "refuse"] = "redo"
    """How to treat files that changed after their conversion, when the command is given again. "redo" converts their images
    again; the old images stay readable until the new ones are complete. "refuse" names the files and converts nothing.
    May differ from run to run."""


class Select(Section):
    """Which instances and frames to convert; the rest is reported as skipped."""

    where: dict[str, Scalar | Annotated[tuple[Scalar, ...], Field(min_length=1)]] = {}
    """DICOM keyword: the value, or a list of allowed values, that an instance must have. Put identifiers that look like
    numbers in quotes: "007"."""
    frames: Annotated[StrictStr | tuple[StrictInt, ...] | None, AfterValidator(check_frames)] = None
    """A slice such as "::2", or a list of frame indices from 0 (negative ones count from the end), applied to every
    instance; all frames by default."""


class Decode(Section):
    """How to decode frames; options are named as in pydicom.pixels.iter_pixels."""

    raw: StrictBool = False
    """Keep YBR_FULL and YBR_FULL_422 instead of converting them to RGB."""
    plugin: StrictStr = ""
    """Use this decoding plugin only. By default the fastest suitable plugin is tried first, then the others."""
    options: dict[str, Any] = {}
    """Other decoding options of pydicom, such as apply_jls_sign_correction: false."""
    salvage: StrictBool = False
    """Store the decodable frames of a damaged multi-frame file. The file still counts as failed, with its reason, but gets an
    image; the catalog's column frames_missing counts the missing frames, and the image's array valid is false for them."""


class Chunk(Section):
    """The unit of reading and compression, in frames and pixels."""

    frame: Count = 1
    """Frames per chunk."""
    row: Count | Auto = "auto"
    """Rows per chunk; "auto" is the whole frame, or tiles if the frame is huge."""
    column: Count | Auto = "auto"
    """Columns per chunk; "auto" as for rows."""


class Output(Section):
    """Where to write the result, and its layout."""

    path: FilePath
    """The output directory, or a prefix in an object store (s3://bucket/prefix, gs, az). A relative path starts at the
    configuration file's folder."""
    grouping: Literal["series", "instance"] = "series"
    """"series" stacks the single-frame instances of a series (each multi-frame instance is an image of its own);
    "instance" makes one image of each instance."""
    chunk: Chunk = Chunk()
    shard: Bytes | Auto = "auto"
    """Approximate decoded bytes of a shard, the unit of writing; a shard is a whole number of chunks. "auto" is 64 MiB, or
    less for slow codecs (16 MiB for JPEG 2000 lossless), so that a task stays short."""
    codec: Annotated[dict[str, Any], AfterValidator(check_codec_name)] = {
        "name": "blosc",
        "cname": "zstd",
        "clevel": 1,
        "shuffle": "auto",
    }
    """A Zarr codec: its registered name and its settings; "none" stores chunks uncompressed. For blosc, shuffle "auto"
    means noshuffle for 8-bit colour and bitshuffle for all other pixels, and the default blocksize is 524288 (0 lets blosc choose)."""
    mode_bits: Annotated[StrictStr, AfterValidator(check_mode_bits)] = ""
    """Permissions of the result's files, such as "0640"; all who may read files may also enter folders: "0750". By default
    the umask decides. For results that others should read, see docs/security.md."""

    @property
    def file_bits(self) -> int:
        """The permissions as a number; 0 leaves them to the umask."""
        return int(self.mode_bits or "0", 8)


class Metadata(Section):
    """What the catalog holds of each header."""

    keywords: tuple[Text, ...] = ()
    """DICOM keywords that become columns of the catalog, in addition to the default columns."""
    header: Literal["full", "none"] = "full"
    """Whether the catalog holds each file's whole header as DICOM JSON."""


class Limits(Section):
    """Limits of time and memory for each file and task."""

    frame: Bytes = 2 * 2**30
    """Decoded bytes of one frame. A file that declares more is refused before any memory is allocated."""
    task_memory: Bytes = 2**30
    """Expected memory of one task. A plan that needs more is refused."""
    frame_seconds: Seconds = 120
    """Seconds that decoding one frame may take. If a decoder takes longer, its file fails with reason timeout."""
    header_seconds: Seconds = 600
    """Seconds that reading one file's header may take. If it takes longer, the file fails with reason timeout."""
    header_bytes: Bytes = 128 * 2**20
    """Bytes of one header in memory. A file with more is refused with reason header_too_large. Single elements above 64 MiB are
    never loaded and don't count."""
    header_elements: Count = 1_000_000
    """Elements and items of a header at all depths, plus 100 for each frame up to 20,000 frames. A file with more, or with more
    than 65,536 elements in one data set or item, is refused with reason header_too_large."""
    header_values: Count = 10_000_000
    """Sum of the values of all multi-valued elements. A file with more is refused with reason header_too_large."""
    header_depth: Annotated[StrictInt, Field(gt=0, le=200)] = 64
    """Depth of nested sequences. A file with deeper ones is refused with reason header_too_deep."""
    fragments: Count = 2_000_000
    """Fragments of encapsulated pixel data. A file with more is refused with reason too_many_fragments."""
    inflated: Bytes = 2**30
    """Bytes of an inflated (deflate-compressed) data set in the folder for temporary files. A file with more is refused with
    reason inflated_too_large."""
    decode_memory: Bytes = 4 * 2**30
    """Memory beyond task_memory that decoding one frame, or reading one header, may take. If it takes more, the file fails with
    reason memory."""


class Report(Section):
    """What report.html shows in addition to the figures."""

    images: Annotated[StrictInt, Field(ge=0, le=1000)] = 48
    """Images on the contact sheet, with up to four small frames each; 0 for none. Images whose header says that names are
    written into the pixels (Burned In Annotation, Specimen Label in Image, a slide's LABEL, OVERVIEW and THUMBNAIL) are listed
    but never shown."""
    sensitive: Literal["hide", "show"] = "hide"
    """Whether to show images of kinds that often have names written into the pixels, if their Burned In Annotation isn't NO:
    ultrasound, secondary captures, photographs, endoscopy, films, pictures of screens."""
    patient_names: StrictBool = False
    """Show the patient's name and ID under each image. By default the report names no patient."""
    paths: StrictBool = False
    """Name folders and files in report.html and report.json; such names often identify the patient. By default the report
    identifies a failed file by its row in catalog.parquet. The terminal always names the file."""


class RunConfig(Section):
    """The complete description of one run. Only `source` and `output.path` are required."""

    source: Source
    select: Select = Select()
    decode: Decode = Decode()
    output: Output
    metadata: Metadata = Metadata()
    cluster: Cluster = Cluster()
    limits: Limits = Limits()
    storage: Storage = Storage()
    report: Report = Report()
    layout: Count | None = None
    """Number of the layout of the result beside a run.yaml. Runs write it; in a configuration of yours it has no effect."""


class Sections(TypedDict, total=False):
    """The sections of a :class:`RunConfig` as keywords of a function: each maps keys to values, as in YAML."""

    source: Mapping[str, Any]
    select: Mapping[str, Any]
    decode: Mapping[str, Any]
    output: Mapping[str, Any]
    metadata: Mapping[str, Any]
    cluster: Mapping[str, Any]
    limits: Mapping[str, Any]
    storage: Mapping[str, Any]
    report: Mapping[str, Any]
