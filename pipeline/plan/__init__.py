"""Pure: which instances make which image, in which order and layout, and which task writes which shards."""

from pipeline.plan.build import make_plan
from pipeline.plan.grouping import find_kept_apart
from pipeline.plan.growth import Growth, concatenate_plans, grow, restore_standing, select_images
from pipeline.plan.identity import digest
from pipeline.plan.invariants import verify
from pipeline.plan.job_partitions import partition, partition_count
from pipeline.plan.layout import Layout
from pipeline.plan.plan_checks import check_format, check_instance, check_path, check_plan, is_result_of
from pipeline.plan.selection import select_frames
from pipeline.plan.task_inputs import cut_placements, task_input, task_inputs

__all__ = [
    "Growth",
    "Layout",
    "check_format",
    "check_instance",
    "check_path",
    "check_plan",
    "concatenate_plans",
    "cut_placements",
    "digest",
    "find_kept_apart",
    "grow",
    "is_result_of",
    "make_plan",
    "partition",
    "partition_count",
    "restore_standing",
    "select_frames",
    "select_images",
    "task_input",
    "task_inputs",
    "verify",
]
