"""Source folders that change at random between runs that are interrupted at random: the result must always be right.

    scripts/campaign growth [--rounds 100] [--steps 8] [--seed 1] [--kill] [--keep FOLDER]

Each round converts a folder again and again. Before each run something happens to the folder: slices of new or known series
come, multi-frame files, copies of existing files, files that aren't images, damaged ones; stored files get other
pixels, move to another series, are touched, or can no longer be stored; damaged ones are repaired and
originals are deleted. Two runs in five are interrupted when a file takes its name or the ledger grows, at random, up to
twice, and repeated; with ``--kill`` by SIGKILL, in a process of their own. After every completed run: each file that ever
existed has exactly one row, with the right status; each converted one leads to its own pixels, whether it
still exists or not; the content of a copy, or of a file that can no longer be stored, is in some image; ``verify`` finds
nothing; and the same command again has nothing to do. Prints a table. Exits with 1 if any of this fails.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import random
import shutil
import signal
import subprocess
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pydicom
import zarr
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless
from rich.console import Console
from rich.table import Table

import pipeline
import runner
from pipeline.output.ledger import Ledger
from pipeline.report import RunSummary
from pipeline.verify import verify
from runner import common
from support.stored_frames import stored_frames

SECONDS = 120
"""Seconds within which every run must end."""
INTERRUPTED = 0.4
DELETED = 0.3
MOST_WRITES = 80
COPY = "copy"
"""Expected status of a file whose content is stored, in its own image or in another file's."""


