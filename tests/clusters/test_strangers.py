"""Another user of this machine gets nothing of a run, and no say in it: tried as one, on every port that a run opens."""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import dask
import psutil
import pytest
from distributed import LocalCluster

import pipeline
from pipeline.config import Cluster, load
from pipeline.executors import NullProgress, clusters
from pipeline.executors.clusters.scratch import own_folder, private_scratch
from pipeline.runs import array_jobs
from pipeline.verify import verify
from support.other_user import NOBODY, attack, listening

TRAPS = ("dask-scratch-space", f"dask-scratch-space-{os.getuid()}", f"dcm2zarr-{os.getuid()}")
as_nobody = pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")


def ports(listeners: set[tuple[str, int]]) -> list[int]:
    assert {address for address, _ in listeners} <= {"127.0.0.1"}
    return [port for _, port in listeners]


class Attacked(NullProgress):
    """Lets the stranger in as soon as the run has begun to work."""

    def __init__(self) -> None:
        self.known = listening()
        self.tried: set[int] = set()
        self.told: list[str] = []

    def advance(self, **counts: int) -> None:
        if any(counts.values()) and not self.tried:
            self.tried = set(ports(listening(self.known)))
            self.told = attack(self.tried)


@pytest.fixture(scope="module")
def source(tmp_path_factory, pydicom_folder) -> Path:
    folder = tmp_path_factory.mktemp("source")
    shutil.copy2(pydicom_folder / "CT_small.dcm", folder)
    return folder


