"""Check the output directory, and make or empty it, before anything is written to it."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.catalog import has_plan, remove_plan
from pipeline.errors import ConfigError, OutputError
from pipeline.storage import UNFINISHED, WEB, OutputDir, absolute, as_place_error, link_error, scheme_of


def begin(out: OutputDir, *, overwrite: bool) -> None:
    """Prepare `out` for a run that goes on from its content, or starts with nothing.

    Raises
    ------
    OutputError
        If `out` holds foreign entries, or a result without its plan; if an entry is a link (reason ``linked_entry``);
        or if `out` can't be written.
    """
    try:
        refuse_links(out)
        _sweep(out)
        refuse_foreign(out)
        if not overwrite and not has_plan(out) and out.catalog.exists():
            raise OutputError(
                f"{out} holds a result whose plan is gone, so that nothing can be added to it: choose another output "
                "directory, or replace it with --overwrite",
                reason="damaged_result",
            )
        if overwrite or not has_plan(out):
            _clear(out, everything=overwrite)
    except OSError as error:
        raise as_place_error(out.name, error, "can't be used as output directory") from error


def no_result_error(out: OutputDir, problem: str) -> OutputError:
    """Return the error for a command that needs a result, if there is none."""
    missing = not out.is_remote and not Path(out.name).exists()
    return OutputError(f"{out}: {'there is no such folder' if missing else problem}", reason="no_result")


def _file_on_the_way(out: OutputDir) -> str:
    """Return the path of the output, or of a folder above it, if that is a file; else an empty text."""
    if out.is_remote:
        return out.name if out.root.exists() else ""
    path = Path(out)
    return next((str(above) for above in (path, *path.parents) if above.is_file()), "")


def refuse_foreign(out: OutputDir) -> None:
    """Refuse an output that is a file, or a folder with an entry that no run has left there.

    Raises
    ------
    OutputError
        With the name of that entry (reasons ``not_a_folder`` and ``foreign_folder``).
    """
    try:
        file, names = _file_on_the_way(out), out.root.children()
    except OSError as error:
        raise as_place_error(out.name, error, "can't be used as output directory") from error
    if file:
        raise OutputError(f"{out} can't be the output directory: {file} is a file", reason="not_a_folder")
    foreign = [name for name in names if name not in out.OURS and not out.is_temporary(name)]
    if foreign:
        raise OutputError(
            f"{out} holds {foreign[0]!r}, which isn't part of a result of dcm2zarr: choose another output directory",
            reason="foreign_folder",
        )


def _sweep(out: OutputDir) -> None:
    """Remove the temporary files that a dead run left on a disk; the caller holds the lock, so no run is writing."""
    if out.is_remote:  # objects appear whole, under their own name
        return
    for name in out.root.children():
        if out.is_temporary(name):
            out.at(name).remove()
    for folder in (out.plan, out.images()):
        for left in (name for name in folder.walk() if name.endswith(UNFINISHED)):
            (folder / left).remove()


def refuse_links(out: OutputDir) -> None:
    """Refuse an output directory with a link in place of a file or a folder of ours.

    Links deeper down are refused when they are opened.

    Raises
    ------
    OutputError
        With the name of the link, reason ``linked_entry``.
    """
    if out.is_remote:  # object stores have no links
        return
    below = (folder / one for folder in (out.plan, out.ledger) for one in folder.children())
    for entry in map(str, (*map(out.at, out.OURS), *below)):
        if os.path.islink(entry):  # noqa: PTH114  of any text
            raise link_error(entry)


def _clear(out: OutputDir, *, everything: bool) -> None:
    """Remove a result, or the remains of a run that died before it had a plan, except its scan.

    The plan is removed first and the catalog last, so that after an interruption the remains aren't taken for a result.
    """
    remove_plan(out)
    for name in (name for name in out.OURS if name != out.CATALOG):
        if name == out.LEDGER:
            for segment in out.ledger_files():
                segment.remove()
        elif name != out.PLAN or everything:
            out.at(name).remove()
    out.catalog.remove()


def name_prefixes(out: OutputDir) -> tuple[str, ...]:
    """Return the prefixes of all paths in the output directory, which may lie in a folder that is converted."""
    return f"{out}{os.sep}", f"{out}/"


def check_places(paths: tuple[str, ...], out: OutputDir) -> None:
    """Refuse an unusable output, and sources inside of it.

    Raises
    ------
    ConfigError, OutputError
        With the path.
    """
    if scheme_of(out.name) in WEB:
        raise ConfigError(
            f"output.path: {out}: a web server can't be written to; use a folder, or s3://, gs:// or az://"
        )
    refuse_foreign(out)
    for path in paths:
        if absolute(path) == out.name:
            raise ConfigError(f"source.paths: {path} is the output directory too: choose another output directory")
        if f"{absolute(path)}/".startswith(name_prefixes(out)):
            raise ConfigError(
                f"source.paths: {path} lies in the output directory {out}: choose another output directory"
            )
