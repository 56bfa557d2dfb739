"""What a verification found, summed up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from pipeline.verify.expected import Expected
from pipeline.verify.problems import Findings, Problem

MOST_PROBLEMS = 10_000
"""Problems that are kept; all are counted, and all decide about the files they touch."""


@dataclass(slots=True)
class Verification:
    """The findings of a verification so far, and after it has ended."""

    out: str
    sample: int | None = None
    images: int = 0
    frames: int = 0
    bytes: int = 0
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    """Code → number of problems."""
    problems: list[Problem] = field(default_factory=list)
    """The first of them."""
    touched: dict[int, Problem] = field(default_factory=dict)
    """Instance, by position in the plan → the first problem that touches its frames."""
    expected: Expected | None = None

    def know(self, expected: Expected) -> None:
        """Take what problems are attributed to files by."""
        self.expected = expected

    def add(self, findings: Findings) -> None:
        """Take what a task found."""
        self.images += findings.images
        self.frames += findings.frames
        self.bytes += findings.bytes
        for problem in findings.problems:
            self.counts[problem.code] += 1
            if len(self.problems) < MOST_PROBLEMS:
                self.problems.append(problem)
            if problem.image is not None and self.expected is not None:
                for instance in self.expected.owners(problem.image, problem.frames):
                    self.touched.setdefault(instance, problem)

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.counts

    @property
    def exit_code(self) -> int:
        """0 where nothing is wrong, else 1."""
        return int(not self.sound)
