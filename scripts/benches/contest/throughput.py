"""Frames per second of the four contenders, one input after the other."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Self

import numpy as np
import zarr
from distributed import Client

from benches.contest import limit, peers, plugins, project
from benches.contest.inputs import DISTINCT, Input, Made, make
from pipeline.output.flushing import flush
from pipeline.storage import OutputDir

CONTENDERS = ("serial", "delayed", "project", "limit")
SHARE = 16
"""The slow contenders convert this part of the input, but at least …"""
LEAST = 250
"""… this many frames if there are; figures are frames per second."""
LOSSY = ("jpeg", "jpeg-2000")
LOSSY_LEVELS = 2
"""Grey levels by which their decoders may differ: GDCM, Pillow and imagecodecs round differently."""


@dataclass(slots=True)
class Contest:
    """The contenders' processes, running and warm, and the costs of starting them."""

    workers: int
    folder: Path
    startup_seconds: dict[str, float] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)
    _serial: Any = None
    _delayed: Any = None
    _project: Any = None
    _limit: Any = None
    _one_core: Any = None

    def __enter__(self) -> Self:
        context = get_context("spawn")
        self._serial = self._start("serial", lambda: ProcessPoolExecutor(1, context, initializer=plugins.use))
        self._limit = self._start("limit", lambda: ProcessPoolExecutor(self.workers, context))
        self._delayed = self._start("delayed", lambda: project.plain_cluster(self.workers))
        self._project = self._start("project", lambda: project.cluster(self.workers))
        with Client(self._delayed) as client:
            client.run(plugins.use)
        self._one_core = self._stack.enter_context(ProcessPoolExecutor(1, context, initializer=plugins.use_on_one_core))
        return self

    def _start(self, name: str, make_it: Callable[[], Any]) -> Any:
        begin = time.perf_counter()
        started = self._stack.enter_context(make_it())
        if isinstance(started, ProcessPoolExecutor):  # it starts its processes with the first tasks
            list(started.map(time.sleep, [0.1] * self.workers))
        self.startup_seconds[name] = time.perf_counter() - begin
        return started

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def run(self, contender: str, made: Made, out: str) -> Any:
        """Convert `made` into `out`; return the contender's report."""
        return getattr(self, f"_run_{contender}")(made, out)

    def _run_serial(self, made: Made, out: str) -> None:
        self._serial.submit(peers.serial, made, out).result()

    def _run_delayed(self, made: Made, out: str) -> None:
        with Client(self._delayed):
            peers.delayed(made, out)

    def _run_project(self, made: Made, out: str) -> dict[str, float]:
        return project.convert(made, out, self._project.scheduler_address)

    def _run_limit(self, made: Made, out: str) -> list[list[int]]:
        return limit.run(self._limit, made, out)

    def other_loops(self, check: Made, part: Made, whole: Made, out: str) -> dict[str, float]:
        """Return the frames per second of the serial loop on one core, and with chunks that zarr chooses."""
        self._one_core.submit(peers.serial, check, out).result()  # warm
        shutil.rmtree(out)
        begin = time.perf_counter()
        self._one_core.submit(peers.serial, part, out).result()
        flush(OutputDir.of(out))
        one_core = len(part.places) / (time.perf_counter() - begin)
        shutil.rmtree(out)
        own_chunks = self._serial.submit(peers.own_chunks_rate, whole, out).result()
        shutil.rmtree(out)
        return {"one_core": one_core, "own_chunks": own_chunks}

    def plugin_of(self, made: Made) -> str:
        """Return the decoding plugin that pydicom tries first."""
        return self._serial.submit(peers.plugin_of, made).result()


@dataclass(frozen=True, slots=True)
class Throughput:
    """One input's figures."""

    input: str
    title: str
    frames: dict[str, int]
    """Frames converted, by contender."""
    frame_bytes: int
    """Bytes of a decoded frame."""
    encoded_bytes: int
    """Bytes of a frame in the file, on average."""
    seconds: dict[str, list[float]]
    """Wall time of each round, by contender."""
    phases: dict[str, float]
    """Seconds of the phases in the project's median round."""
    plugin: str
    """Plugin that pydicom tries first."""
    other_loops: dict[str, float]
    """Frames per second of :meth:`Contest.other_loops`."""

    def rate(self, contender: str) -> float:
        """Frames per second, median over the rounds."""
        return self.frames[contender] / statistics.median(self.seconds[contender])


def measure(contest: Contest, kind: Input, frames: int, rounds: int, say: Callable[[str], None]) -> Throughput:
    """Check that all contenders store the same frames, then time them alternately, each until its output is on the disk."""
    folder = contest.folder / kind.name
    pictures = kind.pictures(min(frames, DISTINCT))
    sizes = {"check": min(frames, 2 * DISTINCT), "part": min(frames, max(LEAST, frames // SHARE)), "whole": frames}
    files = {name: make(kind, count, folder / name, pictures) for name, count in sizes.items()}
    say("checking that all contenders store the same")
    check_equal(contest, files["check"])
    chosen = {name: files["whole" if name in ("project", "limit") else "part"] for name in CONTENDERS}
    seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    phases: list[dict[str, float]] = []
    for number in range(rounds):
        # each round begins with another contender, so that none always follows the same one
        for name in CONTENDERS[number % 4 :] + CONTENDERS[: number % 4]:
            out = folder / "out"
            begin = time.perf_counter()
            reported = contest.run(name, chosen[name], str(out))
            flush(OutputDir.of(out))
            seconds[name].append(time.perf_counter() - begin)
            say(f"round {number + 1}: {name} {len(chosen[name].places) / seconds[name][-1]:.0f} frames/s")
            phases += [reported] if name == "project" else []
            shutil.rmtree(out)
    say("the serial loop on one core, and with zarr's own chunks")
    other_loops = contest.other_loops(files["check"], files["part"], files["whole"], str(folder / "out"))
    median = sorted(range(rounds), key=seconds["project"].__getitem__)[rounds // 2]
    result = Throughput(
        input=kind.name,
        title=kind.title,
        frames={name: len(made.places) for name, made in chosen.items()},
        frame_bytes=files["whole"].frame_bytes,
        encoded_bytes=files["whole"].encoded_bytes // frames,
        seconds=seconds,
        phases=phases[median],
        plugin=contest.plugin_of(files["check"]),
        other_loops=other_loops,
    )
    shutil.rmtree(folder)
    return result


def check_equal(contest: Contest, made: Made) -> None:
    """Raise if a contender stores other pixels than the first one; this also warms the contenders up."""
    out = {name: str(contest.folder / f"check-{name}") for name in CONTENDERS}
    reported = {name: contest.run(name, made, out[name]) for name in CONTENDERS}
    frames: dict[str, Iterator[Any]] = {
        "serial": iter(zarr.open_array(out["serial"], mode="r")),
        "delayed": iter(zarr.open_array(out["delayed"], mode="r")),
        "project": project.read_back(out["project"]),
        "limit": limit.read_back(made, out["limit"], reported["limit"]),
    }
    tolerance = LOSSY_LEVELS if made.input.coding in LOSSY else 0
    for number, expected in enumerate(frames["serial"]):
        for name in CONTENDERS[1:]:
            difference = np.abs(np.subtract(next(frames[name]), expected, dtype=np.int64)).max()
            if difference > tolerance:
                raise RuntimeError(f"{made.input.name}: frame {number} of {name} differs by {difference}")
    for path in out.values():
        shutil.rmtree(path)
