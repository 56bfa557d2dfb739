"""The versions of software that made a result."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pipeline.config import RunConfig

PACKAGES = (
    *("dcm2zarr", "pydicom", "pylibjpeg", "pylibjpeg-openjpeg", "pylibjpeg-rle", "pillow", "imagecodecs"),
    *("numpy", "zarr", "numcodecs", "dask", "distributed", "pyarrow", "xxhash"),
)


def versions() -> dict[str, str]:
    """Return name → version of Python and of the packages involved."""
    found = {package: _version(package) for package in PACKAGES}
    return {"python": platform.python_version(), **{package: known for package, known in found.items() if known}}


@cache
def _version(package: str) -> str:
    """Return the installed version, empty if there is none; a look-up takes a millisecond."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def provenance(config: RunConfig) -> dict[str, Any]:
    """Return what every image records about its making: nothing that differs between two equal runs."""
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
