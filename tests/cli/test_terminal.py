"""No command shows what a terminal would obey: control characters of names, header values, configurations and results."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from rich.traceback import Traceback

import pipeline
from pipeline.cli import main, screen, terminal_progress
from pipeline.errors import PipelineError
from pipeline.printable import printable
from support.dicom_bytes import native_file

CLIPBOARD, TITLE, UP = "\x1b]52;c;cm0gLXJmIH4=\x07", "\x1b]0;owned\x07", "\x1b[3A\x1b[2K"
EVIL = f"{CLIPBOARD}{TITLE}{UP}\x9b31m\x9d0;t\x9c\r\x08\x7f\u202egnp\u2066\u2028[red][link=x]:warning:"
"""Also C1 forms of the same, carriage return and backspace, turned direction, and markup of rich's."""
NAME = f"a{EVIL}\nerror: all is well\n\tb"
OBEYED = re.compile("[\0-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029]")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def assert_harmless(output: str) -> None:
    """Nothing but text, ends of lines and our own colours; what stood for markup or an emoji is as it was."""
    found = OBEYED.search(COLOUR.sub("", output))
    assert found is None, f"{found} in {output!r}"
    assert "\nerror: all is well" not in output


def here(*arguments: str | Path, expected: tuple[int, ...] = (0, 1)) -> str:
    done = CliRunner().invoke(main, list(map(str, arguments)), env={"COLUMNS": "600"})
    assert done.exit_code in expected, done.output
    assert_harmless(done.output)
    return done.output


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of files with evil names and values, some of them bad, and what was converted of it, loudly."""
    root = tmp_path_factory.mktemp("evil")
    source = root / f"in {NAME}"
    source.mkdir()
    good = native_file(bytes(16), SeriesDescription=EVIL, PatientName=EVIL, PatientID=EVIL, BurnedInAnnotation="NO")
    (source / f"good {NAME}.dcm").write_bytes(good)
    (source / f"cut {NAME}.dcm").write_bytes(good[:-3])
    (source / f"modality {NAME}").write_bytes(native_file(bytes(16), SOPInstanceUID="1.2.9", Modality=EVIL))
    (source / f"photometric {NAME}").write_bytes(native_file(bytes(16), PhotometricInterpretation=f"RG{EVIL}"))
    (source / f"uid {NAME}").write_bytes(native_file(bytes(16), SOPInstanceUID=EVIL, StudyInstanceUID=EVIL))
    (source / f"{NAME}.zip").write_bytes(b"PK\x03\x04" + bytes(30))
    (source / f"{NAME}.txt").write_text("nothing")
    out = root / f"out {NAME}"
    told = here("convert", source, out, "--cluster", "synchronous", "-v")
    assert ":warning:" in told
    assert "[red]" in told
    assert printable(EVIL) in told
    assert r"\nerror: all is well\n\tb" in told
    return source, out


@pytest.mark.parametrize("command", ["status", "verify", "inspect", "resume"])
@pytest.mark.parametrize("loud", ["-v", "-q"])
def test_commands_about_results(evil: tuple[Path, Path], command: str, loud: str) -> None:
    more = ["--cluster", "synchronous", "--source"] if command == "verify" else []
    here(command, evil[1], loud, *more)


def test_inspecting(evil: tuple[Path, Path]) -> None:
    here("inspect", evil[0], "-v")
    for file in evil[0].iterdir():
        here("inspect", file)
    here("inspect", evil[0] / NAME, expected=(2,))


def test_array_jobs_and_plans(evil: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / f"arrays {NAME}"
    config = tmp_path / f"c {NAME}.yaml"
    config.write_text(json.dumps({"source": {"paths": [str(evil[0])]}, "output": {"path": str(out)}}))
    here("plan", config, "-v", "--set", "cluster.kind=synchronous")
    here("init", config, "--set", "cluster.kind=synchronous")
    here("convert-partition", out, "0")
    here("convert-partition", out, "77", expected=(2,))
    here("run", config, "--set", "cluster.kind=synchronous", expected=(0, 1, 2, 3))


@pytest.mark.parametrize(
    "text",
    [
        f"source: {{paths: [{json.dumps(NAME)}]}}\noutput: {{path: x}}\n{json.dumps(EVIL)}: 1\n",
        f"source: {{paths: {json.dumps(EVIL)}}}\noutput: {{path: 3}}\n",
        f"source: {{paths: [a]}}\noutput: {{path: x}}\nselect: {{where: {{{json.dumps(EVIL)}: 1}}}}\n",
        f"source: {{paths: [a]}}\noutput: {{path: x, codec: {{name: {json.dumps(EVIL)}}}}}\n",
        f"source: {{paths: ['{CLIPBOARD}']}}\n",
        f"source: !{EVIL}\n",
        f"a: 1\n? {json.dumps(EVIL)}\n: 1\n? {json.dumps(EVIL)}\n: 2\n",
    ],
)
def test_configurations(tmp_path: Path, text: str) -> None:
    config = tmp_path / f"{NAME}.yaml"
    config.write_text(text)
    for command in ("plan", "run", "init"):
        here(command, config, expected=(2,))


def test_usage() -> None:
    """A pattern of the shell gives names of files to the command, also such as begin with a dash."""
    for arguments in (
        *(("convert", f"--{NAME}", "x", "y"), (NAME,), (f"--{NAME}",), ("verify", "x", "--sample", NAME)),
        *(("convert", NAME), ("convert", NAME, "x"), ("convert", "x", "y", "--where", NAME), ("status", NAME)),
        *(("convert", "x", "y", "--set", f"{NAME}=1"), ("convert", "x", "y", "--cluster", NAME), ("resume", NAME)),
        *(("convert", f"s3://a{CLIPBOARD}/b", "x"), ("convert", f"foo{EVIL}://a", "x"), ("run", NAME), ("plan", NAME)),
        *(("convert", "x", "y", "--frames", NAME), ("convert", "x", "y", "--shard", EVIL), ("inspect", NAME)),
        *(("init", "x", "--partition-size", NAME), ("convert-partition", "x", NAME), ("finalize", NAME)),
    ):
        here(*arguments, expected=(2, 3))


def test_a_result_of_others(evil: tuple[Path, Path], tmp_path: Path) -> None:
    """Codes, names and statuses in somebody else's result are input too."""
    out = tmp_path / "out"
    shutil.copytree(evil[1], out)
    table = pq.read_table(out / "catalog.parquet")
    for column in ("reason", "status", "message"):
        at = table.schema.get_field_index(column)
        table = table.set_column(at, table.schema.field(column), pa.array([NAME] * len(table)))
    pq.write_table(table, out / "catalog.parquet")
    (out / "images.zarr" / NAME).mkdir()
    lock = out / "ledger" / "run.lock"
    holder = {"host": NAME, "pid": 1, "began": 0.0, "started": EVIL}
    lock.write_text(json.dumps(holder))
    for command in (["inspect"], ["status"], ["verify", "--cluster", "synchronous"]):
        here(*command, out, expected=(0, 1, 2, 3))


