"""What a path is, by what lies there: a DICOM file, files to be converted, or the output of a conversion."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.errors import ConfigError
from pipeline.executors import Progress
from pipeline.inspection.file_inspection import FileInspection, inspect_file
from pipeline.inspection.folder_inspection import FolderInspection, inspect_folder
from pipeline.inspection.output_inspection import OutputInspection, inspect_output, is_output
from pipeline.storage import WEB, OutputDir, check_url, is_remote, place, scheme_of

Inspection = FileInspection | FolderInspection | OutputInspection


def inspect(path: str | os.PathLike[str], *, progress: Progress | None = None) -> Inspection:
    """Look at what lies at a path or URL.

    Returns
    -------
    FileInspection, FolderInspection or OutputInspection
        Of a DICOM file; of a folder, a prefix or a DICOMDIR; of an output directory.

    Raises
    ------
    ConfigError
        If `path` doesn't exist.
    PipelineError
        If it can't be opened. What is wrong with a file's content is told by the value returned.
    """
    given = os.fspath(path)
    if is_remote(given):
        return _inspect_remote(given, progress)
    local = Path(given).expanduser()
    if not local.exists():
        raise ConfigError(f"{given}: no such file or folder")
    if is_output(OutputDir(str(local))):
        return inspect_output(OutputDir(str(local)))
    if local.is_dir() or local.name.upper() == "DICOMDIR":
        return inspect_folder(str(local), progress)
    return inspect_file(str(local))


def _inspect_remote(url: str, progress: Progress | None) -> Inspection:
    url = check_url(url).rstrip("/")
    if scheme_of(url) in WEB or place(url).exists():
        return inspect_file(url)
    return inspect_output(OutputDir(url)) if is_output(OutputDir(url)) else inspect_folder(url, progress)
