"""Batches of files that an earlier scan, which didn't get to its end, has read already."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from pipeline import catalog, scan
from pipeline.config import RunConfig
from pipeline.engine.settings import deciding
from pipeline.engine.versions import versions
from pipeline.model import SourceFile


def scanned(
    files: Sequence[SourceFile], config: RunConfig, out: str, segment: int, salt: bytes
) -> scan.ScanResult | None:
    """Return what was found in the same files, with the same settings, for the same segment; None where it wasn't."""
    kept = catalog.read_scanned(out, segment)
    if kept is None or kept[1]["key"] != _key(files, config, salt):
        return None
    instances, facts = kept
    counts = {(status, reason): number for status, reason, number in facts["counts"]}
    return scan.ScanResult(segment, instances, counts, facts["files"], facts["bytes"], read_before=True)


def keep_scanned(files: Sequence[SourceFile], config: RunConfig, out: str, salt: bytes, found: scan.ScanResult) -> None:
    """Keep what was found, but where a file failed: it may be another one's fault, and is tried again."""
    if any(status == "failed" for status, _ in found.counts):
        return
    facts = {
        "key": _key(files, config, salt),
        "counts": [[status, reason, number] for (status, reason), number in found.counts.items()],
        "files": found.files,
        "bytes": found.bytes,
    }
    catalog.write_scanned(out, found.segment, found.instances, facts)


def _key(files: Sequence[SourceFile], config: RunConfig, salt: bytes) -> str:
    """Return a digest of all that decides what is found."""
    settings = json.dumps([deciding(config), config.source.hash, versions(), salt.hex()], sort_keys=True)
    listed = repr([(one.source, one.size, one.mtime_ns, one.etag, one.problem) for one in files])
    return hashlib.sha256(f"{settings}{listed}".encode("utf-8", "surrogateescape")).hexdigest()
