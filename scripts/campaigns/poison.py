"""Decoders and header parsers that crash, hang, or eat memory: exactly their files fail, with the right reason.

    scripts/campaign poison [--verify] [--series 6] [--files 24] [--share 0.1] [--workers 2] [--seed 1] [--kinds segfault hang …]

Makes series of small RLE files and two multi-frame files, in which a share of frames and headers is poisonous to a
plugin that acts only here (scripts/campaigns/poisoning). Converts them undisturbed, then with the poison on worker processes, and
compares: every poisoned file must have its reason, everything else its pixels and catalog row. With ``--verify`` the
undisturbed result comes from other decoders, and ``dcm2zarr verify --source`` meets the poison: files with a poisonous frame
must be found equal by yet another decoder, those with a poisonous header be told from all others. Exits with 1 otherwise.
"""

from __future__ import annotations

import argparse
import os
import random
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pydicom
import zarr
from pydicom.uid import RLELossless, generate_uid
from rich.console import Console
from rich.table import Table

from campaigns.killing.processes import dask_cluster
from runner import common
from support.stored_frames import stored_frames

POISON = Path(__file__).resolve().parent / "poisoning"
SHAPE = (24, 32)
FRAME_REASONS = {
    "segfault": "decoder_crashed",
    "abort": "decoder_crashed",
    "exit": "decoder_crashed",
    "sys_exit": "decoder_crashed",
    "kill": "memory",
    "hang": "timeout",
    "hold": "timeout",
    "eat": "memory",
    "raise": "decode_failed",
    "out_of_memory": "memory",
    "late": "",
    "once": "",
}
"""Expected reason of a poisonous frame; empty if its file must be converted all the same."""
HEADER_REASONS = {"segfault": "header_crashed", "hang": "timeout", "eat": "memory", "hold": "timeout"}

VERDICTS = {"frame": "equal", "header": "unsound"}
"""Expected verdict of ``verify --source`` if only a second decoder is poisoned."""


@dataclass(frozen=True)
class Poisoned:
    """One file's poison."""

    where: str
    kind: str
    reason: str


def write_file(path: Path, frames: list[np.ndarray], series: str, number: int, comments: str) -> None:
    """Write an RLE file."""
    ds = pydicom.Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = RLELossless
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid(entropy_srcs=[path.name])
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3", series
    ds.Modality, ds.PhotometricInterpretation, ds.PatientComments = "OT", "MONOCHROME2", comments
    ds.Rows, ds.Columns, ds.SamplesPerPixel = *SHAPE, 1
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.InstanceNumber, ds.NumberOfFrames = number, len(frames)
    ds.PixelData = pydicom.encaps.encapsulate([_rle(frame) for frame in frames])
    ds["PixelData"].is_undefined_length = True
    ds.save_as(path, enforce_file_format=True)


def _rle(plane: np.ndarray) -> bytes:
    """Encode an 8-bit plane as RLE literal runs, one per row (PS3.5 G.3)."""
    data = struct.pack("<16L", 1, 64, *[0] * 14)
    data += b"".join(bytes([len(row) - 1]) + row.tobytes() for row in plane)
    return data + b"\0" * (len(data) % 2)


