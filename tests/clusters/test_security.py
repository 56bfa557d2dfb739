"""TLS: a scheduler that talks to holders of a certificate only."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path

import dask
import pytest
import trustme
from distributed import LocalCluster, Security

from pipeline.config import Cluster, load
from pipeline.errors import ClusterError, ConfigError
from pipeline.executors import NullProgress, clusters
from pipeline.executors.clusters.security import of_this_run


def certificates(folder: Path) -> dict[str, str]:
    """Make an authority of our own, and a certificate that it signs."""
    folder.mkdir()
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    files = {name: folder / f"{name}.pem" for name in ("ca_file", "cert", "key")}
    authority.cert_pem.write_to_path(files["ca_file"])
    issued.private_key_pem.write_to_path(files["key"])
    for blob in issued.cert_chain_pems:
        blob.write_to_path(files["cert"], append=True)
    return {name: str(path) for name, path in files.items()}


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> dict[str, str]:
    return certificates(tmp_path_factory.mktemp("tls") / "own")


@pytest.fixture(scope="module")
def scheduler(own) -> str:
    """The address of a scheduler with a worker, which wants certificates; made with Dask's own means."""
    roles = ("client", "scheduler", "worker")
    security = Security(
        tls_ca_file=own["ca_file"],
        require_encryption=True,
        **{f"tls_{role}_cert": own["cert"] for role in roles},
        **{f"tls_{role}_key": own["key"] for role in roles},
    )
    options = {"processes": False, "dashboard_address": None, "host": "127.0.0.1", "protocol": "tls://"}
    with LocalCluster(n_workers=1, threads_per_worker=1, security=security, **options) as cluster:
        yield cluster.scheduler_address


def address(scheduler: str, **given) -> Cluster:
    return Cluster.model_validate({"kind": "address", "address": scheduler, **given})


def test_with_the_certificate_tasks_run(scheduler, own):
    assert scheduler.startswith("tls://")
    with clusters.start(address(scheduler, security=own)) as executor:
        results = [outcome.result for outcome in executor.map(abs, [-1, -2, -3], name="abs")]
    assert sorted(results) == [1, 2, 3]


@pytest.mark.parametrize("whose", ["nobody", "somebody else"])
def test_without_it_nobody_gets_in(scheduler, tmp_path, monkeypatch, whose):
    monkeypatch.setattr("pipeline.executors.clusters.address.CONNECT_SECONDS", 1)
    given = {"security": certificates(tmp_path / "other")} if whose == "somebody else" else {}
    with (
        pytest.raises((ClusterError, ConfigError), match=r"cluster\.address: no Dask scheduler answers at 'tls://"),
        clusters.start(address(scheduler, **given)),
    ):
        pass


def test_dasks_own_configuration_counts(scheduler, own):
    client = {"cert": own["cert"], "key": own["key"]}
    with (
        dask.config.set({"distributed.comm.tls.ca-file": own["ca_file"], "distributed.comm.tls.client": client}),
        clusters.start(address(scheduler)) as executor,
    ):
        assert [outcome.result for outcome in executor.map(abs, [-1], name="abs")] == [1]


def test_paths_count_from_the_configurations_folder_and_must_be_there(tmp_path):
    text = "source: {paths: [in]}\noutput: {path: out}\ncluster: {kind: address, address: 'tls://h:1', security: "
    (tmp_path / "run.yaml").write_text(text + "{ca_file: tls/ca.pem, cert: c.pem, key: k.pem}}\n", "utf-8")
    config = load(tmp_path / "run.yaml")
    assert config.cluster.security.ca_file == str(tmp_path / "tls" / "ca.pem")
    with (
        pytest.raises(ConfigError, match=r"cluster\.security\.ca_file: there is no file .*tls/ca\.pem"),
        clusters.start(config.cluster),
    ):
        pass


class Warnings(NullProgress):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def message(self, text: str) -> None:
        self.texts += [text] if text.startswith("Warning: ") else []


def warnings(cluster: Cluster) -> list[str]:
    progress = Warnings()
    with clusters.start(cluster, progress):
        return progress.texts


@pytest.fixture(scope="module")
def unencrypted() -> str:
    options = {"processes": False, "dashboard_address": None, "host": "127.0.0.1", "protocol": "tcp://"}
    with LocalCluster(n_workers=1, threads_per_worker=1, **options) as cluster:
        yield cluster.scheduler_address


def test_a_scheduler_that_others_may_reach_is_told_of(unencrypted):
    (told,) = warnings(address(unencrypted))
    assert f"the scheduler at {unencrypted} is unencrypted" in told
    assert "cluster.security: none" in told
    (without_protocol,) = warnings(address(unencrypted.removeprefix("tcp://")))
    assert without_protocol == told


def test_one_that_is_trusted_or_secured_is_not(unencrypted, scheduler, own):
    assert warnings(address(unencrypted, security="none")) == []
    assert warnings(address(scheduler, security=own)) == []


@pytest.mark.parametrize(("security", "expected"), [("auto", 1), ("none", 0), ("own", 0)])
def test_the_same_goes_for_clusters_of_any_class(own, security, expected):
    options = {"processes": False, "dashboard_address": None, "n_workers": 1, "host": "127.0.0.1"}
    protocol = "tls://" if security == "own" else "tcp://"
    cluster = {
        "kind": "custom",
        "class_name": "distributed.LocalCluster",
        "options": {**options, "protocol": protocol},
        "security": own if security == "own" else security,
    }
    assert len(warnings(Cluster.model_validate(cluster))) == expected


def test_certificates_made_for_a_run_fit_no_other_and_leave_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with dask.config.set({"distributed.comm.tls.ciphers": "AES128-SHA", "distributed.comm.tls.min-version": 1.2}):
        one, other = of_this_run(), of_this_run()
    for client, fits in ((one, True), (other, False)):
        ends = [
            one.get_listen_args("scheduler")["ssl_context"],
            client.get_connection_args("worker")["ssl_context"],
        ]
        assert handshake(*ends) == ("TLSv1.3" if fits else "")
    assert not list(tmp_path.iterdir())
    assert "PRIVATE" not in f"{one!r}{one._repr_html_()}"


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> str:
    """Let the two agree, each on the word of the other's certificate; returns the version of TLS, or nothing."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [server.wrap_bio(there, back, server_side=True), client.wrap_bio(back, there)]
    for _ in range(8):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return ""
    return ends[0].version() if all(end.getpeercert(binary_form=True) for end in ends) else ""
