"""Dask's settings that were made for other uses: a run's own cluster survives them, and another one's names what is in the way."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import pipeline
from support.corpora import copies
from support.identical_results import assert_identical

OTHERS = """
temporary-directory: /dev/null/nowhere
scheduler: processes
num-workers: 1
pool: nonsense
scheduler-address: tcp://127.0.0.1:9
dataframe: {shuffle: {method: nonsense}}
logging: {distributed: warning}
jobqueue: {slurm: {cores: nonsense}}
distributed:
  dashboard: {link: "{JUPYTERHUB_NOBODY}/proxy/{port}/status"}
  scheduler:
    {preload: [no_such_module], worker-ttl: 1s, idle-timeout: 1s, no-workers-timeout: 1ms, validate: true, work-stealing: nonsense}
  worker:
    preload: [no_such_module]
    daemon: false
    multiprocessing-method: fork
    lifetime: {duration: 2s, stagger: 1s, restart: true}
    resources: {GPU: 0}
    memory: {target: false, spill: 0.01, pause: 0.01, terminate: 0.02, monitor-interval: 1ms}
  nanny: {preload: [no_such_module], environ: {PYTHONPATH: /nowhere}, pre-spawn-environ: {PYTHONHOME: /nowhere}}
  client: {preload: [no_such_module], security-loader: no.such.loader, heartbeat: nonsense}
  comm:
    default-scheme: ucx
    require-encryption: true
    compression: nonsense
    tls: {ca-file: /nowhere/ca.pem, min-version: 9, ciphers: nonsense, scheduler: {cert: /nowhere/c.pem}}
    timeouts: {connect: soon, tcp: 1ms}
  admin: {event-loop: uvloop, tick: {interval: 1us}, system-monitor: {interval: nonsense}}
  deploy: {lost-worker-timeout: nonsense}
"""
DAMAGED = {"broken.yaml": b"a: [1, 2\nb: }\n", "binary.json": b"\xff\xfe\x00", "list.yml": b"- a\n- b\n"}
NAMES = ("CT_small.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm", "SC_rgb_rle_2frame.dcm")
IN_THE_WAY = {
    "client-preload.yaml": ("distributed: {client: {preload: [no_such_module]}}", "distributed.client.preload"),
    "tls.yaml": ("distributed: {comm: {tls: {ca-file: /nowhere/ca.pem}}}", "distributed.comm.tls.ca-file"),
    "encryption.yaml": ("distributed: {comm: {require-encryption: true}}", "distributed.comm.require-encryption"),
    "scheduler-preload.yaml": (
        "distributed: {scheduler: {preload: [no_such_module]}}",
        "distributed.scheduler.preload",
    ),
}
TRIED = """
import sys
import dask
from pipeline.config import Cluster
from pipeline.executors import clusters
from pipeline.errors import PipelineError

port, *files = sys.argv[1:]
for file in files:
    dask.config.paths[:] = [file]
    dask.config.refresh()
    options = {"processes": False, "dashboard_address": None}
    of_its_own = {"kind": "custom", "class_name": "distributed.LocalCluster", "options": options}
    address = f"{'tls' if 'tls' in file else 'tcp'}://127.0.0.1:{port}"
    given = of_its_own if "preload" in file else {"kind": "address", "address": address}
    try:
        with clusters.start(Cluster.model_validate(given)):
            print("started")
    except PipelineError as error:
        print(error.reason, error)
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return copies(NAMES, tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, source) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    pipeline.convert(source, out, cluster={"kind": "synchronous"})
    return out


@pytest.fixture
def home(tmp_path) -> Path:
    folder = tmp_path / "home" / ".config" / "dask"
    folder.mkdir(parents=True)
    return tmp_path / "home"


def started(home: Path, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    told = {"HOME": str(home), "DASK_CONFIG": "/nowhere/at/all", "JUPYTERHUB_USER": "x", **variables}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=300, env={**os.environ, **told})


FROM_PYTHON = ("-c", "import pipeline, sys; pipeline.convert(*sys.argv[1:3], cluster={'kind': 'local', 'workers': 1})")
COMMAND = ("-m", "pipeline.cli", "convert", "-q", "--workers", "1", "--cluster")
VARIABLES = {
    "sound": {"DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE": "0.01", "DASK_SCHEDULER_ADDRESS": "tcp://127.0.0.1:9"},
    "damaged": {"DASK_DISTRIBUTED": "5", "DASK_DISTRIBUTED__COMM": "x"},
}


@pytest.mark.parametrize("settings", ["sound", "damaged"])
@pytest.mark.parametrize("command", [FROM_PYTHON, (*COMMAND, "threads")], ids=["local", "threads"])
def test_settings_of_other_uses_change_nothing(source, undisturbed, home, command, settings):
    folder, out = home / ".config" / "dask", home.parent / "out"
    (folder / "others.yaml").write_text(OTHERS, "utf-8")
    for name, content in DAMAGED.items() if settings == "damaged" else ():
        (folder / name).write_bytes(content)
    ended = started(home, *command, source, out, **VARIABLES[settings])
    assert ended.returncode == 0, ended
    assert "Traceback" not in ended.stderr
    assert "distributed" not in ended.stderr.replace("DASK_DISTRIBUTED", "")
    assert_identical(out, undisturbed)


def test_what_is_left_out_is_told(source, tmp_path, home):
    folder = home / ".config" / "dask"
    (folder / "broken.yaml").write_bytes(DAMAGED["broken.yaml"])
    (folder / "folder.yaml").write_text("temporary-directory: /dev/null/nowhere", "utf-8")
    ended = started(home, "-m", "pipeline.cli", "convert", source, tmp_path / "out", "--cluster", "threads")
    assert ended.returncode == 0
    assert f"Dask's settings in {folder}/broken.yaml are ignored: not YAML that Dask can read: line " in ended.stderr
    told = f"temporary-directory of Dask's settings (in {folder}/folder.yaml) can't be used: /dev/null/nowhere: "
    assert told in ended.stderr


def test_what_keeps_a_cluster_of_the_user_s_from_starting_is_named_with_its_file(tmp_path, home):
    files = {name: tmp_path / name for name in IN_THE_WAY}
    for name, file in files.items():
        file.write_text(IN_THE_WAY[name][0], "utf-8")
    with socket.create_server(("127.0.0.1", 0)) as server:
        ended = started(home, "-c", TRIED, server.getsockname()[1], *files.values())
    lines = ended.stdout.splitlines()
    assert len(lines) == len(files), ended
    for line, (name, file) in zip(lines, files.items(), strict=True):
        assert f"which count here: {IN_THE_WAY[name][1]} (in {file})" in line
