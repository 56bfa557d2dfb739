"""Peak memory of the workers against the size of one multi-frame file.

    scripts/campaign_memory.py [--gib 0.25 1 4] [--workers 2] [--encoded]

Makes files of that size (16-bit 512 x 512 frames of noise; native, or RLE with --encoded), converts each on fresh worker
processes, and prints each worker's peak resident memory (VmHWM) beside the limit of 400 MiB plus two shards.
Exits with 1 where one is above it.
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pydicom
from distributed import Client, LocalCluster
from pydicom.uid import ExplicitVRLittleEndian, RLELossless, generate_uid
from rich.console import Console
from rich.table import Table

import pipeline

SHAPE = (512, 512)
FRAME_BYTES = 2 * SHAPE[0] * SHAPE[1]
SHARD = 64 * 2**20
LIMIT = 400 * 2**20 + 2 * SHARD
DISTINCT = 16


def write_file(path: Path, frames: int, *, encoded: bool) -> None:
    """Write a multi-frame file, frame by frame."""
    ds = pydicom.Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = RLELossless if encoded else ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7.3"
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
    ds.Modality, ds.PhotometricInterpretation = "OT", "MONOCHROME2"
    ds.Rows, ds.Columns, ds.SamplesPerPixel = *SHAPE, 1
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.NumberOfFrames = frames
    ds.save_as(path, enforce_file_format=True)
    random = np.random.default_rng(7)
    images = [random.integers(0, 4096, SHAPE, np.uint16) for _ in range(DISTINCT)]
    items = [_rle_item(image) if encoded else image.tobytes() for image in images]
    length = 0xFFFFFFFF if encoded else frames * FRAME_BYTES
    with path.open("ab") as file:
        file.write(struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB" if encoded else b"OW", 0, length))
        if encoded:
            file.write(struct.pack("<HHI", 0xFFFE, 0xE000, 0))
        for frame in range(frames):
            file.write(items[frame % DISTINCT])
        if encoded:
            file.write(struct.pack("<HHI", 0xFFFE, 0xE0DD, 0))


def _rle_item(image: np.ndarray) -> bytes:
    """Encode a frame as RLE literal runs (PS3.5 G.3), most significant bytes first, as an item without offset table."""
    segments = []
    for plane in (image >> 8, image & 255):
        data = plane.astype(np.uint8).tobytes()
        segments.append(b"".join(b"\x7f" + data[i : i + 128] for i in range(0, len(data), 128)))
    header = struct.pack("<16I", 2, 64, 64 + len(segments[0]), *[0] * 13)
    value = header + b"".join(segments)
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(value)) + value


def peak() -> int:
    """Return the peak resident memory of this process in bytes."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def measure(gib: float, workers: int, *, encoded: bool, folder: Path) -> dict[str, float]:
    """Convert one file of that size and return what it took."""
    # a native value is at most 2**32 - 2 bytes long (PS3.5 7.1.1)
    frames = min(int(gib * 2**30 / FRAME_BYTES), (2**32 - 2) // FRAME_BYTES)
    source, out = folder / "large.dcm", folder / "out"
    write_file(source, frames, encoded=encoded)
    local = LocalCluster(n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=None)
    with local, Client(local) as client:
        begin = time.perf_counter()
        summary = pipeline.convert(
            source, out, overwrite=True, cluster={"kind": "address", "address": local.scheduler_address}
        )
        seconds = time.perf_counter() - begin
        worker = max(client.run(peak).values())
    if summary.exit_code or summary.totals.frames != frames:
        sys.exit(f"{gib} GiB: {summary.status_counts}, {summary.totals.frames} of {frames} frames")
    return {
        "gib": source.stat().st_size / 2**30,
        "frames": frames,
        "worker_mib": worker / 2**20,
        "driver_mib": peak() / 2**20,
        "mb_per_second": frames * FRAME_BYTES / seconds / 1e6,
    }


def main() -> None:
    """Measure every size and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=float, nargs="+", default=[0.25, 1, 4])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--encoded", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dcm2zarr-memory-") as folder:
        rows = [measure(gib, options.workers, encoded=options.encoded, folder=Path(folder)) for gib in options.gib]
    if options.json:
        print(json.dumps(rows))
    else:
        table = Table("file, GiB", "frames", "worker peak, MiB", "limit, MiB", "driver peak, MiB", "MB/s decoded")
        for row in rows:
            table.add_row(
                f"{row['gib']:.2f}",
                str(row["frames"]),
                f"{row['worker_mib']:.0f}",
                f"{LIMIT / 2**20:.0f}",
                f"{row['driver_mib']:.0f}",
                f"{row['mb_per_second']:.0f}",
            )
        Console().print(table)
    sys.exit(any(row["worker_mib"] * 2**20 > LIMIT for row in rows))


if __name__ == "__main__":
    main()
