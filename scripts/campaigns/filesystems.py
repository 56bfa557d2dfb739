"""Runs whose output lies on other file systems, and on ones that lack something or fail; each result that of an undisturbed run.

    scripts/campaign filesystems [--copies 1] [--workers 1] [--only fat ntfs]

Tries everything that this machine can mount, and says what it can't mount, and why: FAT, NTFS and exFAT (by the kernel or in user space:
vfat, fusefat, ntfs-3g, exfat-fuse), XFS without case, a pass-through in user space (bindfs), an overlay, a small tmpfs. Then, preloaded into
every process (tests/support/failing_calls.c, needs a C compiler), calls that fail: now and then, once, or always. Each run is done with worker
processes; a run that ends with exit code 3 is repeated without the fault. The images' bytes are compared with those of an
undisturbed run, and the result is verified. Mounting needs root. Prints a table. Exits with 1 on any difference.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from campaigns.kill import make_input
from runner import REPOSITORY, common, is_wanted

SHIM = REPOSITORY / "tests" / "support" / "failing_calls.c"
SECONDS = 900
DONE, DAMAGED, SURROUNDINGS = 0, 1, 3
FAULTS = {
    "no fsync of folders": "fsyncdir:22:-1:",
    "no syncfs": "syncfs:38:-1:",
    "no fsync, flock, fchmod, fadvise, exchange": "fsync:95:-1:;flock:38:-1:;fchmod:1:-1:;fadvise:38:-1:;exchange:22:-1:",
    "rename: EBUSY, three times": "rename:16:3:zarr.json",
    "rename: EBUSY, always": "rename:16:-1:valid/zarr.json",
    "write: EDQUOT, once, at an image's end": "write:122:1:.zarr.json",
    "close: EDQUOT, once, of a shard": "close:122:1:.partial",
    "write: EIO, once, of the catalog": "write:5:1:.catalog.parquet",
    "fsync: EIO, once": "fsync:5:1:plan",
    "syncfs: EIO, once": "syncfs:5:1:",
    "open: ESTALE, three times": "open:116:3:images.zarr",
}


class NotHereError(Exception):
    """A file system that this machine can't provide; the message says why."""


@dataclass(frozen=True)
class Mounting:
    """How a file system is made and mounted: commands, in which {image}, {device}, {at} and {below} stand for paths."""

    tools: tuple[str, ...]
    commands: tuple[tuple[str, ...], ...]
    size: int = 0
    """Bytes of its image."""
    device: bool = False
    """Whether it needs a loop device."""


_SIZE = 512 << 20
FILE_SYSTEMS = {
    "vfat": Mounting(("mkfs.vfat",), (("mkfs.vfat", "{image}"), ("mount", "-o", "loop", "{image}", "{at}")), _SIZE),
    "fat (fusefat)": Mounting(
        ("mkfs.vfat", "fusefat"), (("mkfs.vfat", "-F32", "{image}"), ("fusefat", "-o", "rw+", "{image}", "{at}")), _SIZE
    ),
    "ntfs (ntfs-3g)": Mounting(
        ("mkntfs", "ntfs-3g"), (("mkntfs", "-q", "-F", "-f", "{image}"), ("ntfs-3g", "{image}", "{at}")), _SIZE
    ),
    "exfat (exfat-fuse)": Mounting(
        ("mkfs.exfat", "mount.exfat-fuse"),
        (("mkfs.exfat", "{device}"), ("mount.exfat-fuse", "{device}", "{at}")),
        _SIZE,
        device=True,
    ),
    "xfs without case": Mounting(
        ("mkfs.xfs",),
        (("mkfs.xfs", "-q", "-n", "version=ci", "{image}"), ("mount", "-o", "loop", "{image}", "{at}")),
        _SIZE,
    ),
    "pass-through (bindfs)": Mounting(("bindfs",), (("bindfs", "{below}", "{at}"),)),
    "overlay": Mounting(
        (),
        (
            ("mkdir", "{below}/lower", "{below}/upper", "{below}/work"),
            (
                *("mount", "-t", "overlay", "overlay", "{at}"),
                *("-o", "lowerdir={below}/lower,upperdir={below}/upper,workdir={below}/work"),
            ),
        ),
    ),
    "tmpfs": Mounting((), (("mount", "-t", "tmpfs", "-o", "size=512m", "tmpfs", "{at}"),)),
}


@contextmanager
def mounted(how: Mounting, place: Path) -> Iterator[Path]:
    """Make and mount a fresh file system.

    Raises
    ------
    NotHereError
    """
    missing = [tool for tool in how.tools if shutil.which(tool) is None]
    if missing:
        raise NotHereError(f"there is no {' and no '.join(missing)}")
    at, below, image, device = place / "at", place / "below", place / "image", ""
    for folder in (at, below):
        folder.mkdir(parents=True)
    if how.size:
        with image.open("wb") as file:
            file.truncate(how.size)
    try:
        if how.device:
            device = run(["losetup", "-f", "--show", str(image)]).strip()
        for command in how.commands:
            run([part.format(at=at, below=below, image=image, device=device) for part in command])
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=False, capture_output=True)
        if device:
            subprocess.run(["losetup", "-d", device], check=False, capture_output=True)


