"""Compare a converted file's stored frames with those that pydicom yields."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import zarr
from pydicom.pixels import iter_pixels

import pipeline
from pipeline.model import syntaxes
from support.stored_frames import stored_frames

MORE = "more frames"
_FAILS, _DIFFERS, _MORE = "pydicom fails", "differs", "pydicom yields more"
DIFFERENCES = (
    ("3: never more frames than declared", _MORE, "", "only the declared"),
    ("5: offset tables are compared with the fragments", _DIFFERS, "", "not believed"),
    ("5: offset tables are compared with the fragments", _FAILS, "", "not believed"),
    ("5: a first fragment in place of the offset table", _FAILS, "", "the basic offset table is missing"),
    ("5: a first fragment in place of the offset table", _DIFFERS, "", "the basic offset table is missing"),
    ("7: frames are found without a sequence delimiter", _FAILS, "Unexpected tag", "delimiter is missing"),
    ("7: garbage behind the items costs no whole frame", _FAILS, "", "what follows the last fragment can't be read"),
    ("9: signs of immutable frames are corrected", _FAILS, "read-only", ""),
    ("11: implicit VR where explicit is declared", _FAILS, "", "the data set is in implicit VR"),
    ("12: bit-packed frames that begin inside a byte are whole", _FAILS, "cannot reshape", ""),
    ("13: encapsulated pixel data need no Planar Configuration", _FAILS, "Planar Configuration", ""),
    ("21: a Number of Frames of blanks is empty", _FAILS, r"invalid literal for int.*''", "Number of Frames"),
    ("27: the first file meta information holds", _FAILS, "", "the file meta information is repeated"),
    ("27: the first file meta information holds", _DIFFERS, "", "the file meta information is repeated"),
    ("28: unknown value representations", _FAILS, "", "unknown value representation"),
    ("28: unknown value representations", _DIFFERS, "", "unknown value representation"),
    ("30: delimiters cost no element behind them", _FAILS, "", "a delimiter outside of sequences"),
    ("30: delimiters cost no element behind them", _FAILS, "", "the delimiter of the sequence"),
    ("30: delimiters cost no element behind them", _FAILS, "", "an item's delimiter is missing"),
    ("32: native YBR_FULL_422 has no planes", _DIFFERS, "", "YBR_FULL_422 has no planes"),
    ("32: native YBR_FULL_422 of an odd number of columns", _FAILS, "broadcast", "an odd number of columns"),
    ("33: samples lie where High Bit says", _DIFFERS, "", "High Bit is"),
    ("3: never more frames than declared", _FAILS, "an RLE segment h", "only the declared"),
    ("34: bits above Bits Stored don't count", _DIFFERS, "above Bits Stored", ""),
    ("38: blanks around Photometric Interpretation", _FAILS, "Unknown", ""),
    ("39: a single sample is grey", _FAILS, "", "but there is 1 sample per pixel"),
    ("39: a single sample is grey", _DIFFERS, "", "but there is 1 sample per pixel"),
    ("40: a Specific Character Set that can't be one costs no header", _FAILS, "embedded null character", ""),
    ("damage inside lossy JPEG may be taken for a cut, in one colour space or the other", _FAILS, "is cut short", ""),
    ("file meta information of which a length is damaged is read", _FAILS, r"in tag \(0002,", ""),
    ("the transfer syntax is told by the first element", _FAILS, "transfer_syntax_uid' is required", "assumed"),
)
"""Text (with its number in pipeline/frames/DIFFERENCES.md), verdict, pattern of details, sign in the row's assumptions."""


def compare(out: str, row: dict[str, Any]) -> tuple[str, str]:
    """Return a verdict on a converted row, and its details.

    ``equal``: pydicom yields the same frames. ``pydicom fails``: it raises on the file; its error is told.
    ``differs``: it yields others.
    """
    pipeline.codecs.register()
    image = zarr.open_group(Path(out) / "images.zarr", mode="r")[row["image"]]
    span = slice(row["frame_start"], row["frame_start"] + row["num_frames"])
    stored = stored_frames(image["pixels"], span)
    if not image["valid"][span].all() or row["frames_missing"]:
        return "differs", "a converted file with missing frames"
    levels = 2 if row["transfer_syntax_uid"] in syntaxes.LOSSY_JPEG else 0  # colour is the codec's there
    problems = []
    for plugin in plugins(row["decoder"]):
        for way in (_by_path, _by_dataset):
            problem = _compare(way(row["source"], plugin), stored, levels, image.attrs.get("BitsStored"))
            if not problem:
                return "equal", ""
            problems.append(problem)
    if "+" in (row["decoder"] or "") and all(_one_of(row, stored, frame) for frame in range(len(stored))):
        return "equal", ""
    if any(problem == MORE for problem in problems):
        return "pydicom yields more", ""
    raised = [problem for problem in problems if problem.startswith("raises ")]
    return ("pydicom fails", raised[0]) if len(raised) == len(problems) else ("differs", "; ".join(problems))


def documented(verdict: str, details: str, assumptions: str) -> str:
    """Return the documented difference from pydicom that explains a verdict; nothing if none does."""
    for text, fits, error, sign in DIFFERENCES:
        if fits == verdict and re.search(error, details) and sign in assumptions:
            return text
    return ""


def plugins(decoder: str | None) -> list[str]:
    """Return the plugins that the catalog names; pydicom's own name for them is the first word."""
    return [re.split(r"[ (]", name)[0] for name in (decoder or "").split("+") if name] or [""]


def _by_path(source: str, plugin: str) -> Iterator[np.ndarray]:
    yield from iter_pixels(source, decoding_plugin=plugin)


def _by_dataset(source: str, plugin: str) -> Iterator[np.ndarray]:
    yield from iter_pixels(pydicom.dcmread(source, force=True), decoding_plugin=plugin)


def _one_of(row: dict[str, Any], stored: np.ndarray, frame: int) -> bool:
    """Return whether one of the plugins that decoded a file's frames yields this frame."""
    wanted = stored[frame : frame + 1]
    return any(
        not _compare(iter_pixels(row["source"], indices=[frame], decoding_plugin=plugin), wanted)
        for plugin in plugins(row["decoder"])
    )


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    """Return the largest difference between two frames; 0 only if they are equal to the bit."""
    if np.array_equal(one, other, equal_nan=one.dtype.kind == "f"):
        return 0
    return float(np.abs(one.astype(float) - other.astype(float)).max())


def _same_below(frame: np.ndarray, stored: np.ndarray, bits: int | None) -> bool:
    """Return whether two frames of integers are the same in their lowest bits."""
    if not bits or frame.shape != stored.shape or frame.dtype.kind not in "iu":
        return False
    return not ((frame ^ stored) & ((1 << bits) - 1)).any()


def _compare(frames: Iterator[np.ndarray], stored: np.ndarray, levels: int = 0, bits: int | None = None) -> str:
    """Return how pydicom's frames differ from the stored ones; nothing if they don't."""
    count = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for frame in frames:
                if count == len(stored):
                    return MORE
                if frame.shape != stored[count].shape or _distance(frame, stored[count]) > levels:
                    return f"frame {count} differs{' above Bits Stored' if _same_below(frame, stored[count], bits) else ''}"
                count += 1
        except BaseException as error:  # pydicom raises nearly anything on mutants, and Rust panics
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            return f"raises {type(error).__name__}: {str(error)[:200]}"
    return "" if count == len(stored) else f"{count} frames instead of {len(stored)}"
