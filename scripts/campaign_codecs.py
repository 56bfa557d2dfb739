"""Compare the decoding plugin with all of pydicom's others over every file at hand; exit code 1 where they disagree.

scripts/campaign_codecs.py [FILE OR FOLDER ...]: without arguments, over pydicom's test files, pydicom-data and the
folder of further files. What is expected to differ is listed in tests/codecs/test_agreement.py, with the reasons.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

from pydicom.uid import UID
from rich.console import Console
from rich.table import Table

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY / "tests"), str(REPOSITORY / "tests" / "codecs")]

from test_agreement import DIFFERENT, bound  # noqa: E402

from support.corpora import corpus  # noqa: E402
from support.plugin_comparison import Comparison, run  # noqa: E402  of the tests


def main() -> int:
    """Compare, print a table, and return the exit code."""
    given = [Path(argument) for argument in sys.argv[1:]]
    found = [path for root in given for path in (sorted(root.rglob("*")) if root.is_dir() else [root])]
    results = list(run([path for path in found or corpus() if path.is_file()]))
    groups: dict[tuple[str, str], list[Comparison]] = defaultdict(list)
    for result in results:
        groups[UID(result.syntax).name, result.plugin].append(result)
    table = Table("transfer syntax", "plugin", "compared", "equal", "most apart", "only ours", "neither", "wrong")
    for (name, plugin), members in sorted(groups.items()):
        table.add_row(name, plugin, *map(str, counts(members)))
    Console(width=150).print(table)
    wrong = [result for result in results if is_wrong(result)]
    for result in wrong:
        print(result)
    print(f"{len(results)} comparisons of {len({result.file for result in results})} files, {len(wrong)} wrong")
    return int(bool(wrong) or not results)


def counts(members: list[Comparison]) -> tuple[int, ...]:
    """Return the numbers of one row."""
    both = [result for result in members if not result.ours and not result.theirs]
    return (
        len(members),
        sum(not distance(result) for result in both),
        max(map(distance, both), default=0),
        sum(bool(result.theirs) and not result.ours for result in members),
        sum(bool(result.theirs) and bool(result.ours) for result in members),
        sum(map(is_wrong, members)),
    )


def distance(result: Comparison) -> int:
    """Return the grey levels between the two."""
    return max(result.difference, result.in_codec)


def is_wrong(result: Comparison) -> bool:
    """Whether ours fails alone, gives another type or shape, or is too far away."""
    if result.ours or result.shapes:
        return not result.theirs
    if result.plugin == "pylibjpeg" and result.file in DIFFERENT:
        return False
    return distance(result) > bound(result)


if __name__ == "__main__":
    sys.exit(main())
