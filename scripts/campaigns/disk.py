"""Runs whose output disk fills up, or becomes unwritable, midway, then run to the end with the cause gone.

    scripts/campaign disk [--rounds 20] [--seed 1] [--copies 6]

Needs root on Linux, for a small tmpfs; the runs are those of the user nobody, to whom permissions apply. Each round takes a
fresh file system and, in turn, makes it too small by some amount, takes away the permission to write at a random moment, or
makes it read-only.
That run must end with exit code 3 and name the cause, leave a ledger without damage, and the same command must then end with
the result of an undisturbed run. Prints a table. Exits with 1 on any difference.
"""

from __future__ import annotations

import argparse
import os
import pwd
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from campaigns.kill import SMALL, differences, make_input, phase, result, wait_for
from campaigns.killing.tally import PHASES
from runner import common

CAUSES = {"full": "No space left", "permission": "Permission denied", "read-only": "Read-only file system"}
ROOM = "512m"
SECONDS = 900
BAD = 3
DAMAGED_FILE = 1


def command(source: Path, out: Path) -> list[str]:
    """Return a run of the user nobody, who may read root's Python but write only its own files."""
    user = pwd.getpwnam("nobody")
    reading = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]
    drop = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", *reading]
    options = ["--cluster", "synchronous", "-q", *SMALL]
    return [*drop, sys.executable, "-m", "pipeline.cli", "convert", str(source), str(out), *options]


def mount(disk: Path, options: str) -> None:
    """Mount a tmpfs, or change the mounted one."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)], check=True)


def disturbed(cause: str, source: Path, disk: Path, needed: int) -> tuple[int, str, str]:
    """Let a run meet `cause`; return its exit code, its output, and how far it got."""
    out = disk / "out"
    amount = random.uniform(0.02, 0.98)  # noqa: S311  no secret
    if cause == "full":
        mount(disk, f"remount,size={max(int(amount * needed) // 4096, 4) * 4096}")
    run = subprocess.Popen(command(source, out), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    if cause != "full":
        wait_for(random.choice(PHASES[:-1]), run, out)  # noqa: S311  as above
        time.sleep(0.2 * amount)
        if cause == "read-only":
            # the kernel refuses while files are open for writing: try until a moment without
            while (
                run.poll() is None
                and subprocess.run(
                    ["mount", "-o", "remount,ro", str(disk)], capture_output=True, check=False
                ).returncode
            ):
                pass
        else:
            set_writable(disk, writable=False)
    _, said = run.communicate(timeout=SECONDS)
    return run.returncode, said, phase(out)


def set_writable(disk: Path, *, writable: bool) -> None:
    """Grant or revoke the permission to write everything on the disk."""
    subprocess.run(["chmod", "-R", "u+w" if writable else "a-w", str(disk)], check=False, capture_output=True)


def used(disk: Path) -> int:
    """Return the bytes in use."""
    info = os.statvfs(disk)
    return (info.f_blocks - info.f_bfree) * info.f_frsize


def a_round(
    cause: str, source: Path, disk: Path, *, needed: int, expected: Any, seen: Counter[tuple[str, str]]
) -> list[str]:
    """Let a run meet `cause`, remove the cause, run to the end; return what is wrong."""
    wrong: list[str] = []
    code, said, far = disturbed(cause, source, disk, needed)
    if code == BAD and CAUSES[cause] in said:
        seen[cause, far] += 1
    elif code == DAMAGED_FILE and far == "ended":
        seen[cause, "too late"] += 1
    else:
        wrong.append(f"{far}: exit code {code}: {said.strip()[-300:]}")
    mount(disk, f"remount,rw,size={ROOM}")
    set_writable(disk, writable=True)
    again = subprocess.run(command(source, disk / "out"), check=False, capture_output=True, text=True, timeout=SECONDS)
    if again.returncode != DAMAGED_FILE:
        return [*wrong, f"resumed with {again.returncode}: {again.stderr[-300:]}"]
    return [*wrong, *differences(disk / "out", expected)]


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    common(parser, rounds=20, seed=1, copies=6)


def main(given: argparse.Namespace) -> int:
    """Disturb, resume, compare, and print a table."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        sys.exit("this needs root, and setpriv (util-linux)")
    random.seed(given.seed)
    wrong: list[str] = []
    seen: Counter[tuple[str, str]] = Counter()
    number = done = 0
    with tempfile.TemporaryDirectory(prefix="dcm2zarr-disk-") as temporary:
        place = Path(temporary)
        make_input(place / "in", given.copies)
        disk = place / "disk"
        disk.mkdir()
        owned = f"size={ROOM},mode=0755,uid={pwd.getpwnam('nobody').pw_uid}"
        mount(disk, owned)
        subprocess.run(command(place / "in", disk / "out"), check=False, stdout=subprocess.DEVNULL)
        needed, expected = used(disk), result(disk / "out")
        subprocess.run(["umount", "-l", str(disk)], check=True)
        while (done := sum(seen[cause, far] for cause in CAUSES for far in PHASES)) < given.rounds and not wrong:
            cause = list(CAUSES)[done % len(CAUSES)]
            number += 1
            mount(disk, owned)
            try:
                found = a_round(cause, place / "in", disk, needed=needed, expected=expected, seen=seen)
                wrong += [f"round {number}, {cause}: {text}" for text in found]
            finally:
                subprocess.run(["umount", "-l", str(disk)], check=True)
    table = Table("ended while", *CAUSES)
    for far in (*PHASES, "too late"):
        table.add_row(far, *(str(seen[cause, far]) for cause in CAUSES))
    console = Console()
    console.print(table)
    console.print(f"{number} rounds, {done} of them disturbed in time; {len(wrong)} differences")
    for text in wrong:
        console.print(f"  {text}", markup=False)
    return int(bool(wrong))
