"""Scale by simulation: a million instances planned, many short tasks driven, many small files converted.

    scripts/campaign scale plan [--instances 10000 100000 1000000]
    scripts/campaign scale tasks [--tasks 100000] [--workers 2]
    scripts/campaign scale files [--files 100000] [--series 500] [--workers 2]

``plan`` makes instances (64 a series), plans them, and writes and reads the plan; each size in a process of its own.
Limits for 1,000,000: 60 s and 2 GiB; the time for an instance must not grow.
``tasks`` drives tasks that do nothing through the run's window and through a bare ``client.map``, in turns. Limits:
0.9 of the bare rate, driver and scheduler (one process) below 2 GiB, the second half as fast as the first.
``files`` writes CT files of 64 x 64 pixels and converts them. Limit: driver and scheduler take less than 10 % of the
processor time.
Exits with 1 if a limit is exceeded.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from statistics import median
from typing import Any

import dask
import pydicom
from distributed import Client, LocalCluster
from pydicom.data import get_testdata_file
from rich.console import Console
from rich.table import Table

import pipeline
import runner
from pipeline import catalog
from pipeline.executors.clusters.defaults import dask_defaults
from pipeline.executors.executor import Distributed
from pipeline.model import FrameIndex, Instance, PixelFormat
from pipeline.plan import Layout, digest, make_plan, task_inputs
from pipeline.storage import OutputDir
from runner import common

PER_SERIES = 50
GIB = 2**30
PLAN_SECONDS, PLAN_BYTES, PLAN_GROWTH = 60, 2 * GIB, 1.5
RATE, TASK_BYTES, TASK_GROWTH = 0.9, 2 * GIB, 1.25
DRIVER_SHARE = 0.10
_UID = "1.2.826.0.1.3680043.8.498"


def memory(name: str) -> int:
    """Return a line of this process' status in bytes: VmRSS, or VmHWM for the peak."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def instances(count: int) -> Iterator[Instance]:
    """Yield single-frame CT instances like the scan's: equal values are one object."""
    pixels = PixelFormat(512, 512, 1, "int16", "MONOCHROME2")
    axial = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    options = {"rows": 512, "columns": 512, "bits_allocated": 16, "bits_stored": 16, "pixel_representation": 1}
    index = FrameIndex("1.2.840.10008.1.2.1", 1, options, 6000, 2**19, frame_bits=2**22).to_bytes()
    for number in range(count):
        series, slice_ = divmod(number, PER_SERIES)
        if slice_ == 0:
            study, uid = f"{_UID}.{series // 4:020}", f"{_UID}.{series:030}"
            patient = blake2b(study.encode(), digest_size=48).digest()
        yield Instance(
            *(f"/archive/{series // 4:06}/{series:06}/IM{slice_:06}.dcm", 530_000, 1_700_000_000_000_000_000 + number),
            *(study, uid, f"{uid}.{slice_}", "CT", "1.2.840.10008.1.2.1", pixels, 1, 2**19, number // 64, number % 64),
            frame_index=index,
            position=(-200.0, -200.0, slice_ * 1.25),
            orientation=axial,
            instance_number=slice_ + 1,
            image_type="ORIGINAL\\PRIMARY\\AXIAL",
            patient=patient,
        )


def plan_one(count: int) -> dict[str, float]:
    """Plan `count` instances and return the costs; in a fresh process, for its peak."""
    before = memory("VmRSS")
    made: Any = list(instances(count))
    row: dict[str, float] = {"instances": count, "instance_bytes": (memory("VmRSS") - before) / count}

    def step(name: str, function: Callable[[], Any]) -> Any:
        begin, processor = time.perf_counter(), time.process_time()
        result = function()
        row[f"{name}_s"], row[f"{name}_cpu"] = time.perf_counter() - begin, time.process_time() - processor
        return result

    with tempfile.TemporaryDirectory(prefix="dcm2zarr-scale-") as out:
        plan: Any = step("plan", lambda: make_plan(made, Layout()))
        row["driver_bytes"], row["tasks"] = (memory("VmRSS") - before) / count, len(plan.tasks)
        known = step("digest", lambda: digest(plan))
        step("write", lambda: catalog.write_plan(OutputDir.of(out), plan))
        made = plan = None  # the reading process has no other plan
        again = step("read", lambda: catalog.read_plan(OutputDir.of(out)))
    step("inputs", lambda: sum(1 for _ in task_inputs(again)))
    if digest(again) != known:
        sys.exit("the plan read isn't the plan written")
    return row | {"peak_bytes": memory("VmHWM")}


def plans(counts: Sequence[int]) -> bool:
    """Plan each number of instances; return whether the limits hold."""
    commands = [runner.command("campaigns", "scale", "plan", "--json", "--instances", count) for count in counts]
    found = [subprocess.run(one, env=runner.environment(), check=True, capture_output=True) for one in commands]
    rows = [json.loads(one.stdout) for one in found]
    steps = ("plan", "digest", "write", "read", "inputs")
    table = Table("instances", "tasks", *(f"{step}, s" for step in steps), "µs each", "driver, B each", "peak, MiB")
    for row in rows:
        row["each"] = sum(row[f"{step}_cpu"] for step in steps) / row["instances"]
        table.add_row(
            *(f"{row['instances']:,}", f"{row['tasks']:,}", *(f"{row[f'{step}_s']:.1f}" for step in steps)),
            *(f"{row['each'] * 1e6:.0f}", f"{row['driver_bytes']:.0f}", f"{row['peak_bytes'] / 2**20:.0f}"),
        )
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    largest = rows[-1]
    seconds = sum(largest[f"{step}_s"] for step in steps)
    growth = largest["each"] / rows[max(len(rows) - 2, 0)]["each"]
    print(f"{seconds:.0f} s in all for the most; time an instance grew by {growth:.2f}")
    return seconds < PLAN_SECONDS and largest["peak_bytes"] < PLAN_BYTES and growth < PLAN_GROWTH


def nothing(item: int) -> int:
    """Do nothing."""
    return item


def drive(client: Client, count: int) -> dict[str, float]:
    """Drive tasks through the run's window."""
    marks, peak = [time.perf_counter()], 0
    for number, outcome in enumerate(Distributed(client).map(nothing, range(count), name="nothing"), 1):
        if outcome.error is not None:
            raise outcome.error
        if number % (count // 10) == 0:
            marks.append(time.perf_counter())
            peak = max(peak, memory("VmRSS"))
    half = len(marks) // 2
    return {
        "rate": count / (marks[-1] - marks[0]),
        "growth": (marks[-1] - marks[half]) / (len(marks) - 1 - half) / ((marks[half] - marks[0]) / half),
        "bytes": peak,
    }


def bare(client: Client, count: int) -> float:
    """Return the rate of ``client.map`` of the same tasks."""
    begin = time.perf_counter()
    client.gather(client.map(nothing, range(count), pure=False))
    return count / (time.perf_counter() - begin)


def tasks(count: int, workers: int, rounds: int = 5) -> bool:
    """Drive `count` tasks in `rounds` turns of both ways; return whether the limits hold."""
    part = count // rounds
    options = {"threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": None, "silence_logs": "ERROR"}
    with (
        dask.config.set(dask_defaults()),
        LocalCluster(n_workers=workers, scheduler_kwargs={"dashboard_address": "127.0.0.1:0"}, **options) as local,
        Client(local) as client,
    ):
        bare(client, 500)
        pairs = []
        for _ in range(rounds):
            pairs.append((drive(client, part), bare(client, part)))
            ours, plain = pairs[-1]
            print(
                f"window {ours['rate']:.0f}/s, client.map {plain:.0f}/s, driver {ours['bytes'] / 2**20:.0f} MiB",
                flush=True,
            )
    ratio = sum(plain for _, plain in pairs) and median(ours["rate"] / plain for ours, plain in pairs)
    halves = [ours["rate"] for ours, _ in pairs]
    growth = max(median(ours["growth"] for ours, _ in pairs), halves[0] / halves[-1])
    peak = max(ours["bytes"] for ours, _ in pairs)
    each = 1e3 / median(halves)
    print(
        f"{count:,} tasks: {ratio:.2f} of client.map's rate, {each:.2f} ms a task, growth {growth:.2f}, peak {peak / 2**20:.0f} MiB"
    )
    return ratio >= RATE and peak < TASK_BYTES and growth < TASK_GROWTH


def write_files(folder: Path, count: int, series: int) -> None:
    """Write single-frame CT files of 64 x 64 pixels: one is encoded, the others are its bytes with other values."""
    marks = {"series": f"{_UID}.1.99999", "study": f"{_UID}.2.99999", "slice": f"{_UID}.3.99999.99999"}
    ds = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    ds.Rows = ds.Columns = 64
    ds.SeriesInstanceUID, ds.StudyInstanceUID, ds.SOPInstanceUID = marks.values()
    ds.file_meta.MediaStorageSOPInstanceUID = marks["slice"]
    ds.InstanceNumber, ds.ImagePositionPatient[2] = "70001 ", "70002.00"
    ds.PixelData = b"\x12\x34\x56\x78" * 2048
    buffer = io.BytesIO()
    ds.save_as(buffer)
    template = buffer.getvalue()
    for number in range(count):
        one, slice_ = number % series, number // series
        data = template.replace(ds.PixelData, number.to_bytes(4, "little") * 2048)
        for mark, value in (
            *((marks["series"], f"{_UID}.1.{10_000 + one}"), (marks["study"], f"{_UID}.2.{10_000 + one // 4}")),
            *(
                (marks["slice"], f"{_UID}.3.{10_000 + one}.{10_000 + slice_}"),
                ("70001 ", f"{slice_ + 1:<6}"),
                ("70002.00", f"{slice_:<8}"),
            ),
        ):
            data = data.replace(mark.encode(), value.encode())
        path = folder / f"{one:05}" / f"{slice_:05}.dcm"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)


def processor_seconds(whose: int) -> float:
    """Return the processor time of this process, or of its children that have ended."""
    used = resource.getrusage(whose)
    return used.ru_utime + used.ru_stime


def files(count: int, series: int, workers: int) -> bool:
    """Convert many small files; return whether driver and scheduler take little processor time."""
    with tempfile.TemporaryDirectory(prefix="dcm2zarr-scale-") as name:
        folder = Path(name)
        (folder / "in").mkdir()
        write_files(folder / "in", count, series)
        parties = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        before = [processor_seconds(whose) for whose in parties]
        begin = time.perf_counter()
        summary = pipeline.convert(folder / "in", folder / "out", cluster={"kind": "local", "workers": workers})
        seconds = time.perf_counter() - begin
        driver, busy = (processor_seconds(whose) - b for whose, b in zip(parties, before, strict=True))
    share = driver / (driver + busy)
    table = Table("", "seconds", "ms a file")
    for phase, spent in summary.phase_seconds.items():
        table.add_row(phase, f"{spent:.1f}", f"{spent / count * 1e3:.2f}")
    table.add_row("in all, start of the workers included", f"{seconds:.1f}", f"{seconds / count * 1e3:.2f}")
    table.add_row("driver and scheduler, processor", f"{driver:.1f}", f"{driver / count * 1e3:.2f}")
    table.add_row("workers, processor", f"{busy:.1f}", f"{busy / count * 1e3:.2f}")
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    print(
        f"{count:,} files: driver and scheduler take {share:.1%} of the processor time; peak {memory('VmHWM') / 2**20:.0f} MiB"
    )
    return summary.exit_code == 0 and share < DRIVER_SHARE


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    common(parser, workers=2)
    parser.add_argument("what", choices=("plan", "tasks", "files"))
    parser.add_argument("--instances", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--series", type=int, default=500)
    parser.add_argument("--json", action="store_true", help="plan: one number of instances, figures only")


def main(given: argparse.Namespace) -> int:
    """Run one of the simulations."""
    if given.json:
        print(json.dumps(plan_one(given.instances[0])))
        return 0
    kept = {
        "plan": lambda: plans(given.instances),
        "tasks": lambda: tasks(given.tasks, given.workers),
        "files": lambda: files(given.files, given.series, given.workers),
    }[given.what]()
    return int(not kept)
