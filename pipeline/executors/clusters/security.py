"""TLS between driver, scheduler and workers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from ssl import TLSVersion

import dask
from distributed import Client, Security

from pipeline.config import Certificates, Cluster
from pipeline.errors import ConfigError
from pipeline.executors.progress import Progress

ROLES = ("client", "scheduler", "worker")
UNENCRYPTED = ("tcp", "ucx", "ucxx", "ws")
"""Dask's protocols that ask nobody who they are."""
_SLOW_CLOCK = timedelta(hours=1)
"""By which the clocks of a batch system's nodes may be slow."""
_LONGEST_RUN = timedelta(days=3650)


def of_this_run() -> Security:
    """Return a key and a certificate made for this run, which only the processes get that it starts.

    They are kept in memory, and Dask hands them to local workers through a pipe. As :meth:`distributed.Security.temporary`,
    but with an elliptic curve: a key for RSA takes a tenth of a second to find, and each connection some milliseconds.
    """
    # only where a run needs it: importing it takes as long as all the rest
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "dcm2zarr")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - _SLOW_CLOCK)
        .not_valid_after(now + _LONGEST_RUN)
        .sign(key, hashes.SHA256())
    )
    public = certificate.public_bytes(Encoding.PEM).decode()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    # it is its own authority, so nobody else's certificate will do; Dask's configuration has no say
    return Security(
        require_encryption=True,
        tls_ca_file=public,
        tls_ciphers=None,
        tls_min_version=TLSVersion.TLSv1_3,
        tls_max_version=None,
        **{f"tls_{role}_cert": public for role in ROLES},
        **{f"tls_{role}_key": private for role in ROLES},
    )


def given(cluster: Cluster) -> Security | None:
    """Return what the configuration says of TLS; None leaves it to Dask's own configuration.

    Raises
    ------
    ConfigError
        For a file that isn't there.
    """
    files = cluster.security
    if not isinstance(files, Certificates):
        return None
    for key in Certificates.model_fields:
        if not Path(getattr(files, key)).is_file():
            raise ConfigError(f"cluster.security.{key}: there is no file {getattr(files, key)}")
    certificates = {f"tls_{role}_cert": files.cert for role in ROLES}
    keys = {f"tls_{role}_key": files.key for role in ROLES}
    return Security(tls_ca_file=files.ca_file, require_encryption=True, **certificates, **keys)


def for_jobs(cluster: Cluster) -> Security | None:
    """Return how the jobs of a batch system talk to the scheduler: None for unencrypted.

    A scheduler runs the code of whoever reaches it, and here it listens where other machines do. So unless the
    configuration, or Dask's, says otherwise, certificates are made for this run that only its jobs get.
    """
    if cluster.security == "none":
        return None
    if cluster.security == "auto" and dask.config.get("distributed.comm.tls.ca-file") is None:
        return of_this_run()
    return given(cluster) or Security(require_encryption=True)


def warn_if_open(cluster: Cluster, client: Client, progress: Progress) -> None:
    """Say so where others may reach a scheduler that this run didn't secure, unless the configuration knows of it."""
    address = str(getattr(client.scheduler, "address", ""))
    if cluster.security != "none" and address.partition("://")[0] in UNENCRYPTED:
        progress.message(
            f"Warning: the scheduler at {address} is unencrypted, and whoever reaches it or its workers can run code as "
            "their owner; use TLS, or set cluster.security: none where none but people you trust do (docs/security.md)"
        )
