"""The command ``dcm2zarr``: arguments, progress, summaries and exit codes."""

from pipeline.cli.commands import main

__all__ = ["main"]
