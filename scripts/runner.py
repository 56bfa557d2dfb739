"""One runner for the campaigns and the benchmarks: each module of their folder is a command.

Such a module has a docstring, whose first line stands in the index and which is its help; ``options(parser)``, which adds
its options, those of :data:`COMMON` by :func:`common`; and ``main(given)``, which does the work and returns the exit code.
"""

from __future__ import annotations

import argparse
import ast
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).resolve().parent
REPOSITORY = SCRIPTS.parent
COMMON: dict[str, dict[str, Any]] = {
    "seed": {"type": int, "help": "the same seed makes the same inputs, moments and faults"},
    "rounds": {"type": int, "help": "how often all of it is done"},
    "workers": {"type": int, "help": "worker processes"},
    "copies": {"type": int, "help": "size of the input"},
    "timeout": {"type": float, "help": "seconds after which a run is ended"},
    "only": {"nargs": "+", "metavar": "TEXT", "help": "only the cases whose name holds one of these"},
    "keep": {"type": Path, "metavar": "FOLDER", "help": "a folder for what is found to be wrong"},
}
"""Options that several commands have, with the same name and the same meaning."""


def common(parser: argparse.ArgumentParser, **defaults: Any) -> None:
    """Add options of :data:`COMMON`, each with its default."""
    for name, default in defaults.items():
        shown = "" if default in (None, ()) else " (%(default)s)"
        known = COMMON[name] | {"help": COMMON[name]["help"] + shown}
        parser.add_argument(f"--{name}", default=default, **known)


def is_wanted(name: str, only: Sequence[str]) -> bool:
    """Return whether the option ``--only`` selects a case."""
    return not only or any(part in name for part in only)


def commands(package: str) -> dict[str, str]:
    """Return the commands of a package and the first line of each docstring."""
    paths = sorted(path for path in (SCRIPTS / package).glob("*.py") if not path.stem.startswith("_"))
    return {path.stem: _documentation(path).splitlines()[0] for path in paths}


def _documentation(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""


def parse(package: str, name: str, *arguments: str) -> argparse.Namespace:
    """Return the options of a command."""
    module = import_module(f"{package}.{name}")
    shown = f"scripts/{_script(package)} {name}"
    parser = argparse.ArgumentParser(
        shown, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    module.options(parser)
    return parser.parse_args(arguments)


def main(package: str, arguments: Sequence[str] | None = None, *, usual: str = "") -> int:
    """Run a command of a package; list them all if none is named, unless there is a `usual` one.

    Returns
    -------
    int
        The exit code.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if usual and (not given or given[0].startswith("-")):
        given.insert(0, usual)
    name, *rest = given or [""]
    known = commands(package)
    if name not in known:
        print(
            f"scripts/{_script(package)} NAME [OPTIONS], with --help for what it does and its options. NAME is one of"
        )
        print("".join(f"\n  {name:14}{line}" for name, line in known.items()))
        return 0 if name in {"", "list", "-h", "--help"} else 2
    work: Callable[[argparse.Namespace], int | None] = import_module(f"{package}.{name}").main
    return work(parse(package, name, *rest)) or 0


def _script(package: str) -> str:
    return {"campaigns": "campaign", "benches": "bench"}[package]


def command(package: str, name: str, *arguments: object) -> list[str]:
    """Return the command line of a command in a process of its own; see :func:`environment`."""
    return [sys.executable, "-m", package, name, *map(str, arguments)]


def environment(given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment of such a process: it finds the package, the commands, and what the tests share."""
    folders = (REPOSITORY, SCRIPTS, REPOSITORY / "tests")
    return {**given, "PYTHONPATH": os.pathsep.join(map(str, folders))}
