"""What converting costs, by transfer syntax: the figures of `pipeline/plan/costs.py`.

    scripts/bench costs [--rounds 3]

Converts files of few and of many frames in this process, with decoding, compression and writing, and prints the
processor time per decoded byte, per additional instance and per additional image. Frames are smooth
with noise in the lowest bits: 512 x 512 of 12 bits, or 256 x 256 RGB if a codec is for colour.
"""

from __future__ import annotations

import argparse
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import imagecodecs
import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.encaps import encapsulate
from pydicom.uid import generate_uid

import pipeline
from runner import common

Array = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
Encode = Callable[[Array], bytes]
FEW, MANY = 4, 36
SYNTAXES: dict[str, tuple[str, Encode]] = {
    "1.2.840.10008.1.2.1": ("grey", lambda frame: frame.tobytes()),
    "1.2.840.10008.1.2.5": (
        "grey",
        lambda frame: rle(frame),  # noqa: PLW0108  defined below
    ),
    "1.2.840.10008.1.2.4.50": ("colour", lambda frame: imagecodecs.jpeg8_encode(frame, level=90)),
    "1.2.840.10008.1.2.4.51": ("grey", lambda frame: imagecodecs.jpeg_encode(frame, level=90, bitspersample=12)),
    "1.2.840.10008.1.2.4.70": ("grey", lambda frame: imagecodecs.ljpeg_encode(frame, bitspersample=16)),
    "1.2.840.10008.1.2.4.80": ("grey", imagecodecs.jpegls_encode),
    "1.2.840.10008.1.2.4.90": ("grey", lambda frame: imagecodecs.jpeg2k_encode(frame, codecformat="J2K", level=0)),
    "1.2.840.10008.1.2.4.91": ("colour", lambda frame: imagecodecs.jpeg2k_encode(frame, codecformat="J2K", level=35)),
    "1.2.840.10008.1.2.4.201": ("grey", imagecodecs.htj2k_encode),
}


def rle(frame: Array) -> bytes:
    """Return a frame as RLE Lossless (PS3.5 G), most significant bytes first."""
    planes = [imagecodecs.packbits_encode((frame >> shift).astype(np.uint8)) for shift in (8, 0)]
    padded = [plane + b"\0" * (len(plane) % 2) for plane in planes]
    return struct.pack("<16I", 2, 64, 64 + len(padded[0]), *[0] * 13) + b"".join(padded)


def frames(kind: str, count: int) -> list[Array]:
    """Return seeded frames."""
    random = np.random.default_rng(3)
    side = 512 if kind == "grey" else 256
    y, x = np.mgrid[:side, :side]
    smooth = np.sin(x / 40) + np.cos(y / 55) + 2
    found: list[Array] = []
    for number in range(count):
        if kind == "grey":
            found.append((smooth * 900 + number + random.normal(0, 12, (side, side))).clip(0, 4095).astype(np.uint16))
        else:
            noise = random.normal(0, 4, (side, side, 3))
            found.append((smooth[..., None] * [50, 40, 60] + number + noise).clip(0, 255).astype(np.uint8))
    return found


def write(path: Path, uid: str, kind: str, encoded: list[bytes], series: str) -> None:
    """Write one instance."""
    ds = pydicom.Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = uid
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality = "1.2.3", series, "OT"
    grey = kind == "grey"
    ds.Rows = ds.Columns = 512 if grey else 256
    ds.SamplesPerPixel, ds.PhotometricInterpretation = (1, "MONOCHROME2") if grey else (3, "RGB")
    if not grey:
        ds.PlanarConfiguration = 0
        if uid.endswith(".50"):
            ds.PhotometricInterpretation = "YBR_FULL_422"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = (16, 12, 11) if grey else (8, 8, 7)
    ds.PixelRepresentation, ds.NumberOfFrames = 0, len(encoded)
    native = uid == "1.2.840.10008.1.2.1"
    ds.PixelData = b"".join(encoded) if native else encapsulate(encoded)
    ds["PixelData"].VR = "OW" if native else "OB"
    ds.save_as(path, enforce_file_format=True)


def converted(folder: Path, out: Path) -> float:
    """Return the processor seconds of a conversion."""
    begin = time.process_time()
    summary = pipeline.convert(folder, out, overwrite=True, cluster={"kind": "synchronous"})
    if summary.exit_code:
        raise SystemExit(f"{folder}: {summary.status_counts}")
    return time.process_time() - begin


def difference(work: Path, make: Callable[[Path, int], None], rounds: int) -> float:
    """Return the processor seconds of each additional thing, from FEW to MANY."""
    seconds = []
    for count in (FEW, MANY):
        folder = work / str(count)
        folder.mkdir()
        make(folder, count)
        seconds.append(median(converted(folder, work / "out") for _ in range(rounds)))
    return (seconds[1] - seconds[0]) / (MANY - FEW)


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    common(parser, rounds=3)


def main(given: argparse.Namespace) -> None:
    """Measure and print."""
    rounds = given.rounds
    native = "1.2.840.10008.1.2.1"
    with tempfile.TemporaryDirectory(prefix="dcm2zarr-costs-") as name:
        for uid, (kind, encode) in SYNTAXES.items():
            images = frames(kind, MANY)
            encoded = [encode(image) for image in images]

            def one(folder: Path, count: int, uid=uid, kind=kind, encoded=encoded) -> None:  # noqa: ANN001
                write(folder / "one.dcm", uid, kind, encoded[:count], "1.2.4")

            (work := Path(name) / uid).mkdir()
            seconds = difference(work, one, rounds)
            print(f"{uid:28} {seconds / images[0].nbytes * 1e9:6.2f} ns a decoded byte", flush=True)
        tiny = [np.zeros((512, 512), np.uint16).tobytes()]
        for label, series in (("instance", lambda _: "1.2.4"), ("image", lambda number: f"1.2.4.{number}")):

            def many(folder: Path, count: int, series=series) -> None:  # noqa: ANN001
                for number in range(count):
                    write(folder / f"{number}.dcm", native, "grey", tiny, series(number))

            (work := Path(name) / label).mkdir()
            print(
                f"{label:28} {difference(work, many, rounds) * 1e3:6.2f} ms more for each, with its frame", flush=True
            )
