"""The output directory: made, or emptied when asked, before anything is written to it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pipeline.catalog import OURS, has_plan, remove_plan
from pipeline.errors import ConfigError, OutputError
from pipeline.storage import WEB, Place, RemotePlace, absolute, is_remote, linked, scheme_of, unwritable
from pipeline.store import UNFINISHED

_TEMPORARY = re.compile(rf"\.({'|'.join(map(re.escape, OURS))})\..*part")
"""What a file is written as before it takes its name."""


def begin(out: Place, *, overwrite: bool) -> None:
    """Make `out` ready for a run that goes on from what is there, or from nothing.

    Raises
    ------
    OutputError
        Where it holds anything that isn't ours, or a result whose plan is gone; where an entry of it is a link (reason
        ``linked_entry``); or where it can't be written.
    """
    try:
        refuse_links(out)
        _sweep(out)
        refuse_foreign(out)
        if not overwrite and not has_plan(str(out)) and (out / "catalog.parquet").exists():
            raise OutputError(
                f"{out} holds a result whose plan is gone, so that nothing can be added to it: choose another output "
                "directory, or replace it with --overwrite",
                reason="damaged_result",
            )
        if overwrite or not has_plan(str(out)):
            _clear(out, everything=overwrite)
    except OSError as error:
        raise unwritable(str(out), error, "can't be used as output directory") from error


def no_result(out: str, told: str) -> OutputError:
    """Return the error of a command that needs a result where there is none."""
    missing = not is_remote(out) and not Path(out).exists()
    return OutputError(f"{out}: {'there is no such folder' if missing else told}", reason="no_result")


def _file_on_the_way(out: Place) -> str:
    """Return the output itself, or what is above it, where that is a file; else an empty text."""
    if isinstance(out, RemotePlace):
        return str(out) if out.exists() else ""
    path = Path(str(out))
    return next((str(one) for one in (path, *path.parents) if one.is_file()), "")


def refuse_foreign(out: Place) -> None:
    """Refuse an output that is a file, or a folder with anything in it that no run has left there.

    Raises
    ------
    OutputError
        Naming what is there (reasons ``not_a_folder`` and ``foreign_folder``).
    """
    try:
        file, names = _file_on_the_way(out), out.children()
    except OSError as error:
        raise unwritable(str(out), error, "can't be used as output directory") from error
    if file:
        raise OutputError(f"{out} can't be the output directory: {file} is a file", reason="not_a_folder")
    foreign = [name for name in names if name not in OURS and not _TEMPORARY.fullmatch(name)]
    if foreign:
        raise OutputError(
            f"{out} holds {foreign[0]!r}, which isn't part of a result of dcm2zarr: choose another output directory",
            reason="foreign_folder",
        )


def _sweep(out: Place) -> None:
    """Remove the temporary files that a dead run left on a disk: nothing else is written here now."""
    if isinstance(out, RemotePlace):  # objects appear whole, under their own name
        return
    for name in out.children():
        if _TEMPORARY.fullmatch(name):
            (out / name).remove()
    for name in ("plan", "images.zarr"):
        for left in (one for one in (out / name).walk() if one.endswith(UNFINISHED)):
            (out / name / left).remove()


def refuse_links(out: Place) -> None:
    """Refuse an output directory with a link where a file or a folder of ours should be.

    Of what lies deeper, links are refused where they are come upon.

    Raises
    ------
    OutputError
        Naming it, reason ``linked_entry``.
    """
    if isinstance(out, RemotePlace):  # there are none
        return
    below = (f"{name}/{one}" for name in ("plan", "ledger") for one in (out / name).children())
    for name in (*OURS, *below):
        if os.path.islink(str(out / name)):  # noqa: PTH114  of any text
            raise linked(str(out / name))


def _clear(out: Place, *, everything: bool) -> None:
    """Remove a result, or what a run left that died before it had a plan (but what it has scanned).

    The plan goes first and the catalog last: whatever is left when this is interrupted isn't taken for a result.
    """
    remove_plan(str(out))
    for name in (name for name in OURS if name != "catalog.parquet"):
        if name == "ledger":
            for segment in (out / name).children():
                if segment.endswith(".jsonl"):
                    (out / name / segment).remove()
        elif name != "plan" or everything:
            (out / name).remove()
    (out / "catalog.parquet").remove()


def inside(out: Place) -> tuple[str, ...]:
    """Return what the names of files in the output directory begin with; it may lie in a folder that is converted."""
    return f"{out}{os.sep}", f"{out}/"


def check_places(paths: tuple[str, ...], out: Place) -> None:
    """Refuse an output that can't be one, and sources inside of it.

    Raises
    ------
    ConfigError, OutputError
        Naming the path.
    """
    if scheme_of(str(out)) in WEB:
        raise ConfigError(
            f"output.path: {out}: a web server can't be written to; use a folder, or s3://, gs:// or az://"
        )
    refuse_foreign(out)
    for path in paths:
        if absolute(path) == str(out):
            raise ConfigError(f"source.paths: {path} is the output directory too: choose another output directory")
        if f"{absolute(path)}/".startswith(inside(out)):
            raise ConfigError(
                f"source.paths: {path} lies in the output directory {out}: choose another output directory"
            )