def make_source(folder: Path, options: argparse.Namespace) -> dict[str, Poisoned]:
    """Write the files; return the poisoned ones."""
    random_ = random.Random(options.seed)  # noqa: S311  not a secret
    pixels = np.random.default_rng(options.seed)
    kinds = [("frame", kind) for kind in options.kinds if kind in FRAME_REASONS]
    kinds += [("header", kind) for kind in options.kinds if kind in HEADER_REASONS]
    poisoned: dict[str, Poisoned] = {}
    serial = 0
    for series in range(options.series):
        multi = series < options.multi_frame
        for number in range(2 if multi else options.files):
            path = folder / f"{series:02d}-{number:04d}.dcm"
            frames = [pixels.integers(0, 200, SHAPE, np.uint8) for _ in range(8 if multi else 1)]
            comments = "none"
            chosen = number == 1 if multi else random_.random() < options.share
            if chosen:
                serial += 1
                where, kind = kinds[serial % len(kinds)]
                if where == "header" and not multi:
                    comments = f"POISON:{kind};"
                    poisoned[str(path)] = Poisoned(where, kind, HEADER_REASONS[kind])
                elif kind in FRAME_REASONS:
                    text = f"POISON:{kind};{serial};".encode()
                    frames[len(frames) // 2].reshape(-1)[: len(text)] = np.frombuffer(text, np.uint8)
                    poisoned[str(path)] = Poisoned("frame", kind, FRAME_REASONS[kind])
            write_file(path, frames, f"1.2.3.{series + 1}", number, comments)
    return poisoned


RUN = """
import sys, pipeline
if __name__ == "__main__":
    source, out, kind, workers, salvage, seconds, plugin = sys.argv[1:]
    cluster = {"kind": "address", "address": kind} if "://" in kind else {"kind": kind}
    pipeline.convert(
        source, out, cluster=cluster | ({"workers": int(workers)} if kind in ("local", "threads") else {}),
        decode={"salvage": salvage == "salvage"} | ({"plugin": plugin} if plugin else {}), output={"shard": "8 KiB"},
        limits={"frame_seconds": float(seconds), "header_seconds": float(seconds), "decode_memory": "384 MiB", "task_memory": "64 MiB"})
"""


def convert(
    source: Path, out: Path, poison: str, kind: str, options: argparse.Namespace, *, plugin: str = "poison"
) -> float:
    """Convert in a process of its own whose children all have the poison installed; return the duration."""
    script = source.parent / "run.py"
    script.write_text(RUN)
    salvage = "salvage" if options.salvage else ""
    arguments = [source, out, kind, str(options.workers), salvage, str(options.seconds), plugin]
    seconds, code, told = poisoned_process([script, *arguments], source.parent, poison, options)
    if code:
        sys.exit(f"the run ended with exit status {code}\n{told}")
    return seconds


def verify(out: Path, folder: Path, options: argparse.Namespace) -> tuple[float, int, str]:
    """Verify a result against its originals, which are poisonous now; return duration, exit code and errors."""
    command = ["-m", "pipeline.cli", "verify", out, "--source", "--cluster", options.cluster]
    return poisoned_process([*command, "--workers", str(options.workers)], folder, "on", options)


def poisoned_process(
    command: list[str | Path], folder: Path, poison: str, options: argparse.Namespace
) -> tuple[float, int, str]:
    """Run Python with the poison installed; return duration, exit code and errors."""
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *command],
        env=environment(folder, poison),
        check=False,
        timeout=options.timeout,
        capture_output=not options.verbose,
        text=True,
    )
    return time.perf_counter() - begin, done.returncode, done.stderr


def environment(folder: Path, poison: str) -> dict[str, str]:
    """Return the environment of a process that has the poison installed, ``on`` or ``off``."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(POISON), os.environ.get("PYTHONPATH")])),
        "DCM2ZARR_POISON": poison,
        "DCM2ZARR_POISON_FOLDER": str(folder / "once"),
    }


@contextmanager
def workers(folder: Path, options: argparse.Namespace) -> Iterator[str]:
    """Yield the kind of cluster, or the address of a scheduler that is started for ``address``, with Dask's defaults."""
    if options.cluster != "address":
        yield options.cluster
        return
    cluster = dask_cluster(folder, environment(folder, "on"))
    try:
        yield cluster.address
    finally:
        cluster.stop()


def frames_of(out: Path, row: dict) -> np.ndarray | None:
    """Return a file's stored frames; missing ones are 255, which no frame contains."""
    if row["image"] is None:
        return None
    image = zarr.open_group(out / "images.zarr", mode="r")[row["image"]]
    place = slice(row["frame_start"], row["frame_start"] + row["num_frames"])
    pixels = stored_frames(image["pixels"], place)
    pixels[~image["valid"][place]] = 255
    return pixels


