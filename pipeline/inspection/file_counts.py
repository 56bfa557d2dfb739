"""How many files have which status and reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.report import reasons
from pipeline.text_tables import Table
from pipeline.units import number


def failed_files(counts: Mapping[tuple[str, str], int]) -> int:
    """Return how many files failed, or would fail."""
    return sum(count for (status, _), count in counts.items() if status == "failed")


def reasons_text(counts: Mapping[tuple[str, str], int]) -> Iterator[Table]:
    """Yield a table of counts with what to do about each reason, if there are any."""
    rows = [(line["status"], line["reason"], number(line["count"]), line["advice"]) for line in reasons(counts)]
    if rows:
        yield Table(("Status", "Reason", "Files", "What to do"), rows)
