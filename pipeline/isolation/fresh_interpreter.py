"""A function in a fresh Python interpreter: nothing of this process, its threads or its damaged heap goes with it.

Dask's workers are daemonic processes, which :mod:`multiprocessing` doesn't let have children; a fresh interpreter may.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from pipeline.isolation.safe_path import VARIABLE
from pipeline.storage import active, using

T = TypeVar("T")
_START = "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); from {} import main; main()"
"""It looks for modules where this process does; until it knows where that is, in Python's own folders."""
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""What it starts can then be forks of it."""


def call_fresh(function: Callable[..., T], *arguments: Any) -> T:
    """Return ``function(*arguments)``, called in a fresh interpreter with the same options of storage.

    Both must be picklable.

    Raises
    ------
    RuntimeError
        Where the interpreter died.
    Exception
        What the function raises.
    """
    process = subprocess.run(  # noqa: S603  our own module
        [sys.executable, "-c", _START.format(__name__)],
        input=pickle.dumps(sys.path) + pickle.dumps((function, arguments, active())),
        stdout=subprocess.PIPE,
        env={**os.environ, **_ONE_THREAD, VARIABLE: "1"},
        check=False,
    )
    if not process.stdout:
        raise RuntimeError(f"A fresh interpreter ended with status {process.returncode} and without a result")
    # both ends are this package in one environment, and the pipe is theirs alone
    error, result = pickle.loads(process.stdout)  # noqa: S301  # nosec B301
    if error is not None:
        raise error
    return result  # type: ignore[no-any-return]


def main() -> None:
    """Be that interpreter."""
    with os.fdopen(os.dup(1), "wb") as answer:
        os.dup2(2, 1)  # whatever a decoder prints must not pass for the answer
        function, arguments, options = pickle.load(sys.stdin.buffer)  # noqa: S301  see above  # nosec B301
        with using(options):
            pickle.dump(_outcome(function, arguments), answer)


def _outcome(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Exception | None, Any]:
    try:
        return None, function(*arguments)
    except Exception as error:  # noqa: BLE001  raised again where it was called
        return error, None
