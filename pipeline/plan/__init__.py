"""Pure: which instances make which image, in what order and layout, and which task writes which shards of it."""

from pipeline.plan.build import make_plan
from pipeline.plan.grouping import kept_apart
from pipeline.plan.growth import Growth, give_back, grow, only, together
from pipeline.plan.identity import digest
from pipeline.plan.inputs import cut_placements, task_input, task_inputs
from pipeline.plan.invariants import verify
from pipeline.plan.layout import Layout
from pipeline.plan.partitioning import partition, partition_count
from pipeline.plan.readback import check_format, check_instance, check_path, check_plan, is_result_of
from pipeline.plan.selection import select_frames

__all__ = [
    "Growth",
    "Layout",
    "check_format",
    "check_instance",
    "check_path",
    "check_plan",
    "cut_placements",
    "digest",
    "give_back",
    "grow",
    "is_result_of",
    "kept_apart",
    "make_plan",
    "only",
    "partition",
    "partition_count",
    "select_frames",
    "task_input",
    "task_inputs",
    "together",
    "verify",
]
