"""Which versions made a result."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pipeline.config import RunConfig

PACKAGES = (
    *("dcm2zarr", "pydicom", "pylibjpeg", "pylibjpeg-openjpeg", "pylibjpeg-rle", "pillow", "imagecodecs"),
    *("numpy", "zarr", "numcodecs", "dask", "distributed", "pyarrow", "xxhash"),
)


def versions() -> dict[str, str]:
    """Return name → version of Python and of the packages that take part."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def provenance(config: RunConfig) -> dict[str, Any]:
    """Return what every image says of its making: nothing that differs between two equal runs."""
    made = versions()
    return {
        "provenance": {
            "software": "dcm2zarr",
            "versions": {name: made[name] for name in ("dcm2zarr", "pydicom", "zarr")},
            "decode": {
                "raw": config.decode.raw,
                "plugin": config.decode.plugin,
                "options": dict(config.decode.options),
            },
            "frames": config.select.frames,
        }
    }
