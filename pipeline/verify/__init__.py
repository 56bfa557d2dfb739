"""Check whether a result can be trusted: every file, chunk, frame and row and, on request, the originals."""

from pipeline.verify.outcome import Verification
from pipeline.verify.problems import CODES, REPAIRS, Findings, Problem
from pipeline.verify.verdict_files import write
from pipeline.verify.verdicts import VERDICTS, file_verdicts
from pipeline.verify.verification import verify

__all__ = ["CODES", "REPAIRS", "VERDICTS", "Findings", "Problem", "Verification", "file_verdicts", "verify", "write"]
