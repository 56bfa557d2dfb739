"""Source folders that change at random between runs that are interrupted at random: the result must always be right.

    scripts/campaign_growth.py [--rounds 100] [--steps 8] [--seed 1] [--keep FOLDER]

Each round converts a folder again and again. Before each run something happens to the folder: slices of new or known series
come, multi-frame files, copies of what is there, files that are no images, damaged ones, or damaged ones are repaired and
originals are deleted. Two runs in five are interrupted when they take a name for a file, at random, up to twice, and given
again. After every run that ended: each file that ever was there has exactly one row, with the status that it must have; each
converted one leads to its own pixels, whether it is still there or not; ``verify`` finds nothing; and the same command
again has nothing to do. Prints a table. Exits with 1 where anything of this isn't so.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pydicom
import zarr
from pydicom.data import get_testdata_file
from rich.console import Console
from rich.table import Table

import pipeline
from pipeline.engine import preparing
from pipeline.ledger import Ledger
from pipeline.report import RunSummary
from pipeline.verify import verify

SECONDS = 60
"""Within which every run must end."""
INTERRUPTED = 0.4
DELETED = 0.3
MOST_WRITES = 40


@dataclass(slots=True)
class Tally:
    """What was done, and what is wrong."""

    changes: Counter[str] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)
    files: Counter[str] = field(default_factory=Counter)
    """Rows by status and reason, at the end of the rounds."""
    wrong: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Folder:
    """A source folder that changes, and what must become of its files."""

    place: Path
    random: random.Random
    expected: dict[str, str] = field(default_factory=dict)
    """Name of every file that ever was there → the status that it must have."""
    converted: set[str] = field(default_factory=set)
    """Names of those that a run has converted."""
    serial: int = 0

    @property
    def source(self) -> Path:
        """Where the files come and go."""
        return self.place / "in"

    @property
    def kept(self) -> Path:
        """Where a copy of every one stays."""
        return self.place / "kept"

    def changes(self) -> list[str]:
        """Let some things happen; returns what. Only what a run has seen goes, before others come."""
        gone = ["deleted"] if self.random.random() < DELETED and self.deleted() else []
        return [*gone, *(self.change() for _ in range(self.random.randrange(1, 4)))]

    def change(self) -> str:
        """Let something come; returns what."""
        happens: Callable[[], bool] = self.random.choice(
            (
                self.slices,
                self.slices,
                self.multi_frame,
                self.copy,
                self.no_image,
                self.damaged,
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
        """Add a file that is an image of its own."""
        name = self.random.choice(("rtdose_rle.dcm", "SC_rgb_rle_2frame.dcm", "JPEG2000.dcm"))
        self.serial += 1
        self.put(pydicom.dcmread(get_testdata_file(name, download=False)), f"image-{self.serial:03}.dcm", "converted")
        return True

    def put(self, ds: pydicom.Dataset, name: str, status: str) -> None:
        """Write a file with a UID of its own."""
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.4.{self.serial}"
        ds.save_as(self.kept / name)
        shutil.copy2(self.kept / name, self.source)
        self.expected[name] = status

    def copy(self) -> bool:
        """Copy a file that is there."""
        there = [path for path in sorted(self.source.iterdir()) if self.expected[path.name] == "converted"]
        if not there:
            return False
        self.serial += 1
        name = f"x-copy-{self.serial:03}.dcm"  # the first by name is kept where both come at once
        shutil.copy2(self.random.choice(there), self.kept / name)
        shutil.copy2(self.kept / name, self.source)
        self.expected[name] = "skipped"
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
            self.expected[name] = "converted"
        return bool(broken)

    def deleted(self) -> bool:
        """Delete originals that have been converted."""
        there = [path for path in sorted(self.source.iterdir()) if path.name in self.converted]
        for path in self.random.sample(there, min(len(there), 2)):
            path.unlink()
        return bool(there)


def convert(folder: Folder) -> RunSummary:
    """Convert the folder, in small tasks."""
    return pipeline.convert(
        folder.source,
        folder.place / "out",
        cluster={"kind": "synchronous"},
        output={"shard": 3000},
        report={"images": 2},
    )


def run(folder: Folder, tally: Tally) -> RunSummary:
    """Convert the folder; sometimes interrupted, and given again."""
    for _ in range(2):
        if folder.random.random() < INTERRUPTED:
            with interruption(folder.random.randrange(1, MOST_WRITES)):
                try:
                    convert(folder)
                except KeyboardInterrupt:
                    tally.runs["interrupted"] += 1
    summary = convert(folder)
    tally.runs["to the end"] += 1
    return summary


@contextmanager
def interruption(after: int) -> Iterator[None]:
    """Interrupt when the ledger is appended to, or a file takes its name, for the `after`-th time."""
    left = after
    rename, append = Path.replace, Ledger._append  # noqa: SLF001  where nobody else can be in between

    def count() -> None:
        nonlocal left
        left -= 1
        if not left:
            raise KeyboardInterrupt

    def replacing(path: Path, target: Any) -> Path:
        count()
        return rename(path, target)

    def appending(book: Ledger, record: Any) -> None:
        count()
        append(book, record)

    Path.replace, Ledger._append = replacing, appending  # type: ignore[method-assign]  # noqa: SLF001
    try:
        yield
    finally:
        Path.replace, Ledger._append = rename, append  # type: ignore[method-assign]  # noqa: SLF001


def problems(folder: Folder) -> Iterator[str]:
    """Yield what is wrong after a run."""
    out = folder.place / "out"
    rows = pq.read_table(out / "catalog.parquet").to_pylist()
    names = Counter(Path(row["source"]).name for row in rows)
    for name in sorted(names.keys() | folder.expected.keys()):
        if names[name] != (name in folder.expected):
            yield f"{name}: {names[name]} rows"
    for row in rows:
        name = Path(row["source"]).name
        if row["status"] != folder.expected.get(name):
            yield f"{name}: {row['status']} ({row['reason']}: {row['message']}) instead of {folder.expected.get(name)}"
        elif row["status"] == "converted" and not is_own(out, row, folder.kept / name):
            yield f"{name}: other pixels in {row['image']} at {row['frame_start']}"
    found = verify(out, cluster={"kind": "synchronous"})
    yield from (f"verify: {problem.code} {problem.where}: {problem.message}" for problem in found.problems)


def is_own(out: Path, row: dict[str, Any], original: Path) -> bool:
    """Whether a row leads to the pixels of its original."""
    pixels = zarr.open_array(out / "images.zarr" / row["image"] / "pixels", mode="r")
    stored = pixels[row["frame_start"] : row["frame_start"] + row["num_frames"]]
    wanted = pydicom.dcmread(original).pixel_array
    return bool(np.array_equal(stored.reshape(wanted.shape), wanted))


def a_round(folder: Folder, steps: int, tally: Tally) -> None:
    """Let the folder change and be converted, again and again; stops at the first that is wrong."""
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
            folder.converted = {name for name, status in folder.expected.items() if status == "converted"}
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
    """Print what was done, and what is wrong."""
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


def campaign(place: Path, rounds: int, steps: int, seed: int) -> Tally:
    """Run all rounds in folders below `place`."""

    def hang(*_: object) -> None:
        raise TimeoutError(f"a run did not end within {SECONDS} s")

    tally = Tally()
    whole, handler = preparing.layout, signal.signal(signal.SIGALRM, hang)
    preparing.layout = lambda config: replace(whole(config), task_bytes=2**19)
    try:
        for number in range(rounds):
            # seeded for repeatability: nothing here is a secret
            folder = Folder(place / f"round-{number}", random.Random(seed * 100_000 + number))  # noqa: S311
            before = len(tally.wrong)
            a_round(folder, steps, tally)
            if len(tally.wrong) == before:
                shutil.rmtree(folder.place)
    finally:
        preparing.layout = whole
        signal.signal(signal.SIGALRM, handler)
    return tally


def main() -> None:
    """Run the campaign, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--steps", type=int, default=8, help="changes and runs of a round")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a folder for rounds that are wrong")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dcm2zarr-growth-") as temporary:
        tally = campaign(options.keep or Path(temporary), options.rounds, options.steps, options.seed)
    show(tally, options.rounds)
    sys.exit(bool(tally.wrong))


if __name__ == "__main__":
    main()