@dataclass(slots=True)
class Tally:
    """The work done, and what is wrong."""

    changes: Counter[str] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)
    files: Counter[str] = field(default_factory=Counter)
    """Rows by status and reason, at the end of the rounds."""
    wrong: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Folder:
    """A source folder that changes, and the expected outcome of its files."""

    place: Path
    random: random.Random
    expected: dict[str, str] = field(default_factory=dict)
    """Name of every file that ever existed → its expected status."""
    converted: set[str] = field(default_factory=set)
    """Names of files that a run has converted."""
    serial: int = 0
    kill: bool = False
    """Whether interrupted runs are killed."""

    @property
    def source(self) -> Path:
        """The source folder."""
        return self.place / "in"

    @property
    def kept(self) -> Path:
        """A folder that keeps a copy of every file."""
        return self.place / "kept"

    def changes(self) -> list[str]:
        """Make random changes and return their names. Files are removed only if a run has seen them, and before others come."""
        gone = ["deleted"] if self.random.random() < DELETED and self.deleted() else []
        return [*gone, *(self.change() for _ in range(self.random.randrange(1, 4)))]

    def change(self) -> str:
        """Add files of a random kind and return its name."""
        happens: Callable[[], bool] = self.random.choice(
            (
                self.slices,
                self.slices,
                self.multi_frame,
                self.copy,
                self.no_image,
                self.damaged,
                self.changed,
                self.changed,
                self.moved,
                self.touched,
                self.spoilt,
                self.repaired,
            )
        )
        return happens.__name__ if happens() else "nothing"

    def slices(self) -> bool:
        """Add slices of one of a few series."""
        series = f"1.2.3.{self.random.randrange(3)}"
        ds = pydicom.dcmread(get_testdata_file("CT_small.dcm", download=False))
        ds.SeriesInstanceUID = series
        for _ in range(self.random.randrange(1, 4)):
            self.serial += 1
            # between and behind those that are there, so that stacks grow anywhere
            ds.InstanceNumber = self.random.randrange(1000)
            ds.ImagePositionPatient = [0, 0, ds.InstanceNumber]
            self.put(ds, f"slice-{self.serial:03}.dcm", "converted")
        return True

    def multi_frame(self) -> bool:
        """Add a file that becomes an image of its own."""
        name = self.random.choice(("rtdose_rle.dcm", "SC_rgb_rle_2frame.dcm", "JPEG2000.dcm"))
        self.serial += 1
        self.put(pydicom.dcmread(get_testdata_file(name, download=False)), f"image-{self.serial:03}.dcm", "converted")
        return True

    def put(self, ds: pydicom.Dataset, name: str, status: str) -> None:
        """Write a file with a new UID."""
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.4.{self.serial}"
        ds.save_as(self.kept / name)
        shutil.copy2(self.kept / name, self.source)
        self.expected[name] = status

    def copy(self) -> bool:
        """Copy an existing file."""
        there = [path for path in sorted(self.source.iterdir()) if self.expected[path.name] == "converted"]
        if not there:
            return False
        self.serial += 1
        name = f"x-copy-{self.serial:03}.dcm"  # the first by name is kept where both come at once
        shutil.copy2(self.random.choice(there), self.kept / name)
        shutil.copy2(self.kept / name, self.source)
        self.expected[name] = COPY
        return True

    def stored(self) -> list[str]:
        """Return the names of existing files that haven't changed since a run converted them."""
        return [name for name in sorted(self.converted) if (self.source / name).exists()]

    def rewrite(self, change: Callable[[pydicom.Dataset], None]) -> bool:
        """Change a stored file."""
        there = [name for name in self.stored() if name.startswith("slice")]
        if not there:
            return False
        name = self.random.choice(there)
        ds = pydicom.dcmread(self.kept / name)
        change(ds)
        ds.save_as(self.kept / name)
        shutil.copy(self.kept / name, self.source)
        self.expected[name] = "converted"
        return True

    def changed(self) -> bool:
        """Give a slice other pixels."""

        def change(ds: pydicom.Dataset) -> None:
            self.serial += 1
            ds.PixelData = np.full_like(ds.pixel_array, self.serial).tobytes()

        return self.rewrite(change)

    def moved(self) -> bool:
        """Move a slice to another series."""

        def change(ds: pydicom.Dataset) -> None:
            ds.SeriesInstanceUID = f"1.2.3.{self.random.randrange(3)}"
            ds.InstanceNumber = self.random.randrange(1000)

        return self.rewrite(change)

    def touched(self) -> bool:
        """Give some files another time of change."""
        there = self.stored()
        for name in self.random.sample(there, min(len(there), 3)):
            (self.source / name).touch()
        return bool(there)

    def spoilt(self) -> bool:
        """Make a file impossible to store, visibly in the header or only in a frame."""
        there = self.stored()
        if not there:
            return False
        name = self.random.choice(there)
        data = (self.kept / name).read_bytes()
        tails = (b"", data[:-300], data[:200], b"nothing")
        (self.source / name).write_bytes(self.random.choice(tails) or broken(data))
        self.expected[name] = "failed"
        return True

    def no_image(self) -> bool:
        """Add a file that isn't DICOM."""
        self.serial += 1
        name = f"notes-{self.serial:03}.txt"
        (self.source / name).write_text(f"notes {self.serial}", "utf-8")
        shutil.copy2(self.source / name, self.kept)
        self.expected[name] = "rejected"
        return True

    def damaged(self) -> bool:
        """Add a file that was cut."""
        self.serial += 1
        name = f"damaged-{self.serial:03}.dcm"
        self.put(pydicom.dcmread(get_testdata_file("rtdose_rle.dcm", download=False)), name, "failed")
        data = (self.kept / name).read_bytes()
        # at a few bytes the header fails, at many the frames
        (self.source / name).write_bytes(data[: -self.random.choice((300, 3000, len(data) - 2000))])
        return True

    def repaired(self) -> bool:
        """Replace damaged files by whole ones."""
        broken = [name for name, status in self.expected.items() if status == "failed"]
        for name in broken:
            shutil.copy(self.kept / name, self.source)
            # a copy of what it held before may be stored by now
            self.expected[name] = COPY if name in self.converted else "converted"
        return bool(broken)

    def deleted(self) -> bool:
        """Delete originals that have been converted."""
        there = self.stored()
        for name in self.random.sample(there, min(len(there), 2)):
            (self.source / name).unlink()
        return bool(there)


def broken(data: bytes) -> bytes:
    """Return a file whose pixel data have a form that a decoder refuses."""
    ds = pydicom.dcmread(io.BytesIO(data))
    ds.file_meta.TransferSyntaxUID = JPEG2000Lossless
    ds.PixelData = encapsulate([b"\xff\x4f\xff\x51nothing"] * int(ds.get("NumberOfFrames", 1)))
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    written = io.BytesIO()
    ds.save_as(written)
    return written.getvalue()


