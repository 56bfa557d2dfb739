"""Batches of files that an earlier, interrupted scan has already read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from pipeline import catalog, scan
from pipeline.config import RunConfig
from pipeline.model import Instance, SourceFile
from pipeline.plan import check_format, check_instance
from pipeline.runs.deciding_settings import deciding_settings
from pipeline.runs.versions import versions
from pipeline.storage import OutputDir

MOST_INFLATED = 1100
"""Limit to what a file can expand to: deflate saves at most a factor of a thousand, and a salvaged file may lack frames."""


def read_cached_scan(
    files: Sequence[SourceFile], config: RunConfig, out: OutputDir, segment: int, salt: bytes
) -> scan.ScanResult | None:
    """Return the result of an earlier scan of the same files, settings and segment; None if there is none."""
    kept = catalog.read_scanned(out, segment)
    if kept is None or kept[1].get("key") != _key(files, config, salt):
        return None
    instances, facts = kept
    try:
        for instance in instances:
            _check(instance, files, segment)
        counts = {(str(status), str(reason)): int(number) for status, reason, number in facts["counts"]}
        return scan.ScanResult(segment, instances, counts, int(facts["files"]), int(facts["bytes"]), read_before=True)
    except (LookupError, TypeError, ValueError):  # others may be able to write it; the files are read again
        return None


def _check(instance: Instance, files: Sequence[SourceFile], segment: int) -> None:
    """Refuse an instance that doesn't belong to its file, or has more frames than the file has bits; ValueError."""
    file = files[instance.row]
    check_instance(instance)
    check_format(instance.format)
    most = MOST_INFLATED * 8 * max(instance.size, 0)
    if (instance.segment, instance.source) != (segment, file.source) or instance.number_of_frames > most:
        raise ValueError("the instance belongs to another file")
    if file.size >= 0 and (instance.size, instance.mtime_ns) != (file.size, file.mtime_ns):
        raise ValueError("the instance belongs to another version of the file")


def keep_scanned(
    files: Sequence[SourceFile], config: RunConfig, out: OutputDir, salt: bytes, found: scan.ScanResult
) -> None:
    """Keep a scan result, unless a file failed: the failure may be another file's fault, so all are read again."""
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
    """Return a digest of everything that decides the result."""
    settings = json.dumps([deciding_settings(config), config.source.hash, versions(), salt.hex()], sort_keys=True)
    listed = repr([(file.source, file.size, file.mtime_ns, file.etag, file.problem) for file in files])
    return hashlib.sha256(f"{settings}{listed}".encode("utf-8", "surrogateescape")).hexdigest()
