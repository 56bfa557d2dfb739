"""Scripts that start worker processes without ``if __name__ == "__main__":``, which each of these would run again."""

from __future__ import annotations

import ast
import sys
from multiprocessing import current_process
from pathlib import Path
from types import FrameType

from pipeline.errors import ConfigError

GUARD = 'In a script, what starts them has to stand under if __name__ == "__main__":'
_WORKER = "Dask Worker process (from Nanny)"
_CONDITIONS = (ast.If, ast.While, ast.Match)


def end_in_a_worker() -> None:
    """End quietly where a worker that is being started has imported the script, and with it what started the worker.

    Raises
    ------
    SystemExit
        Its parent finds that it didn't start, and says why.
    """
    process = current_process()
    # as multiprocessing itself knows that a process is importing the script
    if process.name == _WORKER and getattr(process, "_inheriting", False):
        raise SystemExit(1)


def refuse_without_guard() -> None:
    """Refuse to start worker processes for a statement that a script runs whoever imports it.

    Raises
    ------
    ConfigError
        Reason ``no_main_guard``. One that stands under any condition isn't refused: it may be left out in the workers.
    """
    script = sys.modules.get("__main__")
    file = getattr(script, "__file__", None)
    if file == "<stdin>":
        raise ConfigError(
            "worker processes import the script that starts them, and this one came through a pipe: save it as a file, or "
            'use cluster={"kind": "threads"}',
            reason="no_main_guard",
        )
    frame = _running(sys._getframe(), vars(script)) if script and file else None  # noqa: SLF001  documented
    if frame and _is_unconditional(Path(frame.f_code.co_filename), frame.f_lineno):
        raise ConfigError(
            f"{Path(str(file)).name}, line {frame.f_lineno}, starts worker processes, which import the script and would come "
            'to this line too: put it under if __name__ == "__main__":',
            reason="no_main_guard",
        )


def _running(frame: FrameType | None, names: dict[str, object]) -> FrameType | None:
    """Return the frame of the script itself, where it is what calls us."""
    while frame is not None and not (frame.f_globals is names and frame.f_code.co_name == "<module>"):
        frame = frame.f_back
    return frame


def _is_unconditional(file: Path, line: int) -> bool:
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):  # a notebook's cell, a command line, a frozen program
        return False
    around = (node for node in ast.walk(tree) if isinstance(node, _CONDITIONS))
    return not any(node.lineno <= line <= (node.end_lineno or line) for node in around)
