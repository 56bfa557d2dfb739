"""Parts of a job's script that protect its workers from other users of the node, and from the folder in which it starts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

SCRATCH = "DCM2ZARR_SCRATCH"
"""Variable of a job with the folder for data that workers spill to disk."""


def private_to_user(given: Callable[[str], Any]) -> Mapping[str, Any]:
    """Return arguments for dask-jobqueue's class: a search path without the current folder, and a private scratch folder.

    Parameters
    ----------
    given : callable
        Returns the configuration's value of an argument of that class, or else Dask's.
    """
    folder = given("local-directory")
    made = f"mkdir -p {folder} && mktemp -d {folder}/" if folder else "mktemp -d -t "
    return {
        "python": f"{given('python') or sys.executable} -P",
        # backquotes, because HTCondor interprets $(; other users of the node can't read folders of mktemp
        "job_script_prologue": [
            *(given("job-script-prologue") or given("env-extra") or ()),
            f"{SCRATCH}=`{made}dcm2zarr-XXXXXXXX` || exit 1",
            f"trap 'rm -rf \"${SCRATCH}\"' EXIT",
        ],
        "local_directory": f'"${SCRATCH}"',
    }


def without_web_server(arguments: Sequence[str]) -> list[str]:
    """Return arguments of ``dask worker`` that disable its dashboard, unless the arguments already configure it.

    The remaining server, on loopback, only shows the number of tasks.
    """
    configured = any(argument.startswith(("--dashboard", "--no-dashboard")) for argument in arguments)
    return [*arguments, *(() if configured else ("--no-dashboard", "--dashboard-address", "127.0.0.1:0"))]
