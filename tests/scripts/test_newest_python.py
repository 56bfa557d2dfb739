"""Finding the newest Python, on machines that the test makes of stand-ins for interpreters and tools."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "newest-python"
TOOLS = ("bash", "dirname", "env", "id", "seq", "sort")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine with the tools that the script needs, and uv, which can install nothing."""
    for name in TOOLS:
        program(tmp_path / "bin" / name).unlink()
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    program(tmp_path / "bin" / "uv", "exit 1")
    return tmp_path


def program(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(("#!/bin/sh", *lines, "")), "utf-8")
    path.chmod(0o755)
    return path


def found(machine: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(machine / "bin"), "PYENV_ROOT": str(machine / "pyenv"), "HOME": os.devnull}
    return subprocess.run([SCRIPT], capture_output=True, text=True, check=False, env=environment, timeout=60)


def test_the_newest_of_path_and_pyenv(machine):
    program(machine / "bin" / "python3.14", "exit 1")  # pyenv's shim for a version that isn't chosen
    program(machine / "bin" / "python3.12")
    program(machine / "pyenv" / "versions" / "3.13.2" / "bin" / "python")
    wanted = program(machine / "pyenv" / "versions" / "3.13.11" / "bin" / "python")
    assert (found(machine).stdout.strip(), found(machine).returncode) == (str(wanted), 0)
    on_path = program(machine / "bin" / "python3.13")
    assert found(machine).stdout.strip() == str(on_path)


def test_what_uv_installs(machine):
    wanted = program(machine / "managed" / "python")
    program(machine / "bin" / "uv", f'[ "$2" = install ] && echo installing || echo "{wanted}"')
    assert (found(machine).stdout.strip(), found(machine).returncode) == (str(wanted), 0)


def test_without_one_it_fails(machine):
    program(machine / "bin" / "python3.11")
    program(machine / "bin" / "python3.13", "exit 1")
    told = found(machine)
    assert (told.returncode, told.stdout) == (1, "")
    assert "No Python newer than 3.11" in told.stderr
