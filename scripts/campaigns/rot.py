"""Rot: single bytes changed, files cut, deleted and added in finished results; ``verify`` must notice each.

    scripts/campaign rot [--trials 2000] [--seed 0] [--source FOLDER …]

Converts real files (pydicom's own by default) once, then changes one thing at a time in the result, verifies it,
and restores it. Between the changes the untouched result is verified: nothing may be reported there. Prints a table by
kind of file and kind of change. Exits with 1 if a change went unnoticed, or an untouched result was reported.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.data import get_testdata_file
from rich.console import Console
from rich.progress import track
from rich.table import Table

import pipeline
from pipeline.verify import verify
from runner import common

FILES = (
    *("CT_small.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm", "rtdose_rle.dcm", "SC_rgb_rle_2frame.dcm"),
    *("emri_small.dcm", "SC_rgb_jpeg_dcmtk.dcm", "liver_1frame.dcm"),
)
"""Native, RLE, JPEG 2000 and JPEG; single frames and multi-frame; grey, colour and bit-packed."""
UNTOUCHED_EVERY = 100


@dataclass(slots=True)
class Tally:
    """The outcomes of the trials."""

    trials: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Kind of file and kind of change → trials."""
    missed: list[str] = field(default_factory=list)
    untouched: int = 0
    false_alarms: list[str] = field(default_factory=list)


def make_result(out: Path, sources: list[Path]) -> None:
    """Convert `sources` in shards so small that images have several of them."""
    pipeline.convert(sources, out, cluster={"kind": "synchronous"}, output={"shard": "60 kB"})


def kind_of(path: Path, out: Path) -> str:
    """Return the kind of a file, for the table."""
    parts = path.relative_to(out).parts
    if parts[0] != "images.zarr":
        return parts[0] if len(parts) == 1 else f"{parts[0]}/"
    if path.name == "zarr.json":
        return "zarr.json of an array" if (path.parent / "c").exists() else "zarr.json of a group"
    return "shard" if "pixels" in parts else "per-frame array"


@contextmanager
def changed(path: Path, data: bytes | None) -> Iterator[None]:
    """Give a file other content (None: remove the file) while the block runs."""
    before = path.read_bytes()
    try:
        if data is None:
            path.unlink()
        else:
            path.write_bytes(data)
        yield
    finally:
        path.write_bytes(before)


def flip(path: Path, choice: random.Random) -> bytes:
    """Change one byte."""
    data = bytearray(path.read_bytes())
    data[choice.randrange(len(data))] ^= choice.randrange(1, 256)
    return bytes(data)


def cut(path: Path, choice: random.Random) -> bytes:
    """Cut a file anywhere."""
    data = path.read_bytes()
    return data[: choice.randrange(len(data))]


def grow(path: Path, choice: random.Random) -> bytes:
    """Append bytes to a file."""
    return path.read_bytes() + choice.randbytes(choice.randint(1, 64))


def delete(path: Path, choice: random.Random) -> None:
    """Remove a file."""
    del path, choice


CHANGES: dict[str, tuple[float, Callable[[Path, random.Random], bytes | None]]] = {
    "byte changed": (0.6, flip),
    "cut": (0.15, cut),
    "grown": (0.05, grow),
    "deleted": (0.1, delete),
    "added": (0.1, grow),
}
"""Kind → share of the trials, and the function that makes the change."""
STRAYS = ("c/99/0/0", "0.0.zarr.json.partial", "notes.txt", ".nfs000001", "stray/zarr.json", "zarr.json~")


@contextmanager
def added(path: Path, choice: random.Random) -> Iterator[str]:
    """Add a foreign file beside `path`; return its name."""
    stray = path.parent / choice.choice(STRAYS)
    folders = [folder for folder in stray.parents if not folder.exists()]
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.write_bytes(path.read_bytes())
    try:
        yield str(stray)
    finally:
        stray.unlink()
        for folder in folders:
            folder.rmdir()


def findings(out: Path) -> list[str]:
    """Verify, and return the problems."""
    found = verify(out, cluster={"kind": "synchronous"})
    return [f"{problem.code} {problem.where} {problem.message}" for problem in found.problems]


def run_trials(out: Path, trials: int, seed: int) -> Tally:
    """Make one change after the other in the result below `out`."""
    choice, tally = random.Random(seed), Tally()  # noqa: S311  the same seed is to make the same changes
    groups: dict[str, list[Path]] = {}
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        groups.setdefault(kind_of(path, out), []).append(path)
    for number in track(range(trials), "rot", console=Console(stderr=True), disable=not sys.stderr.isatty()):
        if number % UNTOUCHED_EVERY == 0:
            tally.untouched += 1
            tally.false_alarms += findings(out)
        kind = choice.choice(sorted(groups))
        path = choice.choice(groups[kind])
        change = choice.choices(list(CHANGES), [share for share, _ in CHANGES.values()])[0]
        if change == "added":
            with added(path, choice) as name:
                noticed = findings(out)
        else:
            name = str(path)
            with changed(path, CHANGES[change][1](path, choice)):
                noticed = findings(out)
        tally.trials[kind, change] += 1
        if not noticed:
            tally.missed.append(f"trial {number}: {kind}, {change}: {name}")
    tally.untouched += 1
    tally.false_alarms += findings(out)
    return tally


def table(tally: Tally) -> Table:
    """Return the trials by kind of file and of change."""
    shown = Table("changed in", *CHANGES, "trials")
    for kind in sorted({kind for kind, _ in tally.trials}):
        counts = [tally.trials[kind, change] for change in CHANGES]
        shown.add_row(kind, *map(str, counts), str(sum(counts)))
    totals = [sum(count for (_, name), count in tally.trials.items() if name == change) for change in CHANGES]
    shown.add_row("all", *map(str, totals), str(sum(totals)), style="bold")
    return shown


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    common(parser, seed=0)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--source", type=Path, nargs="+", help="files to convert instead of pydicom's")


def main(given: argparse.Namespace) -> int:
    """Run the campaign and print its table."""
    sources = given.source or [Path(str(get_testdata_file(name, download=False))) for name in FILES]
    with tempfile.TemporaryDirectory(prefix="dcm2zarr-rot-") as folder:
        local = Path(folder) / "in"
        local.mkdir()
        for source in sources:
            (shutil.copytree if source.is_dir() else shutil.copy)(source, local / source.name)
        out = Path(folder) / "out"
        make_result(out, [local])
        begin = time.perf_counter()
        tally = run_trials(out, given.trials, given.seed)
        seconds = time.perf_counter() - begin
    Console().print(table(tally))
    for line in (*tally.missed, *(f"in an untouched result: {alarm}" for alarm in tally.false_alarms)):
        print(line)
    print(
        f"{tally.trials.total() - len(tally.missed)} of {tally.trials.total()} changes noticed, {len(tally.false_alarms)} "
        f"complaints in {tally.untouched} checks of the untouched result, {seconds:.0f} s"
    )
    return int(bool(tally.missed or tally.false_alarms))
