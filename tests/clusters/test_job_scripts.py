"""What is submitted to each batch system, rendered by dask-jobqueue itself, which needs none of them for it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import dask
import pytest

from pipeline.config import BATCH_SYSTEMS, Cluster, load
from pipeline.errors import ConfigError
from pipeline.executors.clusters import batch_system, check

CONFIGS = Path(__file__).resolve().parents[2] / "configs"

EXPECTED = {
    "slurm": (
        *("#SBATCH -J dcm2zarr", "#SBATCH -p compute", "#SBATCH -A imaging", "#SBATCH --cpus-per-task=16"),
        *("#SBATCH --mem=48G", "#SBATCH -t 04:00:00", "#SBATCH --requeue", "module load python/3.11"),
        *("--nworkers 16", "--nthreads 1", "--memory-limit 3.00GiB", "--lifetime 13500s --lifetime-stagger 450s"),
    ),
    "pbs": (
        *("#PBS -N dcm2zarr", "#PBS -q workq", "#PBS -A imaging", "#PBS -l select=1:ncpus=16:mem=48GB"),
        *("#PBS -l walltime=04:00:00", "--nworkers 16", "--lifetime 13500s"),
    ),
    "lsf": (
        *("#BSUB -J dcm2zarr", "#BSUB -q normal", "#BSUB -n 16", "#BSUB -M 52", "#BSUB -W 04:00"),
        *('#BSUB -P "imaging"', "--nworkers 16", "--lifetime 13500s"),
    ),
    "sge": (
        *("#$ -N dcm2zarr", "#$ -q all.q", "#$ -l h_vmem=3G", "#$ -l h_rt=04:00:00", "#$ -pe smp 16"),
        *("--nworkers 16", "--lifetime 13500s"),
    ),
    "htcondor": (
        *("MY.DaskWorkerCores = 4", "MY.DaskWorkerMemory = 12884901888", "+MaxRuntime = 14400", "--nworkers 4"),
        *("--lifetime 220m",),
    ),
    "oar": (
        *("#OAR -n dcm2zarr", "#OAR -q default", "#OAR -l /nodes=1/core=16,walltime=04:00:00", "memcore>=3072"),
        *("#OAR -t besteffort", "--nworkers 16", "--lifetime 13500s"),
    ),
}


def script(cluster: Cluster) -> str:
    options = batch_system.arguments(cluster)
    with batch_system.made(cluster, options) as made:
        return str(made.job_script())


SAFE = (
    *(" -P -m distributed.cli.dask_worker ", '--local-directory "$DCM2ZARR_SCRATCH" '),
    *("dcm2zarr-XXXXXXXX` || exit 1", "--tls-cert", "--no-dashboard --dashboard-address 127.0.0.1:0"),
)
"""Nothing is imported from the folder that a job starts in, and nothing is kept where other users put things."""


@pytest.mark.parametrize("kind", BATCH_SYSTEMS)
def test_the_shipped_configuration_asks_for_what_it_says(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    config = load(CONFIGS / f"{kind}.yaml", ["cluster.options.interface=lo"])
    check(config.cluster)
    text = script(config.cluster)
    for part in (*EXPECTED[kind], *SAFE):
        assert part in text.replace('""', '"'), text  # HTCondor doubles quotes


def slurm(**given) -> Cluster:
    options = {"interface": "lo", **given.pop("options", {})}
    return Cluster.model_validate({"kind": "slurm", "workers": 2, "options": options, **given})


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))


def test_without_cores_a_job_is_one_worker():
    options = batch_system.arguments(slurm(memory="2 GiB", threads_per_worker=3))
    assert (options["processes"], options["cores"], options["memory"]) == (1, 3, 2 * 2**30)


def test_dasks_own_configuration_counts():
    given = {"cores": 12, "memory": "24 GB", "walltime": "1-00", "queue": "night"}
    given["worker-extra-args"] = ["--resources", "GPU=1"]
    with dask.config.set({f"jobqueue.slurm.{key}": value for key, value in given.items()}):
        options = batch_system.arguments(slurm(threads_per_worker=4))
        text = script(slurm(threads_per_worker=4))
    assert (options["processes"], options["cores"], options["memory"]) == (3, 12, "24 GB")
    assert "#SBATCH -p night" in text
    assert "#SBATCH -t 1-00" in text
    assert "--nworkers 3" in text
    assert "--resources GPU=1 " in text
    assert "--lifetime 85500s" in text


def test_what_a_job_does_first_stays_before_what_it_needs():
    prologue = ["module load python", "export TMPDIR=/local"]
    with dask.config.set(
        {"jobqueue.slurm.job-script-prologue": prologue, "jobqueue.slurm.local-directory": "/nvme/$USER"}
    ):
        lines = script(slurm(memory="1 GiB", options={"python": "/opt/python"})).splitlines()
    first = lines.index("module load python")
    made = "mkdir -p /nvme/$USER && mktemp -d /nvme/$USER/dcm2zarr-XXXXXXXX"
    assert lines[first + 1 : first + 4] == [
        "export TMPDIR=/local",
        f"DCM2ZARR_SCRATCH=`{made}` || exit 1",
        "trap 'rm -rf \"$DCM2ZARR_SCRATCH\"' EXIT",
    ]
    assert lines[first + 4].startswith("/opt/python -P -m ")


def test_the_prologue_of_a_job_makes_a_private_folder_and_removes_it(tmp_path):
    shown = "ls -ld $DCM2ZARR_SCRATCH; touch $DCM2ZARR_SCRATCH/spilled; exit 3"
    for options in ({}, {"local_directory": f"{tmp_path}/own"}):
        prologue = batch_system.arguments(slurm(memory="1 GiB", options=options))["job_script_prologue"]
        command, environment = ["sh", "-c", "; ".join([*prologue, shown])], {**os.environ, "TMPDIR": str(tmp_path)}
        done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
        assert done.stdout.startswith("drwx------"), done
        assert f"{options.get('local_directory', tmp_path)}/dcm2zarr-" in done.stdout
        assert done.returncode == 3
    assert [path.name for path in tmp_path.rglob("*") if path.name != "own"] == []


def test_a_web_server_that_workers_are_given_stays():
    args = ["--dashboard-address", ":0"]
    options = batch_system.arguments(slurm(memory="1 GiB", options={"worker_extra_args": args}))
    assert options["worker_extra_args"][:2] == args
    assert "--no-dashboard" not in options["worker_extra_args"]


def test_a_lifetime_that_is_given_stays():
    args = ["--lifetime=10m"]
    options = batch_system.arguments(slurm(memory="1 GiB", options={"worker_extra_args": args, "walltime": "00:30:00"}))
    assert [arg for arg in options["worker_extra_args"] if "lifetime" in arg] == args


def test_the_dashboard_is_on_loopback_unless_told():
    assert batch_system.arguments(slurm(memory="1 GiB"))["scheduler_options"]["dashboard_address"] == "127.0.0.1:8787"
    told = batch_system.arguments(slurm(memory="1 GiB", dashboard=":9999"))
    assert told["scheduler_options"]["dashboard_address"] == ":9999"


def test_unencrypted_needs_a_network():
    assert "--tls-cert" not in script(slurm(memory="1 GiB", security="none"))
    cluster = Cluster.model_validate({"kind": "slurm", "workers": 2, "memory": "1 GiB", "security": "none"})
    with pytest.raises(ConfigError, match=r"cluster\.security: an unencrypted .* cluster\.options\.interface: ib0"):
        batch_system.arguments(cluster)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"quene": "main"},
            r"cluster\.options\.quene: dask-jobqueue's SLURMCluster has no such argument; did you mean",
        ),
        ({"wall-time": "1:00"}, "did you mean walltime"),
        ({"n_workers": 3}, r"cluster\.options\.n_workers: set cluster\.workers, or cluster\.adapt, instead"),
        ({"walltime": "an hour"}, r"cluster\.options\.walltime: 'an hour' isn't a walltime of slurm"),
        ({"memory": "3 GB"}, r"cluster\.options\.memory: cluster\.memory is set already"),
    ],
)
def test_wrong_options_are_answered(options, expected):
    with pytest.raises(ConfigError, match=expected):
        check(slurm(memory="1 GiB", options=options))


def test_memory_is_needed():
    with pytest.raises(ConfigError, match=r"cluster\.memory: a job needs to know its memory"):
        check(slurm())


def test_a_network_that_is_not_there_is_said_so():
    cluster = slurm(memory="1 GiB", options={"interface": "ib99"})
    with pytest.raises(ConfigError, match=r"SLURMCluster could not be started: .*ib99"):
        script(cluster)
