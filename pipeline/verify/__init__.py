"""Whether a result can be trusted: every file, chunk, frame and row, and where asked for the originals themselves."""

from pipeline.verify.outcome import Verification
from pipeline.verify.problems import CODES, Findings, Problem
from pipeline.verify.running import verify

__all__ = ["CODES", "Findings", "Problem", "Verification", "verify"]
