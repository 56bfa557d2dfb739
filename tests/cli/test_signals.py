"""Commands that are interrupted: one line, the right exit code, no process left, and the same command goes on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

import pipeline
from pipeline import runs
from pipeline.config import load
from support.identical_results import assert_identical

PATIENCE = 120.0
MAIN = "from pipeline.cli import main\nif __name__ == '__main__':\n main()\n"
STEP = {
    "slow": "import time\nfrom pipeline.runs import conversion\nonce = conversion._execute\n"
    "def slow(*given):\n time.sleep(1)\n return once(*given)\nconversion._execute = slow\n",
    "stuck": "import time\nfrom pipeline.runs import conversion\nonce = conversion._execute\n"
    "def stuck(*given):\n once(*given)\n time.sleep(600)\nconversion._execute = stuck\n",
    "hanging": "import time\nfrom pipeline.runs import conversion\n"
    "def hang(*given):\n open({mark!r}, 'w').close()\n time.sleep(600)\nconversion._execute = hang\n",
}
"""Scripts that are the command, with tasks that take their time before they begin, after their work, or for good."""
SMALL = ("--set", "output.shard=3000")
ONE_LINE = "error: interrupted; the same command goes on"

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, pydicom_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("signals") / "in"
    folder.mkdir()
    for name in ("CT_small.dcm", "MR_small.dcm", "rtdose_rle.dcm", "SC_rgb_rle_2frame.dcm"):
        shutil.copy(pydicom_folder / name, folder)
    return folder


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], Path]:
    def write(kind: str) -> Path:
        file = tmp_path / f"{kind}.py"
        file.write_text(STEP[kind].format(mark=str(tmp_path / "begun")) + MAIN, "utf-8")
        return file

    return write


@contextmanager
def started(*command: str | Path) -> Iterator[subprocess.Popen[str]]:
    """Start a command in a session of its own, as a terminal does; whatever it leaves is ended afterwards."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    heard = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "signal.signal(signal.SIGHUP, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
    )  # whatever the tests themselves were started by, nohup for example
    whole = [sys.executable, "-c", heard, sys.executable, *map(str, command)]
    with subprocess.Popen(whole, **pipes) as process:
        try:
            yield process
        finally:
            for left in family(process):
                left.kill()
            process.kill()


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """All processes of its session that are alive."""
    found = []
    for one in psutil.process_iter():
        try:
            if os.getsid(one.pid) == process.pid and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one)
        except (psutil.Error, ProcessLookupError):
            continue
    return found


