"""Compare our plugin with all of pydicom's others, file by file; a separate program, because GDCM may end its process.

Prints JSON lines: one names the comparison that begins, one gives its result. ``tests/codecs/test_agreement.py`` and
``scripts/campaign codecs`` run it, with the oracles of ``scripts/oracles.txt`` importable.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from os import environ, pathsep
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.pixels import get_decoder, iter_pixels

from pipeline import codecs
from pipeline.model import syntaxes

REPOSITORY = Path(__file__).resolve().parents[2]
ORACLES = REPOSITORY / ".oracles" / sys.implementation.cache_tag
FRAMES = 2
"""Frames compared in each file."""
AWAITED = 120
"""Seconds that one file may take."""
CHROMA = "pylibjpeg's libjpeg interpolates subsampled chroma in another way; pillow and GDCM agree with us"
DIFFERENT = {
    "2": CHROMA,
    "TestPattern_JPEG-Baseline_YBR422.dcm": CHROMA,
    "TestPattern_JPEG-Baseline_YBRFull.dcm": CHROMA,
    "color3d_jpeg_baseline.dcm": CHROMA,
    "examples_ybr_color.dcm": CHROMA,
    **{f"level-{level}-frames-0-{last}.dcm": CHROMA for level, last in enumerate((30, 9, 4, 1, 1, 1, 1, 1))},
}
"""Files on which pylibjpeg differs from ours by more than the bound, and why."""


@dataclass(frozen=True)
class Comparison:
    """Our plugin against another one, on one file."""

    file: str
    syntax: str
    bits: int
    plugin: str
    raw: bool
    ours: str = ""
    """Error of our plugin."""
    theirs: str = ""
    """Error of the other one."""
    shapes: str = ""
    """Difference of types or shapes."""
    difference: int = 0
    """Grey levels, with colour converted by pydicom."""
    in_codec: int = 0
    """Grey levels, with colour converted by the codec."""


def main(paths: Sequence[str]) -> None:
    """Compare all plugins over `paths`."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    codecs.register()
    for path in paths:
        for started in comparisons(Path(path)):
            tell(started)
            tell(compared(Path(path), started))


def tell(comparison: Comparison) -> None:
    """Print at once, so that the comparison under way is known if a decoder ends the process."""
    sys.stdout.write(json.dumps(asdict(comparison)) + "\n")
    sys.stdout.flush()


def comparisons(path: Path) -> Iterator[Comparison]:
    """The comparisons for a file; none if our plugin doesn't support it."""
    try:
        dataset = dcmread(path, stop_before_pixels=True)
        syntax = dataset.file_meta.TransferSyntaxUID
        plugins = get_decoder(syntax).available_plugins
    except Exception:  # noqa: BLE001  damaged on purpose, not DICOM, or without a decoder
        return
    bits, colour = dataset.get("BitsStored", 0), dataset.get("SamplesPerPixel", 1) != 1
    for plugin in plugins if codecs.PLUGIN in plugins else ():
        for raw in (False, True)[: 1 + colour]:
            if plugin != codecs.PLUGIN:
                yield Comparison(path.name, syntax, bits if isinstance(bits, int) else 0, plugin, raw)


def compared(path: Path, comparison: Comparison) -> Comparison:
    """Fill in the result."""
    known = asdict(comparison)
    raw = comparison.raw
    ours, ours_failed = decoded(path, decoding_plugin=codecs.PLUGIN, raw=raw)
    theirs, theirs_failed = decoded(path, decoding_plugin=comparison.plugin, raw=raw)
    if ours_failed or theirs_failed:
        return Comparison(**known | {"ours": ours_failed, "theirs": theirs_failed})
    kinds = [[(str(array.dtype), array.shape) for array in arrays] for arrays in (ours, theirs)]
    if kinds[0] != kinds[1]:
        return Comparison(**known | {"shapes": f"{kinds[0]} instead of {kinds[1]}"})
    converted, _ = decoded(path, decoding_plugin=codecs.PLUGIN, raw=raw, **{codecs.RGB_OPTION: not raw})
    differences = {"difference": apart(ours, theirs), "in_codec": apart(converted, theirs)}
    return Comparison(**known | differences)


def decoded(path: Path, **kwargs: Any) -> tuple[list[np.ndarray], str]:
    """The first frames, or the error that prevents them."""
    try:
        return list(islice(iter_pixels(path, **kwargs), FRAMES)), ""
    except Exception as error:  # noqa: BLE001  whatever a plugin raises is its answer
        return [], f"{type(error).__name__}: {error}"[:300]


def apart(ours: list[np.ndarray], theirs: list[np.ndarray]) -> int:
    """The largest difference of any sample."""
    pairs = zip(ours, theirs, strict=True)
    return max(int(np.abs(mine.astype(np.int64) - other.astype(np.int64)).max()) for mine, other in pairs)


def run(paths: Sequence[Path]) -> Iterator[Comparison]:
    """Compare in another process; after a file that ended the process, start it again with the next file."""
    left = [str(path) for path in paths]
    while left:
        results, last = _run_once(left)
        yield from results
        if last is None:
            return
        yield Comparison(**asdict(last) | {"theirs": "ended the process"})
        names = [Path(path).name for path in left]
        left = left[names.index(last.file) + 1 :]


def _run_once(paths: Sequence[str]) -> tuple[list[Comparison], Comparison | None]:
    """Results, and the comparison under way when the process ended early."""
    found = environ | {"PYTHONPATH": pathsep.join(map(str, (ORACLES, REPOSITORY)))}
    command = [sys.executable, __file__, *paths]
    done = subprocess.run(command, env=found, capture_output=True, text=True, timeout=AWAITED * len(paths), check=False)
    lines = [Comparison(**json.loads(line)) for line in done.stdout.splitlines() if line.startswith("{")]
    results = lines[1::2]
    if done.returncode == 0:
        return results, None
    if len(lines) % 2 == 0:
        raise RuntimeError(f"The comparison ended with {done.returncode}: {done.stderr[-2000:]}")
    return results, lines[-1]


def bound(result: Comparison) -> int:
    """Grey levels by which decoders may differ: for lossy JPEG, by the depth of the data, lossy JPEG 2000, and lossless data."""
    if result.syntax in syntaxes.LOSSY_JPEG:
        return 2 if result.bits <= 8 else 4
    return int(result.syntax in syntaxes.LOSSY_JPEG_2000)


if __name__ == "__main__":
    main(sys.argv[1:])
