"""The campaigns of scripts/campaigns, in short."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from campaigns import growth, kill
from runner import command, environment


@pytest.mark.skipif(
    not hasattr(signal, "SIGALRM"), reason="ends runs that hang by a signal that only POSIX systems have"
)
def test_folders_that_change_in_short(tmp_path: Path) -> None:
    tally = growth.campaign(tmp_path, rounds=3, steps=4, seed=7)
    assert tally.wrong == []
    assert tally.runs["interrupted"] > 2
    assert len(tally.changes) > 5


def test_killed_runs_in_short(tmp_path: Path) -> None:
    campaign = kill.Campaign(tmp_path / "in", tmp_path, random.Random(3), seconds=4.0)  # noqa: S311  no secret
    kill.make_input(campaign.source, 1)
    assert campaign.finish(tmp_path / "whole") == ""
    expected = kill.result(tmp_path / "whole")
    out = tmp_path / "out"
    for wanted in ("scan", "convert", "finalise"):
        run = campaign.start(out)
        kill.wait_for(wanted, run, out)
        run.kill()
        run.wait()
        kill.kill_tree(run.pid)
    assert campaign.finish(out) == ""
    assert kill.differences(out, expected) == []


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="mounts a tmpfs: needs root on Linux, and setpriv",
)
def test_a_disk_that_is_full_in_short() -> None:
    probe = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("this machine's root may not mount a tmpfs (a container without CAP_SYS_ADMIN)")
    short = command("campaigns", "disk", "--rounds", 1, "--copies", 1)
    done = subprocess.run(short, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
