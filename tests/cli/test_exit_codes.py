"""Every reason for which a command ends has its exit code; they are documented, and those that can be had here are had."""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from pipeline.cli import main
from pipeline.errors import EXIT_CODES, ClusterError, ConfigError, OutputError, PipelineError, PlanError, SourceError
from pipeline.output.lock import hold_lock
from pipeline.storage import OutputDir
from support.converted_folders import invoke
from support.dicom_bytes import native_file

REPOSITORY = Path(__file__).resolve().parents[2]
ENDING = (ConfigError, ClusterError, OutputError, PlanError)
"""What ends a command, whatever its reason."""
OF_ARRAYS = "source: {paths: [in]}\noutput: {path: out}\ncluster: {kind: synchronous}\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a source ``in``, whose result would be ``out``."""
    (tmp_path / "in").mkdir()
    for number in range(3):
        (tmp_path / "in" / f"{number}.dcm").write_bytes(
            native_file(bytes([number] * 16), SOPInstanceUID=f"1.2.{number}")
        )
    (tmp_path / "run.yaml").write_text(OF_ARRAYS, "utf-8")
    return tmp_path


def convert(place: Path, *options: str, out: str = "out") -> Result:
    return invoke("convert", str(place / "in"), str(place / out), "--cluster", "synchronous", *options)


def wrong_option(place: Path) -> Result:
    return convert(place, "--set", "output.grouping=nothing")


def missing_source(place: Path) -> Result:
    (place / "in").rename(place / "elsewhere")
    return convert(place)


def foreign_output(place: Path) -> Result:
    (place / "out").mkdir()
    (place / "out" / "thesis.tex").touch()
    return convert(place)


def file_as_output(place: Path) -> Result:
    (place / "out").touch()
    return convert(place)


def long_name(place: Path) -> Result:
    return convert(place, out="o" * 300)


def no_result(place: Path) -> Result:
    return invoke("verify", str(place / "in"))


def no_result_to_go_on_from(place: Path) -> Result:
    return invoke("resume", str(place / "in"))


def damaged_plan(place: Path) -> Result:
    convert(place)
    (place / "out" / "plan" / "plan.json").write_text("{", "utf-8")
    return convert(place)


def plan_of_another_version(place: Path) -> Result:
    convert(place)
    file = place / "out" / "plan" / "plan.json"
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | {"format": 0}), "utf-8")
    return convert(place)


def plan_of_an_older_layout(place: Path) -> Result:
    convert(place)
    file = place / "out" / "plan" / "plan.json"
    seal = json.loads(file.read_text("utf-8"))
    del seal["layout"]
    file.write_text(json.dumps(seal), "utf-8")
    return convert(place)


def verify_of_an_older_layout(place: Path) -> Result:
    plan_of_an_older_layout(place)
    return invoke("verify", str(place / "out"), "--cluster", "synchronous")


def run_file_of_an_older_layout(place: Path) -> Result:
    convert(place)
    file = place / "out" / "run.yaml"
    text = file.read_text("utf-8")
    assert text.endswith("\nlayout: 2\n")
    file.write_text(text.removesuffix("layout: 2\n"), "utf-8")
    return invoke("resume", str(place / "out"))


def other_settings(place: Path) -> Result:
    convert(place)
    return convert(place, "--frames", "0")


def no_partitions(place: Path) -> Result:
    convert(place)
    return invoke("finalize", str(place / "out"))


def no_such_partition(place: Path) -> Result:
    invoke("init", str(place / "run.yaml"))
    return invoke("convert-partition", str(place / "out"), "7")


def missing_partition(place: Path) -> Result:
    invoke("init", str(place / "run.yaml"))
    return invoke("finalize", str(place / "out"), "--workers", "1")


def output_in_use(place: Path) -> Result:
    with hold_lock(OutputDir.of(place / "out")):
        return convert(place)


def verify_of_a_run_at_work(place: Path) -> Result:
    convert(place)
    with hold_lock(OutputDir.of(place / "out")):
        return invoke("verify", str(place / "out"), "--cluster", "synchronous")


def verify_of_a_partition_at_work(place: Path) -> Result:
    invoke("init", str(place / "run.yaml"))
    with hold_lock(OutputDir.of(place / "out"), "partition-0.lock"):
        return invoke("verify", str(place / "out"), "--cluster", "synchronous")


def lost_originals(place: Path) -> Result:
    convert(place)
    for shard in (place / "out").glob("images.zarr/**/pixels/c/**/0"):
        shard.unlink(missing_ok=True) if shard.is_file() else None
    shutil.rmtree(place / "in")
    return convert(place)


def unreachable_scheduler(place: Path) -> Result:
    return convert(place, "--cluster", "tcp://127.0.0.1:9")


def unreachable_scheduler_without_a_scheme(place: Path) -> Result:
    return convert(place, "--cluster", "127.0.0.1:9")


