"""Results of earlier verifications about originals that have since been deleted: they were equal to the stored data.

For each original that was found equal, ``verify.parquet`` keeps the time, and a fingerprint of the image that it was compared
with. The stored data are still the same as long as plan and ledger have the image with that fingerprint.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import xxhash

from pipeline.catalog import read_verified
from pipeline.output import file_digest
from pipeline.storage import OutputDir
from pipeline.verify.expected import ExpectedResult

DIGEST = "verdicts_digest"
"""Key in the summary (``verify.json``) of the digest of the verdicts (``verify.parquet``)."""


def fingerprints(expected: ExpectedResult) -> dict[int, str]:
    """Return, by instance, a digest of all files of its image, as recorded in the ledger.

    Incomplete images have none, nor have images of early versions, whose ledgers lack digests.
    """
    found: dict[int, str] = {}
    for image, spec in enumerate(expected.plan.images):
        shards = (shard.digest for shard in expected.outcomes.regions(image) if any(shard.valid))
        digests = [expected.finished.image_digests.get(image, ""), *shards]
        if expected.is_complete(image) and all(digests):
            code = xxhash.xxh3_128_hexdigest(json.dumps(digests).encode())
            found |= dict.fromkeys((placement.instance for placement in spec.placements), code)
    return found


@dataclass(frozen=True, slots=True)
class Verified:
    """Record that an original was found equal to the stored data."""

    when: str
    """ISO 8601, UTC."""
    fingerprint: str
    """Fingerprint of the image that it was compared with."""


def find_verified_before(expected: ExpectedResult) -> dict[str, Verified]:
    """Return the originals, by source, that an earlier verification found equal to data that are still stored."""
    if not _is_whole(expected.out):
        return {}
    own = fingerprints(expected)
    known = set(own.values())
    by_source = {instance.source: own.get(i) for i, instance in enumerate(expected.plan.instances)}
    rows = read_verified(expected.out.verdicts)
    found = {
        row["source"]: Verified(row["verified"], row["fingerprint"]) for row in rows if row["fingerprint"] in known
    }
    # A copy has no image of its own.
    return {
        source: verified
        for source, verified in found.items()
        if by_source.get(source, verified.fingerprint) == verified.fingerprint
    }


def _is_whole(out: OutputDir) -> bool:
    """Return whether the table is the one that was written together with the summary."""
    try:
        summary = json.loads(out.verify_sum.read_bytes())
        return isinstance(summary, dict) and summary.get(DIGEST) == file_digest(out.verdicts)[1]
    except (OSError, ValueError):  # missing or damaged: then nothing is known
        return False