@pytest.mark.skipif(sys.platform == "win32", reason="there are no terminals to be made on Windows")
def test_on_a_terminal(evil: tuple[Path, Path], tmp_path: Path) -> None:
    """Bars, colours and a width: what is in between is as harmless."""
    import pty  # noqa: PLC0415  not on Windows

    near, far = pty.openpty()
    command = [sys.executable, "-m", "pipeline.cli", "convert", str(evil[0]), str(tmp_path / f"out {NAME}"), "-v"]
    with subprocess.Popen([*command, "--cluster", "synchronous"], stdout=far, stderr=far, stdin=far) as process:
        os.close(far)
        output = b"".join(iter(lambda: _read(near), b"")).decode()
    os.close(near)
    assert process.returncode == 1
    rich_s_own = r"\x1b\[(?:[0-9;]*m|\?25[lh]|[0-9]*A|2K|1A)|\r"
    assert not re.search(r"\x1b\]|[\x80-\x9f\x07\x08\x7f\u202e\u2066]", output)
    assert not re.search(r"\x1b", re.sub(rich_s_own, "", output))
    assert r"\x1b]52;c;" in output


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other end is closed
        return b""


def test_a_process_of_its_own(evil: tuple[Path, Path], tmp_path: Path) -> None:
    """With all that worker processes and libraries print."""
    command = [sys.executable, "-m", "pipeline.cli", "convert", str(evil[0]), str(tmp_path / f"out {NAME}")]
    done = subprocess.run([*command, "-vv", "--workers", "1"], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert_harmless(done.stdout)
    assert_harmless(done.stderr)


def test_messages_and_logs(capsys: pytest.CaptureFixture[str]) -> None:
    error = PipelineError(f"{NAME}: no good", source=NAME, more=[EVIL])
    assert_harmless(str(error))
    assert str(error).count("\n") == 1
    assert error.source == NAME  # what it is called stays what it is
    before = logging.getLogRecordFactory()
    try:
        screen._quieten(2)
        logging.getLogger("distributed.made-up").error("%s", EVIL)
        record = logging.getLogRecordFactory()("x", 40, "x", 1, "%s", (EVIL,), _raised())
        assert_harmless(logging.Formatter().format(record))
    finally:
        logging.setLogRecordFactory(before)
    assert_harmless(capsys.readouterr().err)


def _raised() -> tuple[type, BaseException, object]:
    try:
        int(EVIL)
    except ValueError:
        return sys.exc_info()
    raise AssertionError


@pytest.mark.parametrize("terminal", [True, False])
def test_whatever_is_printed(terminal: bool) -> None:
    """What no code of ours thought of: a traceback, a progress bar's text."""
    file = io.StringIO()
    console = screen.PipeConsole(file=file, force_terminal=terminal, width=200)
    for shown in (EVIL.replace("[", "\\["), Traceback.from_exception(*_raised())):
        console.print(shown)
    console.print(screen.plain(EVIL))
    bars = terminal_progress.PlainProgress(console)
    bars.message(NAME)
    assert_harmless(file.getvalue())


def test_reprs(evil: tuple[Path, Path]) -> None:
    for images in (pipeline.open(evil[1]), pipeline.open_dicom(str(evil[0]))):
        for shown in (repr(images), images._repr_html_(), repr(images.images[0]), repr(images.images)):
            assert_harmless(shown)
        for path in images:
            assert_harmless(repr(images[path]))
            assert_harmless(images[path]._repr_html_())
