"""Detection of scripts that start worker processes without ``if __name__ == "__main__":``, so that workers rerun them."""

from __future__ import annotations

import ast
import sys
from multiprocessing import current_process
from pathlib import Path
from types import FrameType

from pipeline.errors import ConfigError

GUARD = 'In a script, put the statement that starts them under if __name__ == "__main__":'
_WORKER = "Dask Worker process (from Nanny)"
_CONDITIONS = (ast.If, ast.While, ast.Match)


def end_in_a_worker() -> None:
    """End a starting worker quietly if its import of the script would start the run again.

    Raises
    ------
    SystemExit
        In such a worker; its parent notices that it didn't start, and reports why.
    """
    process = current_process()
    # multiprocessing sets this attribute while a process imports the script
    if process.name == _WORKER and getattr(process, "_inheriting", False):
        raise SystemExit(1)


def refuse_without_guard() -> None:
    """Refuse to start worker processes for a statement that every import of the script would run again.

    Raises
    ------
    ConfigError
        For an unconditional statement, reason ``no_main_guard``. A statement under any condition is accepted, because the
        condition may be false in workers.
    """
    script = sys.modules.get("__main__")
    file = getattr(script, "__file__", None)
    if file == "<stdin>":
        raise ConfigError(
            "worker processes import the script that starts them, but this script came through a pipe: save it as a file, "
            'or use cluster={"kind": "threads"}',
            reason="no_main_guard",
        )
    frame = _running(sys._getframe(), vars(script)) if script and file else None  # noqa: SLF001  documented
    if frame and _is_unconditional(Path(frame.f_code.co_filename), frame.f_lineno):
        raise ConfigError(
            f"{Path(str(file)).name}, line {frame.f_lineno}, starts worker processes, which import the script and would run "
            'this line again: put it under if __name__ == "__main__":',
            reason="no_main_guard",
        )


def _running(frame: FrameType | None, names: dict[str, object]) -> FrameType | None:
    """Return the script's own frame if the script has called us; else None."""
    while frame is not None and not (frame.f_globals is names and frame.f_code.co_name == "<module>"):
        frame = frame.f_back
    return frame


def _is_unconditional(file: Path, line: int) -> bool:
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):  # a notebook's cell, a command line, a frozen program
        return False
    conditions = (node for node in ast.walk(tree) if isinstance(node, _CONDITIONS))
    return not any(node.lineno <= line <= (node.end_lineno or line) for node in conditions)
