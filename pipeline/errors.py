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
"""A quotation mark whose partner isn't known: what it quotes holds such marks itself, or was cut."""
_LONGEST: Final = 200
_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]{8,}")


def foreign_text(error: BaseException) -> str:
    """Return the type and the text of an error that other code raised, without what it quotes: that may be a patient's.

    Of errors of ours, which quote no such thing, the whole text.
    """
    text = str(error) if isinstance(error, PipelineError) else _unquoted(without_addresses(str(error)))[:_LONGEST]
    return f"{type(error).__name__}: {text}".removesuffix(": ")


def without_addresses(text: str) -> str:
    """Return a text without the memory addresses that some libraries put into theirs, which differ in every run."""
    return _ADDRESS.sub("", text)


def _unquoted(text: str) -> str:
    told = _QUOTED.sub("…", text)
    return _OPENED.sub("…", text) if _STRAY.search(told) else told


FILES_FAILED, USAGE, SURROUNDINGS, FAULT = 1, 2, 3, 70
"""The commands' exit codes besides 0; ``docs/exit-codes.md`` has them all. The last is a fault of the program itself
(sysexits.h: EX_SOFTWARE)."""
EXIT_CODES = {
    # what was asked for can't be done: another command, or another configuration
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
    # what it was done in or with failed: mend that, and give the same command again
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
"""Reason of an error that ends a command → its exit code; all other reasons are those of files, and :data:`FILES_FAILED`."""


RETRIED = frozenset(
    {
        *("unreadable", "file_not_found", "source_changed", "no_range_requests"),
        *("timeout", "memory", "header_crashed", "worker_lost"),
        *("write_failed", "finalise_failed", "output_unusable", "not_converted"),
    }
)
"""Reasons of files that failed for something outside of them, which may be gone by now: the next run tries them again."""


class PipelineError(Exception):
    """Base of all errors here.

    Parameters
    ----------
    message : str
        For people: the file, the attribute, the value seen (of numbers and UIDs only) and what to do. What a terminal
        would obey, in the name of a file for example, is escaped; ends of lines too.
    reason : str, optional
        A snake_case code, where one more precise than the class's own applies.
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
        """What a command exits with that this error ends."""
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
    """A process may have no more of something: memory, open files, processes or threads."""

    reason = "out_of_memory"


class CredentialsError(ResourceError):
    """An object store refuses the caller's credentials, whatever is asked for: they are wrong, or have expired."""

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
    """The file's header holds, nests or inflates to more than the section ``limits`` of the configuration allows."""

    reason = "header_too_large"


class NoPixelDataError(PipelineError, AttributeError):
    """DICOM, but without Pixel Data, Float Pixel Data or Double Float Pixel Data."""

    reason = "no_pixel_data"


class MissingAttributeError(PipelineError, AttributeError):
    """An attribute that decoding needs isn't there."""

    reason = "missing_attribute"


class InvalidAttributeError(PipelineError, ValueError):
    """An attribute's value is outside what the standard allows, or absurd."""

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
    """All decoding plugins failed on a frame, or gave another frame than the attributes declare."""

    reason = "decode_failed"


class CodestreamError(PixelDataError, DecodeError):
    """What a frame's codestream says of itself contradicts the attributes: so it is, whichever decoder is asked."""

    reason = "frame_mismatch"


class CutShortError(CodestreamError):
    """A frame's codestream ends, or breaks, before its picture does: half a picture, whichever decoder makes it."""

    reason = DecodeError.reason
