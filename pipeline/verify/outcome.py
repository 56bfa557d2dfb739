"""The findings of a verification, summed up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pipeline.storage import Options, OutputDir, active
from pipeline.verify.earlier_verifications import Verified
from pipeline.verify.expected import ExpectedResult
from pipeline.verify.original_checks import SourceFindings
from pipeline.verify.problems import Findings, Problem

MOST_PROBLEMS = 10_000
"""Problems that are kept; all problems are counted, and all affect the verdicts on their files."""
GONE = "source_gone"
_HARMLESS = frozenset({OutputDir.REPORT_HTML, OutputDir.REPORT_JSON, OutputDir.RUN_FILE})
"""Files that no pixel, attribute or row depends on."""


@dataclass(slots=True)
class Verification:
    """The findings of a verification so far, and after it has ended."""

    out: OutputDir
    source: bool = False
    """Whether the originals are compared."""
    sample: int | None = None
    images: int = 0
    frames: int = 0
    """Frames decoded from the store."""
    bytes: int = 0
    compared_frames: int = 0
    """Frames decoded from originals."""
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    """Code → number of problems."""
    problems: list[Problem] = field(default_factory=list)
    """The first problems."""
    touched: dict[int, Problem] = field(default_factory=dict)
    """Instance, by position in the plan → the first problem that touches its frames."""
    general: bool = False
    """Whether there is a problem that can't be attributed to certain images."""
    compared: dict[int, str] = field(default_factory=dict)
    """Instance whose original was compared → decoders that decoded it again."""
    notes: dict[int, str] = field(default_factory=dict)
    """Instance → remarks on its original that aren't problems."""
    partly: dict[int, str] = field(default_factory=dict)
    """Instance → contents of its original that aren't stored."""
    copies: dict[str, int] = field(default_factory=dict)
    """Source of a byte-identical copy → the instance that it equals."""
    absent: dict[str, list[Problem]] = field(default_factory=dict)
    """Source of a missing original or copy → the problems that it means, unless it was equal before."""
    before: Mapping[str, Verified] = field(default_factory=dict)
    """Source of an original → an earlier verification that found it equal to data that are still stored."""
    verdicts: Counter[str] = field(default_factory=Counter)
    """Verdict → number of files."""
    missed: int = 0
    """Files with the verdict ``gone`` that no verification has found equal before."""
    when: str = ""
    """When the verification began (ISO 8601, UTC)."""
    expected: ExpectedResult | None = None
    options: Options = field(default_factory=active)
    """How the result is reached, and the permissions of files made in it."""

    def add(self, findings: Findings) -> None:
        """Add a task's findings about the store."""
        self.images += findings.images
        self.frames += findings.frames
        self.bytes += findings.bytes
        self._note(findings)

    def add_sources(self, found: SourceFindings) -> None:
        """Add a task's findings about originals."""
        self.compared_frames += found.findings.frames
        problems = found.findings.problems
        for problem in (problem for problem in problems if problem.code == GONE):
            self.absent.setdefault(problem.where, []).append(problem)
        self._note(replace(found.findings, problems=tuple(problem for problem in problems if problem.code != GONE)))
        self.absent |= {source: [] for source in found.absent}
        self.copies |= dict(found.copies)
        for comparison in found.compared:
            known = self.compared.get(comparison.position, "")
            self.compared[comparison.position] = "+".join(sorted({*filter(None, known.split("+")), *comparison.by}))
            if comparison.notes:
                self.notes[comparison.position] = "; ".join(comparison.notes)
            if comparison.unstored:
                self.partly[comparison.position] = "; ".join(comparison.unstored)

    def settle_absent(self) -> None:
        """Count missing originals as problems, except those that were equal before, because they could be deleted."""
        for source, problems in self.absent.items():
            if source not in self.before:
                self._note(Findings(tuple(problems)))

    def _note(self, findings: Findings) -> None:
        for problem in findings.problems:
            self.counts[problem.code] += 1
            if len(self.problems) < MOST_PROBLEMS:
                self.problems.append(problem)
            if problem.image is None:
                self.general |= problem.where not in _HARMLESS and problem.code != "extra_file"
            elif self.expected is not None:
                for instance in self.expected.owners(problem.image, problem.frames):
                    self.touched.setdefault(instance, problem)

    @property
    def files(self) -> int:
        """Files that the run found; in a sample of originals, those that were compared."""
        return len(self.compared) if self.source and self.sample is not None else self.verdicts.total()

    @property
    def deletable(self) -> int:
        """Files whose original equals the stored data, including byte-identical copies of such files."""
        return self.verdicts["equal"] + self.verdicts["copy"]

    @property
    def exit_code(self) -> int:
        """0 if nothing is wrong and, if originals were compared, every file can be deleted or was rightly deleted; else 1."""
        return int(bool(self.counts) or (self.source and self.deletable + self.rightly_gone < self.files))

    @property
    def rightly_gone(self) -> int:
        """Files that are gone, but were found equal before to data that are still stored."""
        return self.verdicts["gone"] - self.missed
