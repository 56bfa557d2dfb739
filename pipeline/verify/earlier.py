"""What earlier verifications said of originals that have been deleted since: that they were equal to what is stored now.

``verify.parquet`` keeps, for each original that was found equal, when, and a fingerprint of the image that it was held
against. What is stored of it is still the same as long as plan and ledger have the image with that fingerprint.
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
"""The key of the sum (``verify.json``) that holds the digest of the verdicts (``verify.parquet``)."""


def fingerprints(expected: ExpectedResult) -> dict[int, str]:
    """Return, by instance, a digest of all files of its image, as the ledger has them.

    Images that aren't complete have none, nor have those of early versions, whose ledgers lack digests.
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
    """That an original was found equal to what is stored of it."""

    when: str
    """ISO 8601, UTC."""
    fingerprint: str
    """Of the image that it was held against."""


def verified_before(expected: ExpectedResult) -> dict[str, Verified]:
    """Return the originals, by source, that an earlier verification found equal to what is still stored."""
    if not _is_whole(expected.out):
        return {}
    own = fingerprints(expected)
    known = set(own.values())
    by_source = {one.source: own.get(i) for i, one in enumerate(expected.plan.instances)}
    rows = read_verified(expected.out.verdicts)
    found = {
        row["source"]: Verified(row["verified"], row["fingerprint"]) for row in rows if row["fingerprint"] in known
    }
    # a copy has no image of its own
    return {source: one for source, one in found.items() if by_source.get(source, one.fingerprint) == one.fingerprint}


def _is_whole(out: OutputDir) -> bool:
    """Whether the table is what was written with the sum beside it."""
    try:
        told = json.loads(out.verify_sum.read_bytes())
        return isinstance(told, dict) and told.get(DIGEST) == file_digest(out.verdicts)[1]
    except (OSError, ValueError):  # there is none, or it is damaged: then nothing is known
        return False
