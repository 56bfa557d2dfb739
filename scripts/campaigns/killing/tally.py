"""The findings of a campaign of kills: counted, saved and printed."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

PHASES = ("start", "scan", "convert", "finalise", "catalog", "ended")
VICTIMS = {False: ("driver", "worker"), True: ("driver", "worker", "nanny", "scheduler")}
"""Without and with a scheduler of its own."""
_COUNTERS = ("kills", "became", "in_a_row")


@dataclass(slots=True)
class Tally:
    """The kills and their consequences."""

    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    """``(victim, phase)`` → kills of a running run."""
    became: Counter[tuple[str, str]] = field(default_factory=Counter)
    """``(victim, outcome of the run)`` → runs, by their last victim."""
    in_a_row: Counter[int] = field(default_factory=Counter)
    """Number of kills on one output directory → rounds."""
    too_late: int = 0
    """Runs that ended before they could be hit."""
    wrong: list[str] = field(default_factory=list)

    @property
    def rounds(self) -> int:
        """Rounds that have ended."""
        return self.in_a_row.total()

    @property
    def killed(self) -> int:
        """Number of killed processes of running runs."""
        return self.kills.total()

    def show(self) -> None:
        """Print the tables."""
        victims = VICTIMS[True]
        table = Table("killed while", *victims, "together")
        for name in PHASES:
            counts = [self.kills[victim, name] for victim in victims]
            table.add_row(name, *map(str, counts), str(sum(counts)))
        counts = [sum(self.kills[victim, name] for name in PHASES) for victim in victims]
        table.add_row("together", *map(str, counts), str(sum(counts)), end_section=True)
        for text in sorted({text for _, text in self.became}):
            counts = [self.became[victim, text] for victim in victims]
            table.add_row(f"runs that {text}", *map(str, counts), str(sum(counts)))
        console = Console()
        console.print(table)
        rows = ", ".join(f"{number} with {length}" for length, number in sorted(self.in_a_row.items()))
        console.print(f"{self.killed} kills in {self.rounds} rounds ({rows} of them)")
        console.print(f"{self.too_late} runs ended, or had no such process, before they could be hit")
        console.print(f"{len(self.wrong)} differences")
        for text in self.wrong[:50]:
            console.print(f"  {text}", markup=False)

    def save(self, file: Path) -> None:
        """Save the findings for a later campaign."""
        counts = {name: list(getattr(self, name).items()) for name in _COUNTERS}
        file.write_text(json.dumps({**counts, "too_late": self.too_late, "wrong": self.wrong}, indent=1), "utf-8")

    def load(self, file: Path) -> None:
        """Add an earlier campaign's findings."""
        seen = json.loads(file.read_text("utf-8"))
        for name in _COUNTERS:
            counts = {tuple(key) if isinstance(key, list) else key: number for key, number in seen[name]}
            getattr(self, name).update(counts)
        self.too_late += seen["too_late"]
        self.wrong += seen["wrong"]
