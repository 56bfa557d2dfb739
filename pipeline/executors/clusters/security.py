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
"""Dask's protocols without authentication."""
_SLOW_CLOCK = timedelta(hours=1)
"""Tolerated delay of clocks on a batch system's nodes."""
_LONGEST_RUN = timedelta(days=3650)


def of_this_run() -> Security:
    """Make a key and a certificate for this run; only the processes that the run starts get them.

    They stay in memory, and Dask passes them to local workers through a pipe. Like :meth:`distributed.Security.temporary`, but with
    an elliptic curve: generating an RSA key takes a tenth of a second, and each connection with it some milliseconds.
    """
    # imported only if needed, because the import takes as long as everything else
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
    # the certificate is its own authority, so no other one is accepted; Dask's configuration doesn't count
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
    """Return the configuration's certificates; None leaves TLS to Dask's own configuration.

    Raises
    ------
    ConfigError
        If a file is missing.
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
    """Return the TLS settings for jobs of a batch system; None for unencrypted connections.

    A scheduler runs code of anybody who reaches it, and here it listens to other machines. So unless the configuration or Dask's
    sets something else, this run makes certificates that only its jobs get.
    """
    if cluster.security == "none":
        return None
    if cluster.security == "auto" and dask.config.get("distributed.comm.tls.ca-file") is None:
        return of_this_run()
    return given(cluster) or Security(require_encryption=True)


def warn_if_open(cluster: Cluster, client: Client, progress: Progress) -> None:
    """Warn of an unencrypted scheduler that others may reach, unless the configuration accepts it."""
    address = str(getattr(client.scheduler, "address", ""))
    if cluster.security != "none" and address.partition("://")[0] in UNENCRYPTED:
        progress.message(
            f"Warning: the scheduler at {address} is unencrypted, and anybody who reaches it or its workers can run code as "
            "their owner; use TLS, or set cluster.security: none if only people you trust reach them (docs/security.md)"
        )
