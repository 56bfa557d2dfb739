"""The campaigns of scripts/, in short."""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def kill(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("campaign_kill", SCRIPTS / "campaign_kill.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "campaign_kill", module)
    spec.loader.exec_module(module)
    return module


def test_killed_runs_in_short(kill: ModuleType, tmp_path: Path) -> None:
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
    command = [sys.executable, str(SCRIPTS / "campaign_disk.py"), "--rounds", "1", "--copies", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