def convert(folder: Folder) -> RunSummary:
    """Convert the folder, in small tasks."""
    return pipeline.convert(
        folder.source,
        folder.place / "out",
        cluster={"kind": "synchronous", "task_work": 2**19},
        output={"shard": 3000},
        report={"images": 2},
    )


def run(folder: Folder, tally: Tally) -> RunSummary:
    """Convert the folder, sometimes with interruptions."""
    for _ in range(2):
        if folder.random.random() < INTERRUPTED:
            after = folder.random.randrange(1, MOST_WRITES)
            if folder.kill:
                tally.runs["killed"] += killed(folder, after)
                continue
            with interruption(after):
                try:
                    convert(folder)
                except KeyboardInterrupt:
                    tally.runs["interrupted"] += 1
    summary = convert(folder)
    tally.runs["to the end"] += 1
    return summary


def killed(folder: Folder, after: int) -> bool:
    """Convert the folder in a process that is killed at its `after`-th write; return whether it was killed."""
    command = runner.command("campaigns", "growth", "--convert", folder.place, "--after", after)
    environment = runner.environment()
    return (
        subprocess.run(command, env=environment, capture_output=True, check=False, timeout=SECONDS).returncode
        == -signal.SIGKILL
    )


def interrupt() -> None:
    """End the run as Ctrl-C does."""
    raise KeyboardInterrupt


def kill() -> None:
    """End the process at once."""
    os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def interruption(after: int, end: Callable[[], None] = interrupt) -> Iterator[None]:
    """Interrupt when the ledger is appended to, or a file or folder takes its name, for the `after`-th time."""
    left = after
    rename, append = os.replace, Ledger._append  # noqa: SLF001  where nobody else can be in between

    def count() -> None:
        nonlocal left
        left -= 1
        if not left:
            end()

    def replacing(source: Any, target: Any, **known: Any) -> None:
        count()
        rename(source, target, **known)

    def appending(book: Ledger, record: Any) -> None:
        count()
        append(book, record)

    os.replace, Ledger._append = replacing, appending  # type: ignore[assignment, method-assign]  # noqa: SLF001
    try:
        yield
    finally:
        os.replace, Ledger._append = rename, append  # type: ignore[method-assign]  # noqa: SLF001


def problems(folder: Folder) -> Iterator[str]:
    """Yield what is wrong after a run."""
    out = folder.place / "out"
    rows = pq.read_table(out / "catalog.parquet").to_pylist()
    names = Counter(Path(row["source"]).name for row in rows)
    for name in sorted(names.keys() | folder.expected.keys()):
        if names[name] != (name in folder.expected):
            yield f"{name}: {names[name]} rows"
    stored = frames_of(out)
    for row in rows:
        name = Path(row["source"]).name
        wanted = folder.expected.get(name)
        if row["status"] not in ({"skipped", "converted"} if wanted == COPY else {wanted}):
            yield f"{name}: {row['status']} ({row['reason']}: {row['message']}) instead of {wanted}"
        elif row["status"] == "converted" and not is_own(out, row, folder.kept / name):
            yield f"{name}: other pixels in {row['image']} at {row['frame_start']}"
        elif (wanted == COPY or name in folder.converted) and not frames_in(folder.kept / name) <= stored:
            yield f"{name}: what it holds, or held before it could not be stored any more, is nowhere"
    found = verify(out, cluster={"kind": "synchronous"})
    yield from (f"verify: {problem.code} {problem.where}: {problem.message}" for problem in found.problems)


def is_own(out: Path, row: dict[str, Any], original: Path) -> bool:
    """Return whether a row leads to the pixels of its original."""
    pixels = zarr.open_array(out / "images.zarr" / row["image"] / "pixels", mode="r")
    stored = stored_frames(pixels, slice(row["frame_start"], row["frame_start"] + row["num_frames"]))
    wanted = pydicom.dcmread(original).pixel_array
    return bool(np.array_equal(stored.reshape(wanted.shape), wanted))


