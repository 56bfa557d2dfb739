"""Calls in a fresh Python interpreter, which inherits neither threads nor a damaged heap from this process.

Dask's workers are daemonic processes, to which :mod:`multiprocessing` refuses children; a fresh interpreter may have them.
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
"""Program of the interpreter: it takes over this process's search path before it imports anything outside of Python itself."""
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""Environment without further threads, so that the interpreter can fork its children."""


def call_fresh(function: Callable[..., T], *arguments: Any) -> T:
    """Return ``function(*arguments)``, called in a fresh interpreter with the current storage options.

    The function, its arguments and its result must be picklable.

    Raises
    ------
    RuntimeError
        If the interpreter died.
    Exception
        Any exception of the function.
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
    # both ends are this package in the same environment, and nobody else has the pipe
    error, result = pickle.loads(process.stdout)  # noqa: S301  # nosec B301
    if error is not None:
        raise error
    return result  # type: ignore[no-any-return]


def main() -> None:
    """Entry point of the child interpreter."""
    with os.fdopen(os.dup(1), "wb") as answer:
        os.dup2(2, 1)  # output of a decoder must not mix with the answer
        function, arguments, options = pickle.load(sys.stdin.buffer)  # noqa: S301  see above  # nosec B301
        with using(options):
            pickle.dump(_outcome(function, arguments), answer)


def _outcome(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Exception | None, Any]:
    try:
        return None, function(*arguments)
    except Exception as error:  # noqa: BLE001  raised again in the calling process
        return error, None
