"""What a job's script does so that other users of a node, and the folder that it starts in, have no say in its workers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

SCRATCH = "DCM2ZARR_SCRATCH"
"""The variable of a job that names its folder for what workers spill."""


def private_to_user(given: Callable[[str], Any]) -> Mapping[str, Any]:
    """Return arguments of dask-jobqueue's class: a search path without the current folder, and a folder for scratch.

    Parameters
    ----------
    given : callable
        What the configuration says of an argument of that class, or else Dask's own.
    """
    folder = given("local-directory")
    made = f"mkdir -p {folder} && mktemp -d {folder}/" if folder else "mktemp -d -t "
    return {
        "python": f"{given('python') or sys.executable} -P",
        # backquotes, since HTCondor takes $( for its own; a node's other users can't look into what mktemp makes
        "job_script_prologue": [
            *(given("job-script-prologue") or given("env-extra") or ()),
            f"{SCRATCH}=`{made}dcm2zarr-XXXXXXXX` || exit 1",
            f"trap 'rm -rf \"${SCRATCH}\"' EXIT",
        ],
        "local_directory": f'"${SCRATCH}"',
    }


def without_web_server(arguments: Sequence[str]) -> list[str]:
    """Return arguments of ``dask worker`` with which none is seen by others, unless they say something of it.

    What is left of it, on loopback, tells how many tasks there were and nothing of them.
    """
    told = any(argument.startswith(("--dashboard", "--no-dashboard")) for argument in arguments)
    return [*arguments, *(() if told else ("--no-dashboard", "--dashboard-address", "127.0.0.1:0"))]
