"""Pure: the one fold of task results into the outcome of each instance and each image."""

from pipeline.outcomes.fold import Outcomes, Work
from pipeline.outcomes.rows import RowOutcome, row_outcomes, stored_frames

__all__ = [
    "Outcomes",
    "RowOutcome",
    "Work",
    "row_outcomes",
    "stored_frames",
]