@as_nobody
def test_a_cluster_of_dasks_own_lets_the_stranger_in():
    """So that the other tests are worth something."""
    known = listening()
    options = {"threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(n_workers=1, silence_logs="CRITICAL", **options):
        told = attack(ports(listening(known)), goes_in=True)
    assert {f"ran code in a {kind} as 0" for kind in ("Scheduler", "Worker", "Nanny")} <= set(told)
    assert "read /info/main/workers.html" in told


@as_nobody
def test_nobody_else_reaches_local_workers(capfd):
    known = listening()
    with clusters.start(Cluster(kind="local", workers=2)) as executor:
        there = ports(listening(known))
        assert attack(there, [dask.config.get("temporary-directory"), *_environments()]) == []
        assert len(there) == 5  # a scheduler; two nannies and their workers
        assert sorted(outcome.result for outcome in executor.map(abs, [-1, -2], name="abs")) == [1, 2]
    assert capfd.readouterr() == ("", "")


def _environments() -> list[str]:
    """What the processes were started with; and none shows a key to those who list them."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    for process in processes:
        told = " ".join([*process.cmdline(), *process.environ().values()])
        assert "PRIVATE KEY" not in told
    return [f"/proc/{process.pid}/environ" for process in processes]


@as_nobody
@pytest.mark.parametrize("step", ["convert", "verify", "convert-partition", "finalize"])
def test_nobody_else_reaches_a_run(source, tmp_path, step):
    out, attacked = tmp_path / "out", Attacked()
    local: Any = {"kind": "local", "workers": 1}
    here: Any = {"kind": "synchronous"}
    if step == "convert":
        pipeline.convert(source, out, cluster=local, progress=attacked)
    elif step == "verify":
        pipeline.convert(source, out, cluster=here)
        assert not verify(out, cluster=local, progress=attacked).counts
    else:
        text = f"source: {{paths: ['{source}']}}\noutput: {{path: '{out}'}}\ncluster: {{kind: synchronous}}\n"
        (tmp_path / "run.yaml").write_text(text, "utf-8")
        array_jobs.init(load(tmp_path / "run.yaml"), partitions=1)
        kinds = [Cluster(**(local if step == one else here)) for one in ("convert-partition", "finalize")]
        array_jobs.convert_partition(out, 0, cluster=kinds[0], progress=attacked)
        array_jobs.finalize(out, cluster=kinds[1], progress=attacked)
    assert attacked.told == []
    assert len(attacked.tried) == 3


@pytest.mark.parametrize("kind", ["synchronous", "threads"])
def test_what_runs_in_this_process_listens_nowhere(kind):
    known = listening()
    with clusters.start(Cluster(kind=kind)) as executor:
        assert [outcome.result for outcome in executor.map(abs, [-1], name="abs")] == [1]
        assert listening(known) == set()


class Messages(NullProgress):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def message(self, text: str) -> None:
        self.texts.append(text)


def fetched(port: int, path: str) -> tuple[int, str]:
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, f"{answer.headers} {answer.read().decode('utf-8', 'replace')}"


def test_a_dashboard_is_for_those_who_were_told_its_address():
    known, progress = listening(), Messages()
    with clusters.start(Cluster(kind="local", workers=1, dashboard="127.0.0.1:0"), progress):
        (link,) = progress.texts
        port, secret = re.fullmatch(r"Dashboard: http://127\.0\.0\.1:(\d+)/([\w-]{32})/status", link).groups()
        assert int(port) in ports(listening(known))
        guesses = ["", "status", "sitemap.json", "metrics", "health", "info/main/workers.html", f"x/{secret}/status"]
        for guess in [*guesses, f"{secret[:-1]}x/status", secret[:-1], f"%2e/{secret[:-1]}/status"]:
            status, told = fetched(int(port), f"/{guess}")
            assert status == 404
            assert secret not in told
        status, page = fetched(int(port), f"/{secret}/status")
        assert status == 200
        scripts = re.findall(r'src="([^"]+\.js[^"]*)"', page)
        assert scripts
        assert all(fetched(int(port), urljoin(f"/{secret}/status", path))[0] == 200 for path in scripts)


@pytest.fixture
def shared(monkeypatch) -> Path:
    """A folder for temporary files that all users share."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "tmp"
        folder.mkdir()
        Path(name).chmod(0o755)
        folder.chmod(0o1777)
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        monkeypatch.setenv("TMPDIR", str(folder))
        yield folder


@as_nobody
@pytest.mark.parametrize("kind", ["local", "threads", "custom"])
def test_modules_and_scratch_are_never_taken_from_a_folder_that_somebody_else_has_made(shared, kind):
    for name in TRAPS:
        trap = shared / name
        trap.mkdir()
        trap.chmod(0o777)
        os.chown(trap, NOBODY, NOBODY)
    given = {"class_name": "distributed.LocalCluster", "options": {"dashboard_address": None}}
    cluster = Cluster.model_validate({"kind": kind, "workers": 1, **(given if kind == "custom" else {})})

    def search_path(_: int) -> list[str]:
        import sys  # noqa: PLC0415  in the worker

        return sys.path

    with clusters.start(cluster) as executor:
        paths = [*search_path(0), *next(executor.map(search_path, [0], name="path")).result]
        below = {Path(path).relative_to(shared).parts[0] for path in paths if path.startswith(str(shared))}
        (private,) = below
        found = (shared / private).stat()
        assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (os.getuid(), 0o700)
    assert {folder.name: list(folder.iterdir()) for folder in shared.iterdir()} == {trap: [] for trap in TRAPS}


@pytest.mark.parametrize("there", ["nothing", "our own", "open to all", "a link", "a file"])
def test_the_folder_for_scratch_is_one_user_s_alone(tmp_path, there):
    named = tmp_path / f"dcm2zarr-{os.getuid()}"
    if there == "a link":
        (tmp_path / "elsewhere").mkdir(0o700)
        named.symlink_to("elsewhere")
    elif there == "a file":
        named.touch(0o700)
    elif there != "nothing":
        named.mkdir()
        named.chmod(0o700 if there == "our own" else 0o755)
    with dask.config.set({"temporary-directory": str(tmp_path)}), private_scratch() as name:
        folder = Path(name)
        assert (folder == named) == (there in {"nothing", "our own"})
        assert (own_folder(str(tmp_path)) or name) == name
        assert folder.parent == tmp_path
        assert stat.S_ISDIR(folder.lstat().st_mode)
        assert stat.S_IMODE(folder.lstat().st_mode) == 0o700
    assert [path for path in tmp_path.glob("dcm2zarr-*") if path != named] == []
