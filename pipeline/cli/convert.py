"""The commands convert, run, resume and plan: make the configuration from the options, run it, print the outcome."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.markup import escape

from pipeline import runs
from pipeline.cli.end_of_run import show_summary
from pipeline.cli.plan_view import show_plan
from pipeline.cli.screen import Screen
from pipeline.cli.terminal_progress import show_progress
from pipeline.config import RunConfig, from_dict
from pipeline.errors import ConfigError, OutputError
from pipeline.inspection import plan_conversion
from pipeline.output import refuse_links
from pipeline.runs import cluster_line, find_doubt, read_kept_configuration
from pipeline.storage import OutputDir

_HOST_AND_PORT = re.compile(r"[\w.-]+:[0-9]+")


def run(screen: Screen, config: RunConfig, *, overwrite: bool, trusting: bool = False) -> int:
    """Convert, print the summary, and return the exit code."""
    with show_progress(screen) as progress:
        summary = runs.run(config, overwrite=overwrite, trusting=trusting, progress=progress)
    show_summary(screen, summary)
    return summary.exit_code


def resume(screen: Screen, out: str, settings: Sequence[str], *, trusting: bool) -> int:
    """Go on with the run that left `out`, and return the exit code.

    Raises
    ------
    ConfigError
        If the configuration in `out` is missing or invalid.
    OutputError
        If others could have written that configuration.
    """
    at = OutputDir.of(out)
    refuse_links(at)
    config, _ = read_kept_configuration(at, settings, trusting=trusting)
    if not find_doubt(at):
        screen.show(escape(cluster_line(config.cluster)))
    return run(screen, config, overwrite=False, trusting=trusting)


def plan(screen: Screen, config: RunConfig) -> int:
    """Print what a conversion would do, and return the exit code: 1 if some files would fail."""
    with show_progress(screen) as progress:
        planned = plan_conversion(config, progress=progress)
    return show_plan(screen, planned)


def split_arguments(paths: Sequence[str]) -> tuple[Sequence[str], str]:
    """Divide the arguments of ``dcm2zarr convert`` into sources and output; ConfigError if an argument is missing."""
    if len(paths) > 1:
        return paths[:-1], paths[-1]
    if not paths:
        raise ConfigError("the sources and the output directory are missing: dcm2zarr convert SRC... OUT")
    raise ConfigError(f"the output directory, the last argument, is missing: dcm2zarr convert {paths[0]} OUT")


@contextmanager
def ask_for_output(out: str) -> Iterator[None]:
    """Ask whether the output directory was forgotten, if the last argument can't be one."""
    try:
        yield
    except OutputError as error:
        if error.reason not in {"not_a_folder", "foreign_folder"}:
            raise
        message = f"{error}. The last argument, {out}, is the output directory: did you forget to give one?"
        raise OutputError(message, reason=error.reason) from error


def configuration(sources: Sequence[str], out: str, given: Mapping[str, Any]) -> RunConfig:
    """Return the configuration that the options of ``dcm2zarr convert`` describe.

    Raises
    ------
    ConfigError
        For invalid values.
    """
    values: dict[str, Any] = {
        "source": {"paths": list(sources)},
        "select": _present(where=_where(given["where"]), frames=_frames(given["frames"])),
        "decode": _present(raw=given["raw"] or None, plugin=given["plugin"]),
        "output": {"path": out} | _present(grouping=given["grouping"], shard=given["shard"]),
        "metadata": _present(keywords=list(given["keyword"])),
        "cluster": cluster(given["cluster"], given["workers"]),
    }
    return from_dict(values, overrides=given["settings"], name="dcm2zarr convert")


def _present(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, [], {})}


def _where(given: Sequence[str]) -> dict[str, list[str]]:
    """Return ``KEYWORD=VALUE`` options as a mapping; if a keyword is given twice, either value matches."""
    where: dict[str, list[str]] = {}
    for text in given:
        keyword, equals, value = text.partition("=")
        if not equals or not keyword.strip():
            raise ConfigError(f"--where {text}: expected KEYWORD=VALUE, such as Modality=CT")
        where.setdefault(keyword.strip(), []).append(value)
    return where


def _frames(text: str | None) -> str | list[int | str | None] | None:
    return text if text is None or ":" in text else [_integer(part) for part in text.split(",")]


def _integer(text: str | None) -> int | str | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        return text  # the configuration's own check reports it


def cluster(kind: str | None, workers: str | None) -> dict[str, Any]:
    """Return the configuration's section ``cluster`` that ``--cluster`` and ``--workers`` describe."""
    given: dict[str, Any] = {}
    if kind is not None:
        address = f"tcp://{kind}" if _HOST_AND_PORT.fullmatch(kind) else kind
        given = {"kind": "address", "address": address} if "://" in address else {"kind": kind}
    return given | _present(workers=_integer(workers))