def frames_of(out: Path) -> set[bytes]:
    """Return the digests of all stored frames."""
    groups = (path.parent for path in (out / "images.zarr").rglob("pixels/zarr.json"))
    arrays = (stored_frames(zarr.open_array(group, mode="r")) for group in groups)
    return {digest(frame) for array in arrays for frame in array}


def frames_in(path: Path) -> set[bytes]:
    """Return the digests of a file's frames."""
    ds = pydicom.dcmread(path)
    array = ds.pixel_array
    return set(map(digest, array if ds.get("NumberOfFrames", 1) > 1 else array[None]))


def digest(frame: np.ndarray[Any, Any]) -> bytes:
    """Return a digest that tells a frame from others."""
    return hashlib.sha256(np.ascontiguousarray(frame)).digest()


def a_round(folder: Folder, steps: int, tally: Tally) -> None:
    """Let the folder change and be converted, again and again; stop at the first error."""
    folder.source.mkdir(parents=True)
    folder.kept.mkdir()
    history: list[str] = []
    for _ in range(steps):
        history += (happened := folder.changes())
        tally.changes.update(happened)
        signal.alarm(SECONDS)
        try:
            run(folder, tally)
            wrong = list(problems(folder))
            folder.converted |= {name for name, status in folder.expected.items() if status == "converted"}
            if not convert(folder).unchanged:
                wrong.append("the same command again had something to do")
        except Exception:  # noqa: BLE001  that a run ends so is what is looked for
            wrong = [traceback.format_exc()]
        finally:
            signal.alarm(0)
        if wrong:
            tally.wrong += [f"{folder.place.name}, after {', '.join(history)}: {text}" for text in wrong]
            return
    rows = pq.read_table(folder.place / "out" / "catalog.parquet", columns=["status", "reason"]).to_pylist()
    tally.files.update(f"{row['status']} {row['reason'] or ''}".strip() for row in rows)


def show(tally: Tally, rounds: int) -> None:
    """Print the work done, and what is wrong."""
    table = Table("what", "how often")
    for counts in (tally.changes, tally.runs, tally.files):
        for name, number in sorted(counts.items()):
            table.add_row(name.replace("_", " "), str(number))
        table.add_section()
    console = Console()
    console.print(table)
    console.print(f"{rounds} rounds, {tally.runs.total()} runs; {len(tally.wrong)} differences")
    for text in tally.wrong[:50]:
        console.print(f"  {text}", markup=False)


def campaign(place: Path, rounds: int, steps: int, seed: int, *, kill: bool = False) -> Tally:
    """Run all rounds in folders below `place`."""

    def hang(*_: object) -> None:
        raise TimeoutError(f"a run did not end within {SECONDS} s")

    tally = Tally()
    handler = signal.signal(signal.SIGALRM, hang)
    try:
        for number in range(rounds):
            # seeded for repeatability: nothing here is a secret
            folder = Folder(place / f"round-{number}", random.Random(seed * 100_000 + number), kill=kill)  # noqa: S311
            before = len(tally.wrong)
            a_round(folder, steps, tally)
            if len(tally.wrong) == before:
                shutil.rmtree(folder.place)
    finally:
        signal.signal(signal.SIGALRM, handler)
    return tally


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    common(parser, rounds=100, seed=1, keep=None)
    parser.add_argument("--steps", type=int, default=8, help="changes and runs per round")
    parser.add_argument("--kill", action="store_true", help="end runs by SIGKILL instead of interrupting them")
    parser.add_argument("--convert", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--after", type=int, help=argparse.SUPPRESS)


def main(given: argparse.Namespace) -> int:
    """Run the campaign, and print a table."""
    if given.convert:
        with interruption(given.after, kill):
            convert(Folder(given.convert, random.Random()))  # noqa: S311
        return 0
    with tempfile.TemporaryDirectory(prefix="dcm2zarr-growth-") as temporary:
        place = given.keep or Path(temporary)
        tally = campaign(place, given.rounds, given.steps, given.seed, kill=given.kill)
    show(tally, given.rounds)
    return int(bool(tally.wrong))
