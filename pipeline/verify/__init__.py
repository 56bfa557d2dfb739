"""Whether a result can be trusted: every file, chunk, frame and row, and where asked for the originals themselves."""

from pipeline.verify.outcome import Verification
from pipeline.verify.problems import CODES, REPAIRS, Findings, Problem
from pipeline.verify.running import verify
from pipeline.verify.verdicts import VERDICTS, file_verdicts
from pipeline.verify.writing import write

__all__ = ["CODES", "REPAIRS", "VERDICTS", "Findings", "Problem", "Verification", "file_verdicts", "verify", "write"]
