"""``dcm2zarr inspect``: describe a file, a folder or an output directory."""

from pathlib import Path

from pipeline.cli.inspecting.file import inspect_file
from pipeline.cli.inspecting.folder import inspect_folder
from pipeline.cli.inspecting.output import inspect_output, is_output
from pipeline.cli.screen import Screen
from pipeline.errors import ConfigError
from pipeline.storage import WEB, OutputDir, check_url, is_remote, place, scheme_of


def inspect(screen: Screen, path: str) -> int:
    """Describe `path`, and return the exit code: 1 if something in it failed or would fail.

    Raises
    ------
    ConfigError
        If `path` doesn't exist.
    """
    if is_remote(path):
        return _inspect_remote(screen, path)
    local = Path(path).expanduser()
    if not local.exists():
        raise ConfigError(f"{path}: no such file or folder")
    if is_output(OutputDir(str(local))):
        return inspect_output(screen, OutputDir(str(local)))
    if local.is_dir() or local.name.upper() == "DICOMDIR":
        return inspect_folder(screen, str(local))
    return inspect_file(screen, str(local))


def _inspect_remote(screen: Screen, url: str) -> int:
    url = check_url(url).rstrip("/")
    if scheme_of(url) in WEB or place(url).exists():
        return inspect_file(screen, url)
    return inspect_output(screen, OutputDir(url)) if is_output(OutputDir(url)) else inspect_folder(screen, url)


__all__ = ["inspect"]
