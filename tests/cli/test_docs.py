"""Every command and every option is documented."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from pipeline.cli import main

REPOSITORY = Path(__file__).resolve().parents[2]
OPTIONS = sorted(
    {
        (name, option)
        for name, command in main.commands.items()
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in parameter.opts
        if option.startswith("--") and option not in {"--verbose", "--quiet"}
    }
)


@pytest.fixture(scope="module")
def documentation() -> str:
    pages = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("**/*.md"))]
    return "\n".join(page.read_text("utf-8") for page in pages if page.is_file())


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_is_documented(documentation: str, command: str) -> None:
    assert f"dcm2zarr {command}" in documentation


@pytest.mark.parametrize("option", sorted({option for _, option in OPTIONS}))
def test_every_option_is_documented(documentation: str, option: str) -> None:
    assert option in documentation


def test_verbosity_and_exit_codes_are_documented(documentation: str) -> None:
    assert "-v" in documentation
    assert "-q" in documentation
    assert "xit code" in documentation
