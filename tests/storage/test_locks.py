"""One run at a time on an output, whatever clocks, host names and namespaces say; in a store and on a file system."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

import pipeline
from pipeline.config import from_dict
from pipeline.errors import OutputError
from pipeline.output import lock, lock_holder
from pipeline.output.mounts import is_of_this_machine
from pipeline.runs.partitions import find_writer, lock_partition, refuse_running
from pipeline.storage import OutputDir, storage_options
from support.dicom_bytes import native_file
from support.fault_proxy import FaultProxy

SILENCE = 1.5
QUICK = f"""
import sys
from pipeline.output import lock, lock_holder, mounts, object_lock
lock_holder.HEARTBEAT, lock_holder.SILENCE = 0.2, {SILENCE}
object_lock.SETTLING_UNSURE = 1.0
"""
NO_SYSTEM_LOCKS = "lock.fcntl, lock.is_of_this_machine = None, lambda path: False\n"
"""As on a file system of several machines."""
PROGRAM = """
import json
from pipeline.errors import OutputError
from pipeline.storage import OutputDir, storage_options
out, options = OutputDir(sys.argv[1]), json.loads(sys.argv[2])
try:
    with storage_options(**options), lock.hold_lock(out):
        print("held", flush=True)
        for asked in sys.stdin:
            lock_holder.still_held()
            print("held", flush=True)
except OutputError as error:
    print(error.reason, flush=True)
    sys.exit(error.exit_code)
"""
CLOCK_AHEAD = "import time; right = time.time; time.time = lambda: right() + 300\n"
CLOCK_STEPPED = """
import psutil
right = psutil.Process.create_time
psutil.Process.create_time = lambda self: right(self) - 300
"""
OTHER_HOST = 'import socket; socket.gethostname = lambda: "other"\n'


@lru_cache
def apart():
    """The command that starts another in a namespace of process numbers of its own; skips where that isn't allowed."""
    command = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    if not shutil.which("unshare"):
        pytest.skip("there is no command 'unshare' here")
    tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no namespaces of process numbers are allowed here: {tried.stderr.strip()}")
    return command


