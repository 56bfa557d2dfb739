"""The runner of campaigns and benchmarks: each can be started, and stands in its folder's index."""

from __future__ import annotations

import pytest

import runner

COMMANDS = [(package, name) for package in ("campaigns", "benches") for name in runner.commands(package)]


def test_there_are_commands() -> None:
    assert {("campaigns", "kill"), ("campaigns", "growth"), ("benches", "conversion")} <= set(COMMANDS)


@pytest.mark.parametrize(("package", "name"), COMMANDS, ids=[name for _, name in COMMANDS])
def test_each_has_help_and_stands_in_the_index(package: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        runner.main(package, [name, "--help"])
    assert ended.value.code == 0
    line = runner.commands(package)[name]
    assert line in capsys.readouterr().out
    assert f"| `{name}` | {line} |" in (runner.SCRIPTS / package / "README.md").read_text("utf-8")


def test_without_a_name_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main("campaigns", []) == 0
    told = capsys.readouterr().out
    assert all(line in told for line in runner.commands("campaigns").values())
    assert runner.main("campaigns", ["nosuch"]) == 2


def test_an_option_without_a_name_goes_to_the_usual_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        runner.main("benches", ["--help"], usual="conversion")
    assert "usage: scripts/bench conversion" in capsys.readouterr().out


def test_common_options_have_the_defaults_of_the_command() -> None:
    given = runner.parse("campaigns", "kill", "--seed", "28")
    assert (given.seed, given.copies, given.keep, given.kills) == (28, 12, None, 200)
    assert runner.is_wanted("2 jobs, 1 killed", ["killed", "array"])
    assert not runner.is_wanted("2 jobs, 1 killed", ["array"])
