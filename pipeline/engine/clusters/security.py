"""TLS between driver, scheduler and workers."""

from __future__ import annotations

from pathlib import Path

import dask
from distributed import Security

from pipeline.config import Certificates, Cluster
from pipeline.errors import ConfigError


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
    roles = ("client", "scheduler", "worker")
    certificates = {f"tls_{role}_cert": files.cert for role in roles}
    keys = {f"tls_{role}_key": files.key for role in roles}
    return Security(tls_ca_file=files.ca_file, require_encryption=True, **certificates, **keys)


def for_jobs(cluster: Cluster) -> Security | None:
    """Return how the jobs of a batch system talk to the scheduler: None for unencrypted.

    A scheduler runs the code of whoever reaches it, and here it listens where other machines do. So unless the
    configuration, or Dask's, says otherwise, certificates are made for this run that only its jobs get.
    """
    if cluster.security == "none":
        return None
    if cluster.security == "auto" and dask.config.get("distributed.comm.tls.ca-file") is None:
        return Security.temporary()
    return given(cluster) or Security(require_encryption=True)
