"""The configuration's sections, their defaults and what each value means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypedDict

from pydantic import AfterValidator, Field, StrictBool, StrictInt, StrictStr

from pipeline.config.base import Auto, Bytes, Count, FilePath, Scalar, Seconds, Section, Text
from pipeline.config.choices import check_codec_name, check_frames, check_mode_bits, check_origin
from pipeline.config.cluster import Cluster
from pipeline.config.storage import Storage


class Source(Section):
    """Where the DICOM files are."""

    paths: tuple[FilePath, ...] = Field(min_length=1)
    """Files, folders (walked), glob patterns, a DICOMDIR, or a .txt, .csv or .parquet list of paths; on disk, or by
    URL in an object store (s3, gs, az). Single files also by http(s). Relative paths count from the configuration
    file's folder. What a query finds in a DICOMweb service: dicomweb+https://host/root?StudyDate=20240101-."""
    list_origins: tuple[Annotated[Text, AfterValidator(check_origin)], ...] = ()
    """What lists that lie on a server or in a store may name beside their own server or bucket: https://host, s3://bucket and so
    on, or "file" for files of this machine. Other entries aren't looked at: each is a row, reason list_entry_refused. Lists on this
    machine may name anything."""
    hash: StrictBool = False
    """Read every file to be converted as a whole, and keep its SHA-256 in the catalog's column sha256. When the command is
    given again, files are compared by content too: one that was only touched counts as unchanged, one whose content
    changed under the same size and time is noticed. May be turned on or off between runs; files scanned without it have no
    SHA-256 and are compared by size and time only."""
    changed: Literal["redo", "refuse"] = "redo"
    """What becomes of a file that has changed since it was converted, when the command is given again: "redo" makes the
    images that it belongs to anew with its new content, and keeps them readable as they are until that is done; "refuse"
    names the file and converts nothing. May be another one in each run."""


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
    salvage: StrictBool = False
    """Store the frames that can be decoded of a damaged multi-frame file. It still counts as failed, with the reason,
    but has an image, and in the catalog frames_missing; the image's array valid is false for the missing frames."""


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
    """The output directory, or a prefix in an object store (s3://bucket/prefix, gs, az). A relative path counts from
    the configuration file's folder."""
    grouping: Literal["series", "instance"] = "series"
    """"series" stacks the single-frame instances of a series (multi-frame instances are images of their own),
    "instance" makes an image of each instance."""
    chunk: Chunk = Chunk()
    shard: Bytes | Auto = "auto"
    """Decoded bytes of a shard, the unit of writing: a whole number of chunks, about this size. "auto" is 64 MiB, or
    less where decoding that much takes longer than a task should (16 MiB for JPEG 2000 lossless)."""
    codec: Annotated[dict[str, Any], AfterValidator(check_codec_name)] = {
        "name": "blosc",
        "cname": "zstd",
        "clevel": 1,
        "shuffle": "auto",
    }
    """A Zarr codec by its registered name and its own settings; "none" stores chunks uncompressed. For blosc,
    shuffle "auto" is bitshuffle, and blocksize is 524288 unless given (0 leaves it to blosc)."""
    mode_bits: Annotated[StrictStr, AfterValidator(check_mode_bits)] = ""
    """Permissions of the files that are made, as in "0640"; folders may be entered by those who may read: "0750". By
    default the umask decides. For results that others are to read, see docs/security.md."""

    @property
    def file_bits(self) -> int:
        """The permissions as a number, 0 for those that the umask leaves."""
        return int(self.mode_bits or "0", 8)


class Metadata(Section):
    """What is collected into the catalog."""

    keywords: tuple[Text, ...] = ()
    """DICOM keywords that become columns of the catalog, besides the default ones."""
    header: Literal["full", "none"] = "full"
    """Whether the catalog holds each file's whole header as DICOM JSON."""


class Limits(Section):
    """What a file may cost."""

    frame: Bytes = 2 * 2**30
    """Decoded bytes of one frame; a file that declares more is refused before anything is allocated."""
    task_memory: Bytes = 2**30
    """Projected memory of one task; a plan that needs more is refused."""
    frame_seconds: Seconds = 120
    """How long one frame may take to decode; a decoder that hangs costs its file, reason timeout."""
    header_seconds: Seconds = 600
    """The same for the header of one file."""
    header_bytes: Bytes = 128 * 2**20
    """Bytes of a header that are held: a file with more is refused, reason header_too_large. Single elements above 64 MiB are left out
    of it anyway."""
    header_elements: Count = 1_000_000
    """Elements and items of a header, at all depths; and 100 more for each frame, up to 20,000 of them. A file with more, or with more
    than 65,536 elements in one data set or item, is refused, reason header_too_large."""
    header_values: Count = 10_000_000
    """Values of all elements with many of them."""
    header_depth: Annotated[StrictInt, Field(gt=0, le=200)] = 64
    """How deep sequences may be nested; deeper ones are refused, reason header_too_deep."""
    fragments: Count = 2_000_000
    """Fragments of encapsulated pixel data; a file with more is refused, reason too_many_fragments."""
    inflated: Bytes = 2**30
    """Bytes that a deflated data set may inflate to, in the folder for temporary files; reason inflated_too_large."""
    decode_memory: Bytes = 4 * 2**30
    """Memory that decoding one frame, or reading one header, may take beyond task_memory; what takes more costs its
    file, reason memory."""


class Report(Section):
    """What report.html shows besides the figures."""

    images: Annotated[StrictInt, Field(ge=0, le=1000)] = 48
    """Images on the contact sheet, with up to four small frames each; 0 for none. Images that say that names are written
    into them (Burned In Annotation, Specimen Label in Image, a slide's LABEL, OVERVIEW and THUMBNAIL) are listed but never
    shown."""
    sensitive: Literal["hide", "show"] = "hide"
    """Whether images are shown that often have names written into them and don't say whether they have: ultrasound, secondary
    captures, photographs, endoscopy, films, pictures of screens, without a Burned In Annotation of NO."""
    patient_names: StrictBool = False
    """Name the patients (name and ID) under their images. The report names nobody by default."""
    paths: StrictBool = False
    """Name folders and files in report.html and report.json: they often say who a file is of. By default a file that failed
    is told by its row in catalog.parquet. The terminal names it in any case."""


class RunConfig(Section):
    """One run, described completely. Only `source` and `output.path` are required."""

    source: Source
    select: Select = Select()
    decode: Decode = Decode()
    output: Output
    metadata: Metadata = Metadata()
    cluster: Cluster = Cluster()
    limits: Limits = Limits()
    storage: Storage = Storage()
    report: Report = Report()


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
