"""What a verification found, summed up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pipeline.storage import Options, OutputDir, active
from pipeline.verify.earlier import Verified
from pipeline.verify.expected import ExpectedResult
from pipeline.verify.original_checks import SourceFindings
from pipeline.verify.problems import Findings, Problem

MOST_PROBLEMS = 10_000
"""Problems that are kept; all are counted, and all decide about the files they touch."""
GONE = "source_gone"
_HARMLESS = frozenset({OutputDir.REPORT_HTML, OutputDir.REPORT_JSON, OutputDir.RUN_FILE})
"""Files that no pixel, attribute or row depends on."""


@dataclass(slots=True)
class Verification:
    """The findings of a verification so far, and after it has ended."""

    out: OutputDir
    source: bool = False
    """Whether the originals were compared."""
    sample: int | None = None
    images: int = 0
    frames: int = 0
    """Decoded from the store."""
    bytes: int = 0
    compared_frames: int = 0
    """Decoded from originals."""
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    """Code → number of problems."""
    problems: list[Problem] = field(default_factory=list)
    """The first of them."""
    touched: dict[int, Problem] = field(default_factory=dict)
    """Instance, by position in the plan → the first problem that touches its frames."""
    general: bool = False
    """Whether something is wrong that can't be attributed to some images."""
    compared: dict[int, str] = field(default_factory=dict)
    """Instance whose original was compared → what decoded it again."""
    notes: dict[int, str] = field(default_factory=dict)
    """Instance → remarks on its original that are no problem."""
    partly: dict[int, str] = field(default_factory=dict)
    """Instance → what its original holds that isn't stored."""
    copies: dict[str, int] = field(default_factory=dict)
    """Source of a byte-identical copy → the instance that it equals."""
    absent: dict[str, list[Problem]] = field(default_factory=dict)
    """Source of an original, or of a copy, that isn't there any more → the problems that it is, unless it was equal before."""
    before: Mapping[str, Verified] = field(default_factory=dict)
    """Source of an original → that an earlier verification found it equal to what is stored still."""
    verdicts: Counter[str] = field(default_factory=Counter)
    """Verdict → number of files."""
    missed: int = 0
    """Files with the verdict ``gone`` that no verification has found equal before."""
    when: str = ""
    """When the verification began (ISO 8601, UTC)."""
    expected: ExpectedResult | None = None
    options: Options = field(default_factory=active)
    """How the result is reached, and with which permissions files are made in it."""

    def add(self, findings: Findings) -> None:
        """Take what a task found in the store."""
        self.images += findings.images
        self.frames += findings.frames
        self.bytes += findings.bytes
        self._note(findings)

    def add_sources(self, found: SourceFindings) -> None:
        """Take what a task found out about originals."""
        self.compared_frames += found.findings.frames
        problems = found.findings.problems
        for problem in (one for one in problems if one.code == GONE):
            self.absent.setdefault(problem.where, []).append(problem)
        self._note(replace(found.findings, problems=tuple(one for one in problems if one.code != GONE)))
        self.absent |= {source: [] for source in found.absent}
        self.copies |= dict(found.copies)
        for one in found.compared:
            known = self.compared.get(one.position, "")
            self.compared[one.position] = "+".join(sorted({*filter(None, known.split("+")), *one.by}))
            if one.notes:
                self.notes[one.position] = "; ".join(one.notes)
            if one.unstored:
                self.partly[one.position] = "; ".join(one.unstored)

    def settle_absent(self) -> None:
        """Count the originals that are gone as problems, but for those that were equal before: they could be deleted."""
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
        """Files that the run found; of a sample of originals, those that were compared."""
        return len(self.compared) if self.source and self.sample is not None else self.verdicts.total()

    @property
    def deletable(self) -> int:
        """Files of which the original is equal to what is stored, byte-identical copies of such files included."""
        return self.verdicts["equal"] + self.verdicts["copy"]

    @property
    def exit_code(self) -> int:
        """0 where nothing is wrong and, if originals were compared, every file can be deleted or was rightly; else 1."""
        return int(bool(self.counts) or (self.source and self.deletable + self.rightly_gone < self.files))

    @property
    def rightly_gone(self) -> int:
        """Files that are gone after a verification had found them equal to what is stored still."""
        return self.verdicts["gone"] - self.missed
