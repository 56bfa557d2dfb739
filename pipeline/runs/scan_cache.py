"""Batches of files that an earlier scan, which didn't get to its end, has read already."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from pipeline import catalog, scan
from pipeline.config import RunConfig
from pipeline.model import Instance, SourceFile
from pipeline.plan import check_format, check_instance
from pipeline.runs.deciding_settings import deciding
from pipeline.runs.versions import versions
from pipeline.storage import OutputDir

MOST_INFLATED = 1100
"""What deflating saves at most, and what may be missing of a file that is salvaged: all but a thousandth."""


def read_cached_scan(
    files: Sequence[SourceFile], config: RunConfig, out: OutputDir, segment: int, salt: bytes
) -> scan.ScanResult | None:
    """Return what was found in the same files, with the same settings, for the same segment; None where it wasn't."""
    kept = catalog.read_scanned(out, segment)
    if kept is None or kept[1].get("key") != _key(files, config, salt):
        return None
    instances, facts = kept
    try:
        for one in instances:
            _check(one, files, segment)
        counts = {(str(status), str(reason)): int(number) for status, reason, number in facts["counts"]}
        return scan.ScanResult(segment, instances, counts, int(facts["files"]), int(facts["bytes"]), read_before=True)
    except (LookupError, TypeError, ValueError):  # what is kept lies where others may write: it is read anew
        return None


def _check(instance: Instance, files: Sequence[SourceFile], segment: int) -> None:
    """Refuse an instance that isn't one of the files', or has more frames than its file has bits; ValueError."""
    file = files[instance.row]
    check_instance(instance)
    check_format(instance.format)
    most = MOST_INFLATED * 8 * max(instance.size, 0)
    if (instance.segment, instance.source) != (segment, file.source) or instance.number_of_frames > most:
        raise ValueError("it is another file's")
    if file.size >= 0 and (instance.size, instance.mtime_ns) != (file.size, file.mtime_ns):
        raise ValueError("it is another version's")


def keep_scanned(
    files: Sequence[SourceFile], config: RunConfig, out: OutputDir, salt: bytes, found: scan.ScanResult
) -> None:
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
