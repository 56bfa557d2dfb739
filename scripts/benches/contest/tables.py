"""The figures as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence

from benches.contest.goals import GOALS, MEMORY_FLAT
from benches.contest.results import Results
from benches.contest.throughput import CONTENDERS, LEAST, SHARE, Throughput

_INTRODUCTION = f"""\
(a) *serial*: a loop over `iter_pixels` into a zarr array with zarr's default codec and one chunk a frame. (b) *delayed*: \
the same as a `dask.delayed` task for each frame, `da.stack(…).to_zarr`. (c) *dcm2zarr*, from files to the finished \
result: scan, plan, convert, finalise, catalog and report. (d) *limit*: processes that know where each frame's bytes lie \
and do nothing but read, decode with the fastest C codec, compress with the same blosc and write.

(b), (c) and (d) have one process for each core, already running: what starting them takes is below. (a) and (b) decode \
with what pydicom tries first where GDCM is installed, and convert a {SHARE}th of the frames, at least {LEAST}. Contenders alternate; \
figures are medians. Before anything is timed, all four convert the same file and their pixels are compared: equal to \
the bit, and within 2 grey levels for lossy JPEG and JPEG 2000. ✓ and ✗ tell whether a ratio reaches this project's goal.
"""

_LOOPS = """\
What (a) is depends on two things that the loop doesn't say. GDCM decodes JPEG 2000 with a thread for each core, so there \
(a) has all cores: beside it, the same loop kept on one core. And (a) gives zarr one chunk a frame: beside it, the same \
loop into a default zarr array, whose chunks zarr chooses (they span many frames, each of which rewrites them; the first \
frames of the whole file, while the chunks are still nearly empty). Each was run once.
"""


def markdown(results: Results) -> str:
    """Return the whole report."""
    parts = ["# Benchmark", "", "Made by `scripts/bench`; do not edit.", ""]
    parts += [f"- {name}: {text}" for name, text in results.machine.items()]
    parts += [f"- {name}: {value}" for name, value in results.settings.items()]
    parts += ["", "## Frames a second", "", _INTRODUCTION, throughput_table(results), "", "![](throughput.svg)", ""]
    if results.startup_seconds:
        times = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in results.startup_seconds.items())
        parts += [f"Starting the processes: {times}.", ""]
    parts += ["## Other serial loops", "", _LOOPS, _other_loops(results), ""]
    parts += ["## Where the project's time goes", "", "Wall seconds of the median round.", "", _phases(results), ""]
    if results.memory:
        parts += ["## Memory", "", *_memory(results)]
    parts += ["## First frame of an untouched file", "", _latency(results), ""]
    parts += ["## Planning", "", _planning(results), "", "## Strong scaling", "", *_scaling(results)]
    return "\n".join(parts).rstrip() + "\n"


def throughput_table(results: Results) -> str:
    """Return the table of the contenders."""
    head = ("input", "decoder of (a), (b)", "(a) serial", "(b) delayed", "(c) dcm2zarr", "(d) limit")
    return table((*head, "(c)/(a)", "(c)/(b)", "(c)/(d)"), (_row(row) for row in _in_order(results)))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, numbers to the right."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def spread(row: Throughput, name: str) -> float:
    """Return the largest deviation of a round from the median, as a share of it."""
    median = statistics.median(row.seconds[name])
    return max(abs(seconds - median) for seconds in row.seconds[name]) / median


def _in_order(results: Results) -> Iterator[Throughput]:
    return (results.throughput[name] for name in GOALS if name in results.throughput)


def _row(row: Throughput) -> list[str]:
    rates = {name: row.rate(name) for name in CONTENDERS}
    goal = GOALS[row.input]
    ratios = [(name, rates["project"] / rates[name], getattr(goal, name)) for name in ("serial", "delayed", "limit")]
    marks = [f"{ratio:.2f} {'✓' if ratio >= least else '✗'}" for _, ratio, least in ratios]
    return [row.title, row.plugin or "none needed", *(f"{rates[name]:.0f}" for name in CONTENDERS), *marks]


def _other_loops(results: Results) -> str:
    head = ("input", "(a) serial", "on one core", "zarr's own chunks", "(c)/(a)", "(c)/one core", "(c)/own chunks")
    return table(head, (_loops_row(row) for row in _in_order(results)))


def _loops_row(row: Throughput) -> list[str]:
    rates = [row.rate("serial"), row.other_loops["one_core"], row.other_loops["own_chunks"]]
    goal = GOALS[row.input].serial
    ratios = [row.rate("project") / rate for rate in rates]
    marks = [f"{_short(ratio)} {'✓' if ratio >= goal else '✗'}" for ratio in ratios]
    return [row.title, *map(_short, rates), *marks]


def _short(value: float) -> str:
    return f"{value:#.3g}".rstrip(".") if value < 1000 else f"{value:.0f}"  # noqa: PLR2004  else it has an exponent


def _phases(results: Results) -> str:
    names = ("scan", "plan", "convert", "finalise")
    head = ("input", "frames", *names, "whole run", "largest deviation of a round")
    rows = (
        (
            row.title,
            str(row.frames["project"]),
            *(f"{row.phases.get(name, 0):.2f}" for name in names),
            f"{statistics.median(row.seconds['project']):.2f}",
            f"{100 * spread(row, 'project'):.0f} %",
        )
        for row in _in_order(results)
    )
    return table(head, rows)


def _memory(results: Results) -> Iterator[str]:
    for name, rows in results.memory.items():
        growth = max(row["worker_mib"] for row in rows) / min(row["worker_mib"] for row in rows)
        mark = "✓" if growth <= MEMORY_FLAT else "✗"
        yield table(
            (f"{name}, GiB", "frames", "worker's peak, MiB", "driver's peak, MiB", "decoded MB/s"),
            (
                (
                    f"{row['gib']:.2f}",
                    f"{row['frames']:.0f}",
                    f"{row['worker_mib']:.0f}",
                    f"{row['driver_mib']:.0f}",
                    f"{row['mb_per_second']:.0f}",
                )
                for row in rows
            ),
        )
        yield f"\nThe worker's peak differs by {100 * (growth - 1):.0f} % between sizes {mark}.\n"


def _latency(results: Results) -> str:
    rows = (
        (row["title"], f"{row['frames']}", f"{row['open_dicom']:.1f}", f"{row['iter_pixels']:.1f}")
        for row in results.latency
    )
    return table(("file", "frames", "`open_dicom(path).pixels[-1]`, ms", "`iter_pixels(path, indices=[-1])`, ms"), rows)


def _planning(results: Results) -> str:
    rows = (
        (f"{row['instances']:.0f}", f"{row['seconds']:.2f}", f"{row['microseconds']:.0f}") for row in results.planning
    )
    return table(("instances", "seconds", "µs an instance"), rows)


def _scaling(results: Results) -> Iterator[str]:
    for name, rows in results.scaling.items():
        first = rows[0]
        yield table(
            (f"{name}, workers", "frames/s", "speed-up", "limit, frames/s", "its speed-up"),
            (
                (
                    f"{row['workers']:.0f}",
                    f"{row['project']:.0f}",
                    f"{row['project'] / first['project']:.2f}",
                    f"{row['limit']:.0f}",
                    f"{row['limit'] / first['limit']:.2f}",
                )
                for row in rows
            ),
        )
        yield ""