def run(command: list[str]) -> str:
    """Run a command that makes a file system; NotHereError if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise NotHereError(f"{command[0]}: {said[0] if said else done.returncode}")
    return done.stdout


def images(out: Path) -> dict[str, bytes]:
    """Return every file of the images."""
    root = out / "images.zarr"
    files = (file for file in root.rglob("*") if file.is_file() and not file.name.startswith(".fuse_hidden"))
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in files}


@dataclass
class Campaign:
    """The runs, and their expected results."""

    place: Path
    workers: int
    expected: dict[str, bytes]
    verdict: int

    def convert(self, out: Path, faults: str = "") -> tuple[int, str]:
        """Run a conversion; return its exit code and its output."""
        state = Path(tempfile.mkdtemp(dir=self.place))
        shim = (
            {"LD_PRELOAD": str(self.place / "faults.so"), "FAULTS": faults, "FAULTS_STATE": str(state)}
            if faults
            else {}
        )
        command = [sys.executable, "-m", "pipeline.cli", "convert", str(self.place / "in"), str(out)]
        command += ["--workers", str(self.workers), "--set", "output.shard=100000", "--set", "output.mode_bits='0640'"]
        done = subprocess.run(
            command, env={**os.environ, **shim}, capture_output=True, text=True, check=False, timeout=SECONDS
        )
        return done.returncode, done.stderr

    def check(self, out: Path, faults: str = "") -> tuple[str, list[str]]:
        """Convert, and again if the surroundings failed; return the observations, and what is wrong."""
        code, said = self.convert(out, faults)
        noted = [line.partition(" isn't possible")[0] for line in said.splitlines() if " isn't possible" in line]
        seen = f"{code} ({'; '.join(noted)})" if noted else str(code)
        wrong = ["a traceback"] if "Traceback" in said else []
        if code == SURROUNDINGS and faults:
            line = next((line for line in said.splitlines() if line.startswith("error: ")), "")
            seen += f": {line[-140:]}"
            code, said = self.convert(out)
            seen += f" | {code}"
        if code != self.verdict:
            wrong.append(f"exit code {code}: {said[-300:]}")
        if images(out) != self.expected:
            wrong.append("the images differ")
        verify = [sys.executable, "-m", "pipeline.cli", "verify", str(out), "--cluster", "synchronous", "-q"]
        verified = subprocess.run(verify, capture_output=True, text=True, check=False, timeout=SECONDS)
        if verified.returncode:
            wrong.append(f"verify: {verified.stdout[-300:]}")
        return seen, wrong


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    common(parser, copies=1, workers=1, only=())


def main(given: argparse.Namespace) -> int:
    """Mount, disturb, compare, and print a table."""
    table, failures = Table("case", "seen", "wrong"), 0
    with tempfile.TemporaryDirectory(prefix="dcm2zarr-file-systems-", ignore_cleanup_errors=True) as temporary:
        place = Path(temporary)
        make_input(place / "in", given.copies)
        campaign = Campaign(place, given.workers, {}, DAMAGED)
        campaign.verdict, said = campaign.convert(place / "undisturbed")
        if campaign.verdict not in {DONE, DAMAGED}:
            sys.exit(said)
        campaign.expected = images(place / "undisturbed")
        for name, case in cases(campaign):
            if not is_wanted(name, given.only):
                continue
            try:
                seen, wrong = case()
            except NotHereError as error:
                seen, wrong = f"not here: {error}", []
            failures += bool(wrong)
            table.add_row(name, seen, "; ".join(wrong))
            print(name, "|", seen, "|", *wrong, flush=True)
    Console(width=200).print(table)
    return int(bool(failures))


def cases(campaign: Campaign) -> Iterator[tuple[str, Callable[[], tuple[str, list[str]]]]]:
    """Yield every case's name, and the function that runs it."""
    for name, how in FILE_SYSTEMS.items():

        def on(how: Mounting = how, name: str = name) -> tuple[str, list[str]]:
            with mounted(how, campaign.place / f"fs-{name.split(maxsplit=1)[0]}") as at:
                return campaign.check(at / "out")

        yield name, on
    for number, (name, faults) in enumerate(FAULTS.items()):

        def under(number: int = number, faults: str = faults) -> tuple[str, list[str]]:
            library = campaign.place / "faults.so"
            if not library.exists():
                if shutil.which("cc") is None:
                    raise NotHereError("there is no C compiler (cc)")
                run(["cc", "-shared", "-fPIC", "-o", str(library), str(SHIM), "-ldl"])
            return campaign.check(campaign.place / f"out-{number}", faults)

        yield name, under