def wait_for(what: Callable[[], object], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ended(process: subprocess.Popen[str], code: int) -> list[str]:
    """Wait for its end; returns what it said as errors, without the progress."""
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, said
    deadline = time.monotonic() + 10
    while left := family(process):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
    progress = ("scan", "plan", "convert", "finalise", "verify", "Dashboard", "Going on")
    return [line for line in said.splitlines() if not line.startswith(progress)]


def shards(out: Path) -> int:
    return len(list(out.glob("images.zarr/*/*/*/pixels/c/**/0")))


@pytest.mark.parametrize(
    ("cluster", "number", "to_all", "code"),
    [
        ("synchronous", signal.SIGTERM, False, 143),
        ("threads", signal.SIGINT, False, 130),
        ("local", signal.SIGINT, True, 130),  # as a terminal does
        ("local", signal.SIGTERM, True, 143),  # as SLURM and systemd do
    ],
)
def test_a_run_ends_in_one_line_and_goes_on(
    source: Path, tmp_path: Path, script: Callable, cluster: str, number: int, *, to_all: bool, code: int
) -> None:
    given = ("convert", source, tmp_path / "out", *SMALL, "--workers", "2", "--cluster", cluster)
    with started(script("slow"), *given) as run:
        wait_for(lambda: shards(tmp_path / "out"), run)
        (os.killpg if to_all else os.kill)(run.pid, number)
        assert ended(run, code) == [ONE_LINE]
    assert not (tmp_path / "out" / "catalog.parquet").exists()
    for out in ("out", "other"):
        pipeline.convert(source, tmp_path / out, output={"shard": 3000}, cluster={"kind": "synchronous"})
    assert_identical(tmp_path / "out", tmp_path / "other")


def test_workers_that_are_only_starting_say_nothing_either(source: Path, tmp_path: Path) -> None:
    with started("-m", "pipeline.cli", "convert", source, tmp_path / "out", "--workers", "2") as run:
        wait_for(lambda: len(family(run)) > 2, run)
        os.killpg(run.pid, signal.SIGINT)
        assert ended(run, 130) == [ONE_LINE]


def test_the_second_signal_ends_at_once(source: Path, tmp_path: Path, script: Callable) -> None:
    given = ("convert", source, tmp_path / "out", "--workers", "1", "--cluster", "threads")
    with started(script("hanging"), *given) as run:
        wait_for((tmp_path / "begun").exists, run)
        os.kill(run.pid, signal.SIGINT)
        os.kill(run.pid, signal.SIGINT)  # by a wrapper that passes it on: the same one
        time.sleep(1)
        begin = time.monotonic()
        if run.poll() is None:
            os.kill(run.pid, signal.SIGINT)
        assert ended(run, 130) in ([], [ONE_LINE])
        assert time.monotonic() - begin < 15


def test_a_terminal_that_is_closed_and_nohup(source: Path, tmp_path: Path, script: Callable) -> None:
    slow, command = script("slow"), ("convert", source)
    options = (*SMALL, "--cluster", "synchronous")
    with started(slow, *command, tmp_path / "out", *options) as run:
        wait_for(lambda: shards(tmp_path / "out"), run)
        os.kill(run.pid, signal.SIGHUP)
        assert ended(run, 129) == [ONE_LINE]
    deaf = "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    with started("-c", deaf, slow, *command, tmp_path / "deaf", *options) as run:
        wait_for(lambda: shards(tmp_path / "deaf"), run)
        os.kill(run.pid, signal.SIGHUP)
        assert ended(run, 0) == []


@pytest.fixture
def cut(source: Path, tmp_path: Path) -> Path:
    """An output that is cut into partitions."""
    file = tmp_path / "run.yaml"
    file.write_text(
        f"source: {{paths: ['{source}']}}\noutput: {{path: out, shard: 3000}}\ncluster: {{kind: synchronous}}\n",
        "utf-8",
    )
    runs.init(load(file))
    return tmp_path / "out"


def test_the_commands_of_array_jobs(cut: Path, script: Callable) -> None:
    with started(script("stuck"), "convert-partition", cut, "0") as run:
        wait_for(lambda: shards(cut), run)
        os.kill(run.pid, signal.SIGTERM)
        assert ended(run, 143) == [ONE_LINE]
    runs.convert_partition(cut, 0)
    with started(script("hanging"), "finalize", cut, "--workers", "1") as run:
        wait_for((cut.parent / "begun").exists, run)
        os.killpg(run.pid, signal.SIGINT)
        assert ended(run, 130) == [ONE_LINE]
    assert not (cut / "catalog.parquet").exists()


def test_verify(source: Path, tmp_path: Path) -> None:
    pipeline.convert(source, tmp_path / "out", cluster={"kind": "synchronous"})
    slow = tmp_path / "verify.py"
    slow.write_text(
        "import time\nfrom pipeline.verify import verification\n"
        f"def hang(*given, **more):\n open({str(tmp_path / 'begun')!r}, 'w').close()\n time.sleep(600)\n"
        f"verification.run_checks = hang\n{MAIN}",
        "utf-8",
    )
    with started(slow, "verify", tmp_path / "out", "--source", "--cluster", "threads") as run:
        wait_for((tmp_path / "begun").exists, run)
        os.killpg(run.pid, signal.SIGINT)
        assert ended(run, 130) == ["error: interrupted; give the same command again"]
    assert not (tmp_path / "out" / "verify.parquet").exists()