def check(sound: Path, poisoned: Path, marks: dict[str, Poisoned], *, salvage: bool) -> dict[str, str]:
    """Return what is wrong, by file."""
    rows = [
        {row["source"]: row for row in pq.read_table(out / "catalog.parquet").to_pylist()} for out in (sound, poisoned)
    ]
    wrong = dict.fromkeys(rows[0].keys() ^ rows[1].keys(), "no row")
    for source, row in rows[1].items():
        mark = marks.get(source)
        expected = mark.reason if mark else ""
        if (row["reason"] or "") != expected or (row["status"] == "failed") != bool(expected):
            wrong[source] = f"{mark}: {row['status']} {row['reason']}: {row['message']}"
            continue
        before, after = frames_of(sound, rows[0][source]), frames_of(poisoned, row)
        if expected and salvage and mark.where == "frame" and len(before) > 1:
            before[len(before) // 2] = 255
        elif expected:
            before = None
        if not np.array_equal(before, after) if before is not None else after is not None:
            wrong[source] = f"{mark}: other pixels"
        # a file whose header is poison isn't in its stack, so those behind it move up
        changed = {name for name in row if row[name] != rows[0][source][name]} - {"frame_start"}
        if not expected and changed:
            wrong[source] = f"{mark}: another row: {[(name, row[name]) for name in sorted(changed)]}"
    return wrong


def check_verdicts(out: Path, marks: dict[str, Poisoned]) -> dict[str, str]:
    """Return the wrong verdicts on a sound result, by file."""
    wrong = {}
    for row in pq.read_table(out / "verify.parquet").to_pylist():
        mark = marks.get(row["source"])
        expected = mark.reason if mark else "equal"
        if row["verdict"] != expected:
            wrong[row["source"]] = f"{mark}: {row}"
    return wrong


def report(marks: dict[str, Poisoned], wrong: dict[str, str], files: int, seconds: list[float]) -> None:
    """Print the work done and what is wrong."""
    table = Table("poison", "in", "must end as", "files", "wrong")
    counts = Counter((mark.where, mark.kind, mark.reason) for mark in marks.values())
    for (where, kind, reason), number in sorted(counts.items()):
        bad = sum(marks[source] == Poisoned(where, kind, reason) for source in wrong if source in marks)
        table.add_row(kind, where, reason or "converted", str(number), str(bad))
    bystanders = sum(source not in marks for source in wrong)
    table.add_row("none", "", "as undisturbed", str(files - len(marks)), str(bystanders), end_section=True)
    console = Console()
    console.print(table)
    console.print(f"undisturbed {seconds[0]:.1f} s, poisoned {seconds[1]:.1f} s")
    for source, text in sorted(wrong.items()):
        console.print(f"{Path(source).name}: {text}", style="red", markup=False)


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    common(parser, workers=2, seed=1, timeout=1800)
    parser.add_argument("--series", type=int, default=8)
    parser.add_argument("--multi-frame", type=int, default=4, help="number of series that are multi-frame files")
    parser.add_argument("--files", type=int, default=32, help="files of each other series")
    parser.add_argument("--share", type=float, default=0.15, help="share of poisoned files")
    parser.add_argument("--kinds", nargs="+", default=sorted({*FRAME_REASONS, *HEADER_REASONS}))
    parser.add_argument(
        "--cluster", default="local", help="local, threads, or address: a scheduler with Dask's defaults"
    )
    parser.add_argument("--seconds", type=float, default=2, help="limit for a frame or header")
    parser.add_argument("--salvage", action="store_true")
    parser.add_argument("--verify", action="store_true", help="let verify --source meet the poison, not a conversion")
    parser.add_argument("--verbose", action="store_true")


def run(options: argparse.Namespace) -> dict[str, str]:
    """Run the campaign; return what is wrong."""
    with tempfile.TemporaryDirectory(prefix="dcm2zarr-poison-") as temporary:
        folder = Path(temporary)
        (folder / "source").mkdir()
        (folder / "once").mkdir()
        marks = make_source(folder / "source", options)
        files = len(list((folder / "source").iterdir()))
        sound, poisoned = folder / "sound", folder / "poisoned"
        plugin = "" if options.verify else "poison"
        seconds = [convert(folder / "source", sound, "off", "synchronous", options, plugin=plugin)]
        if options.verify:
            took, code, told = verify(sound, folder, options)
            marks = {name: replace(mark, reason=VERDICTS[mark.where]) for name, mark in marks.items()}
            wrong = check_verdicts(sound, marks)
            if code != (1 if any(mark.where == "header" for mark in marks.values()) else 0):
                wrong["verify"] = f"exit code {code}: {told}"
        else:
            with workers(folder, options) as kind:
                took = convert(folder / "source", poisoned, "on", kind, options)
            wrong = check(sound, poisoned, marks, salvage=options.salvage)
        report(marks, wrong, files, [*seconds, took])
        return wrong


def main(given: argparse.Namespace) -> int:
    """Run the campaign, and return the exit code."""
    return int(bool(run(given)))
