"""``dcm2zarr inspect``: what a path is, by what lies there."""

from pathlib import Path

from pipeline.cli.inspecting.file import inspect_file
from pipeline.cli.inspecting.folder import inspect_folder
from pipeline.cli.inspecting.output import inspect_output, is_output
from pipeline.cli.screen import Screen
from pipeline.errors import ConfigError


def inspect(screen: Screen, path: str) -> int:
    """Print what `path` is, and return the exit code: 1 where something in it failed or would fail.

    Raises
    ------
    ConfigError
        Where nothing is there.
    """
    place = Path(path).expanduser()
    if not place.exists():
        raise ConfigError(f"{path}: nothing is there")
    if is_output(place):
        return inspect_output(screen, place)
    if place.is_dir() or place.name.upper() == "DICOMDIR":
        return inspect_folder(screen, place)
    return inspect_file(screen, place)


__all__ = ["inspect"]
