"""The command ``dcm2zarr``, also as ``python -m dcm2zarr``."""

from __future__ import annotations

import sys

from dcm2zarr import _require_pipeline

USAGE = 2
"""The exit code of what the one who gives the command can mend; see :mod:`pipeline.errors`."""


def main() -> None:
    """Run the command; ends the process with its exit code."""
    try:
        _require_pipeline()
    except ImportError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(USAGE)
    from pipeline.cli import main as command  # noqa: PLC0415  now it is ours

    command(prog_name="dcm2zarr")


if __name__ == "__main__":
    main()
