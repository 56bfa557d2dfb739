"""How images are cut and packed into tasks of about a second."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from pipeline.model import PixelFormat, Placement
from pipeline.plan import Layout, make_plan, task_input
from pipeline.plan.task_inputs import cut_placements

MiB = 2**20
SMALL = PixelFormat(8, 8, 1, "uint8", "MONOCHROME2")
DEFLATED, JPEG_LS, JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"


def frames_of(plan):
    """Frames of each task's regions."""
    return [[region.stop - region.start for region in task.regions] for task in plan.tasks]


def test_a_large_native_image_is_cut_by_the_target(instance):
    # 0.5 MiB a frame, 128 frames a shard: 8 shards are 512 MiB.
    tasks = frames_of(make_plan([instance(number_of_frames=40_000)]))
    assert tasks[:23] == [[1024]] * 23  # and the rest is less than 16 such tasks
    assert frames_of(make_plan([instance(number_of_frames=4000)], Layout(task_bytes=2**40))) == [[4000]]


def test_the_last_tasks_are_small_so_that_all_workers_end_together(instance):
    sizes = [size for (size,) in frames_of(make_plan([instance(number_of_frames=40_000)]))]
    assert sum(sizes) == 40_000
    assert sizes == sorted(sizes, reverse=True)
    for number, size in enumerate(sizes):
        assert size <= max(128, 1.5 * sum(sizes[number:]) / 16)
    # From 16 full tasks' work on, a sixteenth of the rest each, until that is an eighth of a full task.
    assert len(sizes) < 40_000 / 1024 + 16 * math.log(8) + 1


def test_compressed_frames_are_more_work(instance):
    assert frames_of(make_plan([instance(number_of_frames=512, transfer_syntax_uid=JPEG_LS)])) == [[128]] * 4


def test_a_deflated_image_is_one_task_with_room_for_what_is_inflated(instance):
    one = instance(number_of_frames=4000, encoded_bytes=2000 * MiB)
    (task,) = make_plan([replace(one, transfer_syntax_uid=DEFLATED)]).tasks
    assert task.memory_bytes == make_plan([one]).tasks[0].memory_bytes + 16 * MiB
    assert task.encoded_bytes == 2000 * MiB


def test_deflated_slices_are_cut_like_others(axial):
    plan = make_plan([axial(z, transfer_syntax_uid=DEFLATED) for z in range(450)])
    assert len(plan.tasks) == 4


def test_bytes_to_read_are_shared_by_the_tasks(instance):
    plan = make_plan([instance(number_of_frames=4000, encoded_bytes=8_000_000)], Layout(frames="::2"))
    assert plan.images[0].frames == 2000
    assert sum(task.encoded_bytes for task in plan.tasks) == 4_000_000
    assert sum(task.stored_bytes for task in plan.tasks) == 1000 * MiB


@pytest.mark.parametrize("target", [512 * MiB, 2**40])
def test_small_images_are_packed_up_to_the_work_and_the_number_of_a_task(instance, target):
    files = [instance(k, format=SMALL, encoded_bytes=64, series_instance_uid=f"1.{k}") for k in range(3000)]
    sizes = [len(task) for task in frames_of(make_plan(files, Layout(task_bytes=target)))]
    # Each costs 6.2 MiB (its file, its image) and next to nothing for its pixels.
    most = 82 if target == 512 * MiB else 256
    assert sum(sizes) == 3000
    assert sizes[: 1500 // most] == [most] * (1500 // most)
    assert max(sizes) == most


def test_images_of_many_files_are_packed_up_to_the_number_of_files(axial):
    files = [
        axial(100 * k + z, format=SMALL, encoded_bytes=64, series_instance_uid=f"1.{k}")
        for k in range(12)
        for z in range(100)
    ]
    sizes = [len(task) for task in frames_of(make_plan(files, Layout(task_bytes=2**40)))]
    assert sizes == [5, 5, 2]


def test_large_images_between_small_ones_dont_tear_the_packs_apart(instance):
    files = [
        instance(k, series_instance_uid=f"1.{k:02}", number_of_frames=4000 if k % 2 else 1, encoded_bytes=4000)
        for k in range(10)
    ]
    packs = [task for task in make_plan(files).tasks if len(task.regions) > 1]
    assert [len(pack.regions) for pack in packs] == [5]


def test_a_task_of_several_images_needs_the_memory_of_the_hungriest(instance):
    big = instance(1, number_of_frames=100, encoded_bytes=50 * MiB, sop_instance_uid="1.1")
    files = [big, *(instance(k, number_of_frames=2, format=SMALL, sop_instance_uid=f"1.{k}") for k in (0, 2))]
    (task,) = make_plan(files, Layout(task_bytes=2**40)).tasks
    assert task.memory_bytes == make_plan([big]).tasks[0].memory_bytes


def test_a_task_takes_only_its_own_placements_along(axial):
    plan = make_plan([axial(z) for z in range(1000)])
    for task in plan.tasks:
        (piece,) = task_input(plan, task).regions
        count = len(piece.region.positions)
        assert len(piece.spec.placements) == len(piece.instances) == count < 1000
        assert piece.spec.frames == 1000


class Counted(Sequence):
    """A sequence that counts accesses."""

    def __init__(self, items):
        self.items = items
        self.looks = 0

    def __len__(self):
        return len(self.items)

    def __getitem__(self, position):
        self.looks += 1
        return self.items[position]


def test_placements_are_found_without_walking_through_them():
    placements = Counted([Placement(k, 0, 1, 1, k) for k in range(100_000)])
    assert [placement.instance for placement in cut_placements(placements, range(77_000, 77_003))] == [
        77_000,
        77_001,
        77_002,
    ]
    assert placements.looks < 4 * math.log2(len(placements))


def test_placements_are_cut_in_steps():
    placements = (Placement(0, 1, 10, 3, 0), Placement(0, 20, 21, 1, 3), Placement(1, 0, 4, 1, 4))
    assert cut_placements(placements, range(8)) == placements
    assert cut_placements(placements, range(1, 6)) == (
        Placement(0, 4, 10, 3, 1),
        Placement(0, 20, 21, 1, 3),
        Placement(1, 0, 2, 1, 4),
    )
    assert cut_placements(placements, range(2, 3)) == (Placement(0, 7, 10, 3, 2),)


def test_a_shard_that_takes_long_to_decode_is_smaller(instance):
    heavy = instance(number_of_frames=400, transfer_syntax_uid=JPEG_2000_LOSSLESS)
    assert frames_of(make_plan([heavy]))[0] == [32]  # of 0.5 MiB, which cost as much as 16 MiB of native data
    assert make_plan([heavy], Layout(shard_bytes=64 * MiB)).images[0].shards[0] == 128
