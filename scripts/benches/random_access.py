"""Time random access to frames of an encapsulated file without offset table, beside pydicom's iter_pixels.

Writes a file of many RLE frames, then measures: one sequential walk over the item headers (pydicom's
parse_fragments), the frame index, and one frame near the beginning and at the end. Whole-slide files often carry no
offset table; pydicom then walks over all items for each requested frame.
"""

from __future__ import annotations

import argparse
import json
import statistics
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import parse_fragments
from pydicom.pixels import get_encoder, iter_pixels
from pydicom.uid import RLELossless, SecondaryCaptureImageStorage, generate_uid

from pipeline.frames import FrameReader, build_index, index_frames, iter_frames, open_source, read_header

SIDE = 128
PATTERNS = 16


def write_file(path: Path, frames: int) -> list[np.ndarray]:
    """Write `frames` RLE frames without offset table; return the few patterns that they repeat."""
    generator = np.random.default_rng(0)
    ramp = np.add.outer(np.arange(SIDE), np.arange(SIDE)) // 8
    patterns = [(ramp * (p + 1) + generator.integers(0, 2, (SIDE, SIDE))).astype("<u2") for p in range(PATTERNS)]
    encoder = get_encoder(RLELossless)
    options = {"rows": SIDE, "columns": SIDE, "samples_per_pixel": 1, "bits_allocated": 16, "bits_stored": 16}
    options |= {"pixel_representation": 0, "photometric_interpretation": "MONOCHROME2", "number_of_frames": 1}
    encoded = [encoder.encode(p.tobytes(), encoding_plugin="pydicom", **options) for p in patterns]
    items = [struct.pack("<HHL", 0xFFFE, 0xE000, len(e)) + e for e in (e + b"\0" * (len(e) % 2) for e in encoded)]
    header_dataset(frames).save_as(path, enforce_file_format=True)
    with path.open("ab") as file:
        file.write(struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF))
        file.write(struct.pack("<HHL", 0xFFFE, 0xE000, 0))
        for frame in range(frames):
            file.write(items[frame % PATTERNS])
        file.write(struct.pack("<HHL", 0xFFFE, 0xE0DD, 0))
    return patterns


def header_dataset(frames: int) -> Dataset:
    """Return everything but the pixel data."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = RLELossless
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.Rows = dataset.Columns = SIDE
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation, dataset.NumberOfFrames = 15, 0, frames
    dataset.set_original_encoding(False, True)
    return dataset


def seconds(function: Callable[[], object], repeats: int) -> float:
    """Return the median time of one call."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def measure(path: Path, patterns: list[np.ndarray], frames: int, repeats: int) -> dict[str, float]:
    """Return the times in milliseconds."""
    with open_source(str(path)) as file:
        header = read_header(file, source=path.name, trailing=False)
        first_item = header.value_offset + 8

        def walk() -> None:
            with path.open("rb") as buffered:
                buffered.seek(first_item)
                parse_fragments(buffered)

        result = {"pydicom: one walk over the items": seconds(walk, 5)}
        result["frame index (header read before)"] = seconds(lambda: index_frames(file, header), 5)
        result["frame index from the path"] = seconds(lambda: build_index(path), 5)
        reader = FrameReader(file, index_frames(file, header), decoding_plugin="pydicom")
        last = frames - 1
        for frame in (1, last):
            if not np.array_equal(reader.read(frame).array, patterns[frame % PATTERNS]):
                raise SystemExit(f"frame {frame} is wrong")
            result[f"FrameReader: frame {frame}"] = seconds(lambda frame=frame: reader.read(frame), repeats)
    for name, function in (("iter_frames", iter_frames), ("pydicom iter_pixels", iter_pixels)):
        for frame in (1, last):

            def once(frame: int = frame, function: Callable[..., object] = function) -> None:
                next(iter(function(path, indices=[frame], decoding_plugin="pydicom")))

            result[f"{name}(indices=[{frame}])"] = seconds(once, 5)
    some = list(range(0, frames, frames // 50))
    result["iter_frames, a frame of 50"] = seconds(lambda: list(iter_frames(path, indices=some)), 1) / len(some)
    result["pydicom iter_pixels, a frame of 50"] = seconds(lambda: list(iter_pixels(path, indices=some)), 1) / len(some)
    return {name: 1e3 * value for name, value in result.items()}


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def main(given: argparse.Namespace) -> None:
    """Run and print."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frames.dcm"
        patterns = write_file(path, given.frames)
        result = measure(path, patterns, given.frames, given.repeats)
        size = path.stat().st_size
    if given.json:
        print(json.dumps({"frames": given.frames, "bytes": size, "milliseconds": result}, indent=2))
        return
    print(f"{given.frames} RLE frames of {SIDE} x {SIDE} x 16 bit, no offset table, {size / 1e6:.0f} MB\n")
    for name, value in result.items():
        print(f"{name:<42}{value:>12.3f} ms")
