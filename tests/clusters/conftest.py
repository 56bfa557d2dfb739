"""A real SLURM, for the tests of clusters."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SERVICE = Path(__file__).resolve().parents[2] / "scripts" / "services" / "slurm"
UNAVAILABLE = 3


@dataclass(frozen=True)
class Slurm:
    """A running SLURM; its commands find it by the environment."""

    folder: Path

    def jobs(self, state: str = "all") -> list[str]:
        return self.tell("squeue", "-h", "-o", "%i", "-t", state).split()

    def cancel(self, job: str, *options: str) -> None:
        self.tell("scancel", *options, job)

    def tell(self, *command: str) -> str:
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    folder = tmp_path_factory.mktemp("slurm")
    started = subprocess.run([SERVICE, "start", folder], check=False, capture_output=True, text=True, timeout=3000)
    if started.returncode == UNAVAILABLE:
        pytest.skip(started.stderr.strip().splitlines()[-1])
    assert started.returncode == 0, started.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        yield Slurm(folder)
    subprocess.run(
        [SERVICE, "stop", folder], check=True, timeout=300, env={**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
    )
