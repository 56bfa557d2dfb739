"""Conversions from and to a real S3 server (SeaweedFS), disturbed in every way at hand, compared with the same on disk.

    scripts/campaign s3                 # about three minutes
    scripts/campaign s3 --rounds 10     # more seeds of faults and more kills

Every line of the table is a conversion of the same archive, or one frame of an object of 1 GiB. Exits with 1 if an
object differs from the file on disk, is extra or missing, or if one frame cost 2 MiB or more.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import pipeline
from pipeline.config import from_dict
from runner import common
from support import corpora
from support.fault_proxy import FaultProxy
from support.object_stores import Server, seaweedfs
from support.sparse_files import encapsulated_gibibyte, native_gibibyte

MIB = 1 << 20
FILES_FAILED = 1
"""Exit code of a run whose files aren't all sound."""


@dataclass
class Table:
    """Lines printed at once, and whether everything went well."""

    failed: list[str] = field(default_factory=list)

    def head(self) -> None:
        """Print the head."""
        print(f"{'what':<44} {'seconds':>8} {'requests':>9} {'MiB down':>9}  outcome")

    def line(self, what: str, seconds: float, proxy: FaultProxy, problem: str = "", note: str = "") -> None:
        """Print a line; remember a problem."""
        told = problem or "identical"
        print(f"{what:<44} {seconds:8.1f} {len(proxy.requests):9} {proxy.sent / MIB:9.1f}  {told}{note}", flush=True)
        if problem:
            self.failed.append(f"{what}: {problem}")


