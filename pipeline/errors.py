"""Every error that this package raises on purpose, each with a stable ``reason`` code.

The codes are what ``catalog.parquet`` holds in its ``reason`` column. An error is also the built-in type that
:func:`pydicom.pixels.iter_pixels` raises in the same place, so that code written for pydicom keeps working.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from pipeline.printable import printable

_QUOTED: Final = re.compile(r"""(?<!\w)b?(?:'[^']*'|"[^"]*")(?!\w)""")
_OPENED: Final = re.compile(r"""(?<!\w)b?['"].*""", re.DOTALL)
_STRAY: Final = re.compile(r"""(?<!\w)b?['"]|['"](?!\w)""")
"""A quotation mark without a partner: the quoted text holds such marks itself, or was cut."""
_LONGEST: Final = 200
_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]{8,}")


def foreign_text(error: BaseException) -> str:
    """Return the type and the text of an error of foreign code; quoted text becomes ``…``, as it may be a patient's.

    Our own errors don't quote such values, so their text stays whole.
    """
    text = str(error) if isinstance(error, PipelineError) else _unquoted(without_addresses(str(error)))[:_LONGEST]
    return f"{type(error).__name__}: {text}".removesuffix(": ")


def without_addresses(text: str) -> str:
    """Remove memory addresses, which differ in every run."""
    return _ADDRESS.sub("", text)


def _unquoted(text: str) -> str:
    unquoted = _QUOTED.sub("…", text)
    return _OPENED.sub("…", text) if _STRAY.search(unquoted) else unquoted


FILES_FAILED, USAGE, SURROUNDINGS, FAULT = 1, 2, 3, 70
"""Exit codes of the commands besides 0; ``docs/exit-codes.md`` lists all. ``FAULT`` is a bug in dcm2zarr (EX_SOFTWARE in sysexits.h)."""
EXIT_CODES = {
    # the request can't be fulfilled: change the command or the configuration
    "invalid_configuration": USAGE,
    "no_main_guard": USAGE,
    "no_such_source": USAGE,
    "file_not_found": USAGE,
    "plan_refused": USAGE,
    "not_a_folder": USAGE,
    "name_refused": USAGE,
    "foreign_folder": USAGE,
    "no_result": USAGE,
    "damaged_result": USAGE,
    "other_version": USAGE,
    "settings_changed": USAGE,
    "source_changed": USAGE,
    "no_partitions": USAGE,
    "no_such_partition": USAGE,
    "linked_entry": USAGE,
    "leads_outside": USAGE,
    "output_not_yours": USAGE,
    "plan_unusable": USAGE,
    "not_ours": USAGE,
    # the environment failed: repair it and give the same command again
    "in_use": SURROUNDINGS,
    "incomplete": SURROUNDINGS,
    "too_many_open_files": SURROUNDINGS,
    "too_many_processes": SURROUNDINGS,
    "out_of_memory": SURROUNDINGS,
    "credentials_refused": SURROUNDINGS,
    "disk_full": SURROUNDINGS,
    "no_permission": SURROUNDINGS,
    "read_only": SURROUNDINGS,
    "output_unusable": SURROUNDINGS,
    "originals_gone": SURROUNDINGS,
    "unreadable": SURROUNDINGS,
    "scheduler_unreachable": SURROUNDINGS,
    "scheduler_lost": SURROUNDINGS,
    "workers_failed": SURROUNDINGS,
    "workers_paused": SURROUNDINGS,
}
"""Reason of an error that ends a command → exit code. All other reasons concern single files and give :data:`FILES_FAILED`."""


RETRIED = frozenset(
    {
        *("unreadable", "file_not_found", "source_changed", "no_range_requests"),
        *("timeout", "memory", "header_crashed", "worker_lost"),
        *("write_failed", "finalise_failed", "output_unusable", "not_converted"),
    }
)
"""Reasons that lie outside the failed file and may have passed: the next run tries these files again."""