class Output:
    """An output directory, and who tries to write it."""

    def __init__(self, out, options, prelude, store=None):
        self.out, self.options, self.prelude, self.store = str(out), options, prelude, store

    @contextmanager
    def process(self, prelude="", wrapper=(), options=None):
        """A process that takes the lock, and tells whether it holds it each time it is asked."""
        program = f"{prelude}{QUICK}{self.prelude}{PROGRAM}"
        arguments = [*wrapper, sys.executable, "-c", program, self.out, json.dumps(options or self.options)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen(arguments, start_new_session=True, **pipes) as process:
            try:
                yield process
            finally:
                process.kill()

    def refused(self, *arguments, **options):
        """What another process is told, and how long that takes."""
        began = time.monotonic()
        with self.process(*arguments, **options) as other:
            told = other.stdout.readline()
            if told == "held\n":
                return told.strip(), 0, time.monotonic() - began
            return told.strip(), other.wait(), time.monotonic() - began

    def remove(self):
        if self.store:
            self.store.delete(f"{self.out}/ledger/run.lock")
        else:
            (Path(self.out) / "ledger/run.lock").unlink()


@pytest.fixture(params=["store", "folder"])
def output(request, tmp_path):
    if request.param == "folder":
        return Output(tmp_path / "out", {}, NO_SYSTEM_LOCKS)
    s3 = request.getfixturevalue("s3")
    return Output(s3.url(), s3.options(), "", s3)


def test_neither_clocks_nor_names_let_a_second_one_in(output):
    preludes = (OTHER_HOST + CLOCK_AHEAD, CLOCK_STEPPED, CLOCK_AHEAD)
    with output.process() as first, ThreadPoolExecutor() as threads:
        assert first.stdout.readline() == "held\n"
        told = [one[:2] for one in threads.map(output.refused, preludes)]
    assert told == [("in_use", 3)] * 3


def test_nor_do_two_namespaces_with_one_host_name(output):
    wrapper = apart()
    with output.process(wrapper=wrapper) as first, ThreadPoolExecutor() as threads:
        assert first.stdout.readline() == "held\n"
        told = [one[:2] for one in threads.map(lambda how: output.refused(wrapper=how), (wrapper, ()))]
    assert told == [("in_use", 3)] * 2


def test_one_that_was_killed_is_replaced_at_once_where_that_can_be_seen(output):
    with output.process() as first:
        assert first.stdout.readline() == "held\n"
        first.kill()
        first.wait()
    told, _, seconds = output.refused()
    assert told == "held"
    assert seconds < SILENCE + 3  # most of it for the interpreter to start
    with output.process(OTHER_HOST) as first:
        assert first.stdout.readline() == "held\n"
        first.kill()
        first.wait()
    told, _, seconds = output.refused()
    assert told == "held"
    assert seconds > SILENCE


def test_one_that_was_stopped_notices_that_another_one_came(output):
    with output.process(OTHER_HOST) as first:
        assert first.stdout.readline() == "held\n"
        first.send_signal(signal.SIGSTOP)
        with output.process() as second:
            assert second.stdout.readline() == "held\n"
            first.send_signal(signal.SIGCONT)
            first.stdin.write("\n")
            first.stdin.flush()
            assert (first.stdout.readline(), first.wait(10)) == ("in_use\n", 3)
            second.stdin.write("\n")
            second.stdin.flush()
            assert second.stdout.readline() == "held\n"


def test_a_lock_that_somebody_removed_is_lost(output):
    with output.process() as first:
        assert first.stdout.readline() == "held\n"
        output.remove()
        time.sleep(0.5)
        first.stdin.write("\n")
        first.stdin.flush()
        assert (first.stdout.readline(), first.wait(10)) == ("in_use\n", 3)


def test_of_several_that_come_at_once_one_is_let_in(output):
    with (
        output.process(OTHER_HOST) as one,
        output.process(OTHER_HOST + CLOCK_AHEAD) as two,
        output.process() as three,
    ):
        told = [process.stdout.readline() for process in (one, two, three)]
        assert sorted(told) == ["held\n", "in_use\n", "in_use\n"]


@pytest.mark.parametrize(
    "server", [{"without": ("if-match", "if-none-match")}, {"unknown": ("if-match", "if-none-match")}]
)
def test_servers_without_conditional_puts(s3, server):
    with FaultProxy(s3.port, **server) as proxy:
        # unsigned, because signatures cover the headers that the proxy leaves out
        options = {**s3.options(proxy.port), "anonymous": True}
        output = Output(s3.url().replace(s3.bucket, "public"), options, "")
        with output.process(OTHER_HOST) as one, output.process() as two:
            told = sorted(process.stdout.readline() for process in (one, two))
            assert told == ["held\n", "in_use\n"]
            assert output.refused(CLOCK_AHEAD)[:2] == ("in_use", 3)
        assert output.refused()[0] == "held"


def test_a_put_whose_answer_is_lost_is_our_own(s3):
    with FaultProxy(s3.port, made=("reset_after",)) as proxy:
        output = Output(s3.url(), s3.options(proxy.port), "")
        with output.process() as first:
            assert first.stdout.readline() == "held\n"
            proxy.rate = 0.5
            time.sleep(2)
            proxy.rate = 0.0
            first.stdin.write("\n")
            first.stdin.flush()
            assert first.stdout.readline() == "held\n"
            assert any(request.fault and request.method == "PUT" for request in proxy.requests)


def test_whoever_asks_is_told_soon(output, monkeypatch):
    monkeypatch.setattr(lock_holder, "HEARTBEAT", 0.2)
    if not output.store:
        monkeypatch.setattr(lock, "fcntl", None)
        monkeypatch.setattr(lock, "is_of_this_machine", lambda _: False)
    with storage_options(**output.options), output.process(OTHER_HOST) as first:
        assert first.stdout.readline() == "held\n"
        began = time.monotonic()
        assert lock.find_holder(OutputDir.of(output.out)).pid == first.pid
        first.kill()
        first.wait()
        assert lock.find_holder(OutputDir.of(output.out)) is None
        assert time.monotonic() - began < 2


def test_a_task_of_a_run_that_lost_its_lock_writes_nothing(output):
    with storage_options(**output.options):
        with lock.hold_lock(OutputDir.of(output.out)):
            shown = lock.ticket()
            with lock.show_at_work(OutputDir.of(output.out), shown):
                pass
        with (
            lock.hold_lock(OutputDir.of(output.out)),
            pytest.raises(OutputError) as caught,
            lock.show_at_work(OutputDir.of(output.out), shown),
        ):
            pass
        assert caught.value.reason == "in_use"
        with pytest.raises(OutputError), lock.show_at_work(OutputDir.of(output.out), shown):
            pass


@pytest.fixture
def slow(s3):
    """A conversion of four files in a store, each shard of which takes its time: its settings, and the proxy."""
    source, out = s3.url(), s3.url()
    for number in range(1, 5):
        data = native_file(bytes([number]) * 4096, rows=64, columns=64, vr="OB", SOPInstanceUID=f"1.2.3.{number}")
        s3.put(f"{source}/{number}.dcm", data)
    with FaultProxy(s3.port, delay=0.5, delayed="/pixels/c/") as proxy:
        yield (
            {
                "source": {"paths": [source]},
                "output": {"path": out, "shard": "4 KiB"},
                "cluster": {"kind": "synchronous"},
                "report": {"images": 0},
                "storage": s3.options(proxy.port),
            },
            proxy,
        )


def test_of_two_commands_at_once_one_converts_and_the_other_ends_with_3(s3, slow, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(slow[0]))
    command = f"{QUICK}from pipeline.cli import main\nmain()\n"

    def start(prelude):
        arguments = [sys.executable, "-c", prelude + command, "run", str(config), "-q"]
        return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    both = [start(CLOCK_AHEAD + OTHER_HOST), start("")]
    ended = {process: process.communicate(timeout=120)[0] for process in both}
    assert sorted(process.returncode for process in both) == [0, 3], ended
    names = s3.read(slow[0]["output"]["path"])
    assert sum("/pixels/c/" in name for name in names) == 4
    assert not [name for name in names if name.endswith(".lock")]


def test_a_run_whose_lock_is_gone_ends_and_the_same_command_goes_on(s3, slow, monkeypatch):
    monkeypatch.setattr(lock_holder, "HEARTBEAT", 0.05)
    described, proxy = slow
    with ThreadPoolExecutor() as threads:
        running = threads.submit(pipeline.run, from_dict(described))
        while not any("/pixels/c/" in request.target for request in proxy.requests):
            time.sleep(0.01)
        s3.delete(f"{described['output']['path']}/ledger/run.lock")
        with pytest.raises(OutputError, match="this run's lock is gone") as caught:
            running.result(60)
    assert caught.value.exit_code == 3
    assert "catalog.parquet" not in s3.read(described["output"]["path"])
    proxy.delay = 0.0
    assert pipeline.run(from_dict(described)).status_counts["converted", ""] == 4


def test_what_killed_jobs_of_an_array_left_is_watched_together(s3, monkeypatch):
    monkeypatch.setattr(lock_holder, "SILENCE", 1.0)
    monkeypatch.setattr(lock_holder, "HEARTBEAT", 0.2)
    left = lock_holder.Mark(
        lock_holder.Holder("other", 5, 7, "another kernel", "2026-01-01T00:00:00+00:00"), "token"
    ).to_bytes()
    with storage_options(**s3.options()):
        out = OutputDir.of(s3.url())
        for number in range(5):
            out.at(f"ledger/partition-{number}.lock").write_bytes(left)
        began, told = time.monotonic(), []
        refuse_running(out, told.append)
        assert 1.0 < time.monotonic() - began < 3.0
        assert [line.startswith("Watching the locks of 5 partition(s)") for line in told] == [True]
        assert out.ledger.children() == []
        out.at("ledger/run.lock").write_bytes(left)
        with lock_partition(out, 3):
            assert find_writer(out) == lock_holder.held()._mark.holder
            with pytest.raises(OutputError, match="partition-3 is under way"):
                refuse_running(out, told.append)


def test_on_which_file_system_a_path_lies(monkeypatch):
    mounts = [
        ("/", "ext4"),
        ("/data", "nfs4"),
        ("/data/fast disk", "xfs"),
        ("/data/over", "xfs"),
        ("/data/over", "fuse.x"),
    ]
    listed = [SimpleNamespace(mountpoint=point, fstype=kind) for point, kind in mounts]
    monkeypatch.setattr("psutil.disk_partitions", lambda **_: listed)
    paths = {"/home": True, "/data/a": False, "/data/fast disk/b": True, "/data/over/c": False, "/database": True}
    assert {path: is_of_this_machine(path) for path in paths} == paths
    listed.clear()
    assert not is_of_this_machine("/home")


def test_a_process_of_this_kernel_is_known_and_others_are_not(monkeypatch):
    here = lock_holder.Holder.here()
    assert here.lives() is True
    assert lock_holder.Holder(here.host, here.pid, here.began + 1, here.home, "").lives() is False
    assert lock_holder.Holder(here.host, here.pid, here.began, "another boot", "").lives() is None
    assert lock_holder.Holder("another", here.pid, here.began, here.home, "").lives() is None
    child = os.fork()
    if not child:
        os._exit(0)
    time.sleep(0.1)  # it has ended, and nobody has waited for it
    assert lock_holder.Holder(here.host, child, 5, here.home, "").lives() is False
    os.waitpid(child, 0)
    monkeypatch.setattr(lock_holder, "_home", lambda: "")
    assert lock_holder.Holder.here().lives() is None