def unreachable_store(place: Path) -> Result:
    given = ("storage.endpoint=http://127.0.0.1:9", "storage.allow_http=true", "storage.retries=0", "storage.region=x")
    keys = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in keys.items():
            patch.setenv(name, value)
        return invoke("convert", "s3://b/p", str(place / "out"), *(part for one in given for part in ("--set", one)))


def failed_file(place: Path) -> Result:
    (place / "in" / "cut.dcm").write_bytes(native_file(bytes(8)))
    return convert(place)


def verify_of_damage(place: Path) -> Result:
    convert(place)
    (place / "out" / "report.html").write_bytes(b"")
    return invoke("verify", str(place / "out"), "--cluster", "synchronous")


@pytest.mark.parametrize(
    ("case", "code", "told"),
    [
        (convert, 0, "Exit code 0: nothing failed."),
        (failed_file, 1, "Exit code 1: 1 of 4 files could not be stored"),
        (missing_partition, 3, "Run these again"),
        (verify_of_damage, 1, "remove the named file, and run the same command again"),
        (wrong_option, 2, "output.grouping"),
        (missing_source, 2, "no such file or folder"),
        (foreign_output, 2, "holds 'thesis.tex'"),
        (file_as_output, 2, "is a file"),
        (long_name, 2, "File name too long"),
        (no_result, 2, "isn't the result of a conversion"),
        (no_result_to_go_on_from, 2, "it has no run.yaml"),
        (damaged_plan, 2, "plan.json can't be read"),
        (plan_of_another_version, 2, "a plan of format 0"),
        (plan_of_an_older_layout, 2, "its images have layout 1, and this version makes layout 2"),
        (verify_of_an_older_layout, 2, "convert again, into another output directory or with --overwrite"),
        (run_file_of_an_older_layout, 2, "its images have layout 1, and this version makes layout 2"),
        (other_settings, 2, "was begun with other settings"),
        (no_partitions, 2, "has no partitions"),
        (no_such_partition, 2, "has no partition 7"),
        (output_in_use, 3, "another run is writing there (process "),
        (verify_of_a_run_at_work, 3, "a run is going on there (process "),
        (verify_of_a_partition_at_work, 3, "a run is going on there (process "),
        (lost_originals, 3, "Restore the file or the shard"),
        (unreachable_scheduler, 3, "no Dask scheduler answers at 'tcp://127.0.0.1:9' (Connection refused)"),
        (unreachable_scheduler_without_a_scheme, 3, "no Dask scheduler answers at 'tcp://127.0.0.1:9'"),
        (unreachable_store, 3, "s3://b/p"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_what_ends_a_command(place: Path, case: Callable[[Path], Result], code: int, told: str) -> None:
    result = case(place)
    assert result.exit_code == code, result.output
    assert told in result.output.replace("\n  ", " ")
    assert "Traceback" not in result.output
    if code > 1:
        assert result.stderr.startswith("error: ") or "\nerror: " in result.stderr
        assert result.stdout == ""


def raised() -> set[tuple[str, str]]:
    """Every class of error that ends a command, with every reason that it is raised with in the code."""
    found: set[tuple[str, str]] = set()
    for module in (REPOSITORY / "pipeline").rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            name = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
            if name in {one.__name__ for one in ENDING}:
                reasons = [word.value for word in node.keywords if word.arg == "reason"]
                found |= {(name, reason.value) for reason in reasons if isinstance(reason, ast.Constant)}
    return found


def test_every_reason_has_its_code() -> None:
    given = raised()
    assert {
        ("OutputError", "in_use"),
        ("ClusterError", "scheduler_unreachable"),
        ("ConfigError", "no_such_source"),
    } <= given
    assert {reason for _, reason in given} <= set(EXIT_CODES)
    for kind in ENDING:
        assert EXIT_CODES[kind.reason] in {2, 3}, "its own reason"
    assert set(EXIT_CODES.values()) == {2, 3}


def test_errors_know_their_code_also_after_a_journey() -> None:
    told = OutputError("full", reason="disk_full", source="/out/x")
    kind, arguments = told.__reduce__()
    assert [error.exit_code for error in (told, kind(*arguments))] == [3, 3]
    assert [ConfigError("x").exit_code, OutputError("x").exit_code, ClusterError("x").exit_code] == [2, 3, 3]
    assert [SourceError("x").exit_code, PipelineError("x").exit_code] == [3, 1]


def test_the_page_and_the_help_tell_them() -> None:
    page = (REPOSITORY / "docs" / "exit-codes.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\d) \|", page, re.MULTILINE)
    assert {reason: int(code) for reason, code in rows} == EXIT_CODES
    assert len(rows) == len(EXIT_CODES)
    assert "docs/exit-codes.md" in (REPOSITORY / "README.md").read_text("utf-8")
    for command in main.commands:
        told = " ".join(invoke(command, "--help").output.split())
        for words in (
            "0 nothing failed",
            "1 files failed",
            "2 usage or configuration",
            "3 the surroundings failed",
            "130 and 143",
        ):
            assert words in told, command
