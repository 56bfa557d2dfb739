"""Arguments, exit codes, and what becomes of errors; the run itself is replaced only to make it fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipeline import runs
from pipeline.cli import main
from pipeline.config import RunConfig, schema
from pipeline.errors import OutputError, PlanError
from pipeline.report import RunSummary

NOW = datetime(2026, 11, 24, tzinfo=UTC)
COMMANDS = sorted(main.commands)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, env={"COLUMNS": "150"})


def outcome(**counts: int) -> RunSummary:
    statuses = {(status, "" if status == "converted" else "decode_failed"): number for status, number in counts.items()}
    return RunSummary(out="/out", started=NOW, finished=NOW, status_counts=statuses)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[RunConfig, bool]]:
    """Replace the run by one that takes notes."""
    calls: list[tuple[RunConfig, bool]] = []

    def run(config: RunConfig, *, overwrite: bool, trusting: bool, progress: runs.Progress) -> RunSummary:
        assert not trusting
        progress.phase("scan", 3)
        calls.append((config, overwrite))
        return outcome(converted=3)

    monkeypatch.setattr(runs, "run", run)
    return calls


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def run(*_args: object, **_options: object) -> RunSummary:
        raise error

    monkeypatch.setattr(runs, "run", run)


def test_help_does_not_wait_for_dask() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "pipeline.cli", "--help"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Usage: ")
    assert not [line for line in done.stderr.splitlines() if line.split("|")[-1].strip() in {"dask", "zarr", "pydicom"}]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_verbosity_and_tells_the_exit_codes(command: str) -> None:
    result = invoke(command, "--help")
    assert result.exit_code == 0
    for told in ("--verbose", "--quiet", "-v", "-q", "Exit codes: 0 nothing", "130 and 143"):
        assert told in result.output


def test_version_and_schema() -> None:
    assert invoke("--version").output.strip() == f"dcm2zarr, version {version('dcm2zarr')}"
    assert json.loads(invoke("schema").output) == schema()


@pytest.mark.parametrize(
    "arguments",
    [
        ["convert", "only-one"],
        ["convert"],
        ["run"],
        ["bogus"],
        ["convert", "a", "b", "--bogus"],
        ["schema", "-v", "-q"],
        ["run", "nowhere.yaml"],
        ["plan", "nowhere.yaml"],
        ["inspect", "nowhere"],
        ["convert", "a", "b", "--where", "Modality"],
        ["convert", "a", "b", "--set", "x"],
        ["convert", "a", "b", "--set", "outptu.path=c"],
        ["convert", "a", "b", "--grouping", "study"],
        ["convert", "a", "b", "--workers", "many"],
        ["convert", "a", "b", "--frames", "1-2"],
        ["convert", "a", "b", "--frames", "1,x"],
        ["convert", "a", "b", "--shard", "big"],
        ["convert", "a", "b", "--cluster", "thread"],
        ["convert", "", "b"],
    ],
    ids=" ".join,
)
def test_bad_usage_is_exit_code_2(arguments: list[str]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert "rror: " in result.stderr
    assert "Traceback" not in result.output


def test_options_become_a_configuration(
    ran: list[tuple[RunConfig, bool]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = "--grouping instance --workers 3 --cluster threads --raw --plugin pylibjpeg --shard 1MiB --frames 0,-1"
    where = "--where Modality=CT --where Modality=MR --where StudyID=007 --keyword KVP --keyword Exposure --overwrite"
    setting = "--set output.codec.clevel=7 --set limits.frame=5kB"
    assert invoke("convert", "a", "b/*.dcm", "out", *f"{options} {where} {setting}".split()).exit_code == 0
    ((config, overwrite),) = ran
    assert config.source.paths == (str(tmp_path / "a"), str(tmp_path / "b/*.dcm"))
    assert config.output.path == str(tmp_path / "out")
    assert (config.output.grouping, config.output.shard, config.output.codec["clevel"]) == ("instance", 2**20, 7)
    assert (config.cluster.kind, config.cluster.workers) == ("threads", 3)
    assert (config.decode.raw, config.decode.plugin) == (True, "pylibjpeg")
    assert config.select.frames == (0, -1)
    assert config.select.where == {"Modality": ("CT", "MR"), "StudyID": ("007",)}
    assert config.metadata.keywords == ("KVP", "Exposure")
    assert config.limits.frame == 5000
    assert overwrite


def test_without_options_all_defaults_hold(ran: list[tuple[RunConfig, bool]]) -> None:
    assert invoke("convert", "/a", "/out").exit_code == 0
    ((config, overwrite),) = ran
    assert config == RunConfig.model_validate({"source": {"paths": ["/a"]}, "output": {"path": "/out"}})
    assert not overwrite


def test_an_address_as_cluster(ran: list[tuple[RunConfig, bool]]) -> None:
    assert invoke("convert", "/a", "/out", "--cluster", "tcp://h:1", "--frames", "::2").exit_code == 0
    ((config, _),) = ran
    assert (config.cluster.kind, config.cluster.address) == ("address", "tcp://h:1")
    assert config.select.frames == "::2"


def test_run_takes_overrides(ran: list[tuple[RunConfig, bool]], tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("source: {paths: [in]}\noutput: {path: out}\n", "utf-8")
    result = invoke("run", str(tmp_path / "a.yaml"), "--set", "decode.raw=true", "--set", "cluster.workers=2", "-q")
    assert result.exit_code == 0
    ((config, _),) = ran
    assert (config.decode.raw, config.cluster.workers, config.output.path) == (True, 2, str(tmp_path / "out"))


@pytest.mark.parametrize(
    ("counts", "code"), [({"converted": 2}, 0), ({"converted": 2, "failed": 1}, 1), ({"rejected": 1, "skipped": 4}, 0)]
)
def test_the_exit_code_says_whether_something_failed(
    monkeypatch: pytest.MonkeyPatch, counts: dict[str, int], code: int
) -> None:
    monkeypatch.setattr(runs, "run", lambda *_args, **_options: outcome(**counts))
    result = invoke("convert", "a", "out")
    assert result.exit_code == code
    assert f"Exit code {code}: " in result.stdout


def test_quiet_leaves_the_final_lines_only(ran: list[tuple[RunConfig, bool]]) -> None:
    result = invoke("convert", "a", "out", "-q")
    assert result.stderr == ""
    assert result.stdout.splitlines() == [
        "3 converted, 0 failed, 0 rejected, 0 skipped → /out",
        "Exit code 0: nothing failed.",
    ]
    assert "scan done in" in invoke("convert", "a", "out").stderr
    assert len(ran) == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PlanError("needs 3 GiB of 1 GiB"), 2),
        (OutputError("/out was begun with other settings", reason="settings_changed"), 2),
        (OutputError("/out can't be written"), 3),
        (PermissionError("the bucket"), 3),
    ],
)
def test_refusals_have_exit_codes_of_their_own(monkeypatch: pytest.MonkeyPatch, error: Exception, code: int) -> None:
    raising(monkeypatch, error)
    result = invoke("convert", "a", "out")
    assert result.exit_code == code
    assert result.stderr == f"error: {error}\n"


def test_a_fault_of_the_program_is_one_line_and_a_traceback_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, KeyError("[bold]Doe^John"))
    result = invoke("convert", "a", "out")
    assert result.exit_code == 70
    assert result.stderr == "error: unexpected KeyError: … (run again with -v for the traceback)\n"
    result = invoke("convert", "a", "out", "-v")
    assert result.exit_code == 70
    assert "Traceback" in result.stderr


def test_control_c_is_told_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    raising(monkeypatch, KeyboardInterrupt())
    result = invoke("convert", "a", "out")
    assert result.exit_code == 130
    assert result.stderr.startswith("error: interrupted")
    assert "Traceback" not in result.output


def test_a_reader_that_leaves_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "pipeline.cli", "schema"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")