class PipelineError(Exception):
    """Base of all errors of this package.

    Parameters
    ----------
    message : str
        Text for people: the file, the attribute, the value (numbers and UIDs only) and what to do. Line ends and
        control characters, in a file's name for example, are escaped.
    reason : str, optional
        A snake_case code, if one more precise than the class's own applies.
    source : str, optional
        The path or URL of the file at fault.
    frame : int, optional
        The frame index (from 0) at fault.
    more : sequence of str
        Further lines of the message.
    """

    reason = "error"

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        source: str | None = None,
        frame: int | None = None,
        more: Sequence[str] = (),
    ) -> None:
        super().__init__("\n".join(printable(without_addresses(line)) for line in (message, *more)))
        self.reason = reason or type(self).reason
        self.source = source
        self.frame = frame

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep the keyword arguments when Dask carries the error between processes."""
        return _rebuild, (type(self), str(self), self.reason, self.source, self.frame)

    def __str__(self) -> str:
        return str(self.args[0])

    @property
    def exit_code(self) -> int:
        """Exit code of a command that ends with this error."""
        return EXIT_CODES.get(self.reason, FILES_FAILED)


def _rebuild(
    cls: type[PipelineError], message: str, reason: str, source: str | None, frame: int | None
) -> PipelineError:
    first, *more = message.split("\n")
    return cls(first, reason=reason, source=source, frame=frame, more=more)


class ConfigError(PipelineError, ValueError):
    """The configuration or the command line can't be used as given."""

    reason = "invalid_configuration"


class ClusterError(PipelineError, ConnectionError):
    """The Dask scheduler was lost while tasks were running."""

    reason = "scheduler_lost"


class OutputError(PipelineError, OSError):
    """The output directory can't be used, or can't be read as one."""

    reason = "output_unusable"


class ResourceError(PipelineError, RuntimeError):
    """A process has reached a limit of memory, open files, processes or threads."""

    reason = "out_of_memory"


class CredentialsError(ResourceError):
    """An object store refuses the caller's credentials for every request: they are wrong or have expired."""

    reason = "credentials_refused"


class PlanError(PipelineError, ValueError):
    """A plan that breaks a promise: two writers of a shard, or more memory than allowed."""

    reason = "plan_refused"


class SourceError(PipelineError, OSError):
    """A source that can't be read at all."""

    reason = "unreadable"


class NotDicomError(PipelineError, ValueError):
    """The file isn't DICOM."""

    reason = "not_dicom"


class HeaderLimitError(PipelineError, ValueError):
    """The file's header exceeds a limit of the configuration's section ``limits``: size, depth or inflated size."""

    reason = "header_too_large"


class NoPixelDataError(PipelineError, AttributeError):
    """DICOM, but without Pixel Data, Float Pixel Data or Double Float Pixel Data."""

    reason = "no_pixel_data"


class MissingAttributeError(PipelineError, AttributeError):
    """An attribute that decoding needs is missing."""

    reason = "missing_attribute"


class InvalidAttributeError(PipelineError, ValueError):
    """The standard forbids an attribute's value, or the value is absurd."""

    reason = "invalid_attribute"


class UnsupportedTransferSyntaxError(PipelineError, NotImplementedError):
    """No decoder for this transfer syntax."""

    reason = "unsupported_transfer_syntax"


class PixelDataError(PipelineError, ValueError):
    """The pixel data's bytes contradict the attributes: too short, broken items, missing frames."""

    reason = "damaged_pixel_data"


class FrameIndexError(PipelineError, IndexError):
    """A frame index outside the instance's frames."""

    reason = "frame_out_of_range"


class DecodeError(PipelineError, RuntimeError):
    """All decoding plugins failed on a frame, or returned a frame that contradicts the attributes."""

    reason = "decode_failed"


class CodestreamError(PixelDataError, DecodeError):
    """A frame's codestream header contradicts the attributes; no other decoder can change that."""

    reason = "frame_mismatch"


class CutShortError(CodestreamError):
    """A frame's codestream ends or breaks before its picture is complete; no other decoder can change that."""

    reason = DecodeError.reason
