"""Compare the decoding plugin with all of pydicom's others over every file at hand; exit code 1 where they disagree.

    scripts/campaign codecs [FILE OR FOLDER ...]

Without arguments, over pydicom's test files, pydicom-data and the
folder of further files. Expected differences are listed in tests/support/plugin_comparison.py, with the reasons.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

from pydicom.uid import UID
from rich.console import Console
from rich.table import Table

from support.corpora import corpus
from support.plugin_comparison import DIFFERENT, Comparison, bound, run


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("paths", nargs="*", type=Path, metavar="FILE OR FOLDER")


def main(given: argparse.Namespace) -> int:
    """Compare, print a table, and return the exit code."""
    found = [path for root in given.paths for path in (sorted(root.rglob("*")) if root.is_dir() else [root])]
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
    """Return whether ours fails alone, gives another type or shape, or is too far away."""
    if result.ours or result.shapes:
        return not result.theirs
    if result.plugin == "pylibjpeg" and result.file in DIFFERENT:
        return False
    return distance(result) > bound(result)