def values(source: str, out: str, storage: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration."""
    return {
        "source": {"paths": [source]},
        "output": {"path": out, "shard": "2 MiB"},
        "cluster": {"kind": "threads", "workers": 2},
        "storage": storage,
    }


def images(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return the contents of images.zarr."""
    return {name: data for name, data in files.items() if name.startswith("images.zarr/")}


def compare(expected: dict[str, bytes], left: dict[str, bytes]) -> str:
    """Return what is wrong with a result in the store; empty if nothing is."""
    found = images(left)
    if missing := expected.keys() - found.keys():
        return f"{len(missing)} objects are missing, first {min(missing)}"
    if extra := found.keys() - expected.keys():
        return f"{len(extra)} objects too many, first {min(extra)}"
    different = [name for name in expected if expected[name] != found[name]]
    return f"{len(different)} objects differ, first {different[0]}" if different else ""


def undisturbed(table: Table, server: Server, source: str, expected: dict[str, bytes]) -> None:
    """Convert without any disturbance."""
    out = server.url()
    with FaultProxy(server.port) as proxy:
        begin = time.perf_counter()
        pipeline.run(from_dict(values(source, out, server.options(proxy.port))))
        table.line("store to store", time.perf_counter() - begin, proxy, compare(expected, server.read(out)))


def faults(table: Table, server: Server, source: str, expected: dict[str, bytes], *, seed: int, rate: float) -> None:
    """Convert while a share of the requests is spoilt."""
    out = server.url()
    with FaultProxy(server.port, rate=rate, seed=seed, slow=0.5) as proxy:
        begin = time.perf_counter()
        pipeline.run(from_dict(values(source, out, server.options(proxy.port))))
        note = f" ({', '.join(f'{n} {kind}' for kind, n in sorted(proxy.faults.items()))})"
        seconds = time.perf_counter() - begin
        table.line(
            f"{rate:.0%} of requests spoilt, seed {seed}", seconds, proxy, compare(expected, server.read(out)), note
        )


def kills(table: Table, server: Server, source: str, expected: dict[str, bytes], *, seed: int, rate: float) -> None:
    """Kill a run three times at random moments, with faults as well, then let it end."""
    out = server.url()
    chance = np.random.default_rng(seed)
    with FaultProxy(server.port, rate=rate, seed=seed) as proxy, tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "run.yaml"
        config.write_text(json.dumps(values(source, out, server.options(proxy.port))), "utf-8")  # JSON is YAML
        command = [sys.executable, "-m", "pipeline.cli", "run", str(config), "--set", "cluster.task_work=1 MiB", "-q"]
        begin, killed = time.perf_counter(), 0
        for _ in range(3):
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                process.wait(float(chance.uniform(3, 9)))
                break
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                killed += 1
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        problem = compare(expected, server.read(out)) if ended.returncode <= FILES_FAILED else ended.stderr[-300:]
        table.line(f"killed {killed} times, seed {seed}", time.perf_counter() - begin, proxy, problem)


def one_frame(table: Table, server: Server, folder: Path) -> None:
    """Read one frame of objects of 1 GiB."""
    for kind in ("native", "basic offset table", "no offset table"):
        path = folder / "big.dcm"
        made = (
            native_gibibyte(path) if kind == "native" else encapsulated_gibibyte(path, table=kind.startswith("basic"))
        )
        number, frame = made
        url = f"{server.url()}/big.dcm"
        server.put_file(url, path)
        path.unlink()
        with FaultProxy(server.port) as proxy, pipeline.storage_options(**server.options(proxy.port)):
            begin = time.perf_counter()
            (found,) = pipeline.iter_frames(url, indices=[number])
            seconds = time.perf_counter() - begin
            right = np.array_equal(found, frame)
            problem = "" if right and proxy.sent < 2 * MIB else f"{proxy.sent} bytes, {'right' if right else 'wrong'}"
            table.line(f"one frame of 1 GiB, {kind}", seconds, proxy, problem, f" ({proxy.sent / 1024:.0f} KiB)")
        server.delete(url)


def latency(table: Table, server: Server, source: str, expected: dict[str, bytes]) -> None:
    """Measure the gain of reading ahead if each request takes 30 ms."""
    for requests in (1, 8):
        out = server.url()
        with FaultProxy(server.port, delay=0.03) as proxy:
            begin = time.perf_counter()
            storage = server.options(proxy.port) | {"requests": requests}
            pipeline.run(from_dict(values(source, out, storage)))
            seconds = time.perf_counter() - begin
            what = f"30 ms a request, {requests} in flight a task"
            table.line(what, seconds, proxy, compare(expected, server.read(out)))


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    common(parser, rounds=2)
    parser.add_argument("--rate", type=float, default=0.1, help="share of the requests to spoil")
    parser.add_argument("--files", type=int, default=150, help="files of the archive")


def main(given: argparse.Namespace) -> int:
    """Run the campaign."""
    table = Table()
    with tempfile.TemporaryDirectory(prefix="dcm2zarr-s3-") as temporary:
        folder = Path(temporary)
        with seaweedfs(folder / "server") as server:
            local, source = folder / "archive", server.url()
            local.mkdir()
            for number, path in enumerate(list(corpora.identified(4 * MIB))[: given.files]):
                data = path.read_bytes()
                (local / f"{number:04}-{path.name}").write_bytes(data)
            server.upload(local, source)
            begin = time.perf_counter()
            disk = folder / "out"
            summary = pipeline.run(from_dict(values(str(local), str(disk), {})))
            files = {p.relative_to(disk).as_posix(): p.read_bytes() for p in disk.rglob("*") if p.is_file()}
            expected = images(files)
            size = sum(map(len, expected.values())) / MIB
            print(
                f"{summary.files} files, {len(expected)} files of images.zarr, {size:.1f} MiB; on disk in "
                f"{time.perf_counter() - begin:.1f} s\n"
            )
            table.head()
            undisturbed(table, server, source, expected)
            for seed in range(given.rounds):
                faults(table, server, source, expected, seed=seed, rate=given.rate)
            for seed in range(given.rounds):
                kills(table, server, source, expected, seed=seed, rate=given.rate)
            latency(table, server, source, expected)
            one_frame(table, server, folder)
    print("\nall identical" if not table.failed else "\n" + "\n".join(table.failed))
    return int(bool(table.failed))
