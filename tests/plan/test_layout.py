from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError, PlanError
from pipeline.model import PixelFormat
from pipeline.plan import Layout, make_plan
from pipeline.plan.layouts.frames import chunk_shape, shard_shape

MiB = 2**20


def shapes(rows, columns, samples=1, dtype="uint8", frames=1000, **settings):
    pixel_format = PixelFormat(rows, columns, samples, dtype, "MONOCHROME2" if samples == 1 else "RGB")
    layout = Layout(**settings)
    chunks = chunk_shape(layout, pixel_format, frames)
    return chunks, shard_shape(layout, pixel_format, frames, chunks)


@pytest.mark.parametrize(
    ("image", "chunks", "shards"),
    [
        # a CT slice of 0.5 MiB: one frame a chunk, 64 MiB a shard
        ({"rows": 512, "columns": 512, "dtype": "int16"}, (1, 512, 512), (128, 512, 512)),
        ({"rows": 512, "columns": 512, "dtype": "int16", "frames": 100}, (1, 512, 512), (100, 512, 512)),
        # a whole-slide tile
        ({"rows": 256, "columns": 256, "samples": 3}, (1, 3, 256, 256), (341, 3, 256, 256)),
        # exactly 16 MiB is still one chunk
        ({"rows": 4096, "columns": 4096}, (1, 4096, 4096), (4, 4096, 4096)),
        # a tomosynthesis projection or mammogram of 26 MiB: tiles, shards of whole frames
        ({"rows": 4096, "columns": 3328, "dtype": "uint16"}, (1, 1536, 1280), (2, 4608, 3840)),
        ({"rows": 20_000, "columns": 20_000}, (1, 2048, 2048), (1, 20_480, 20_480)),
        ({"rows": 8192, "columns": 8192, "samples": 3}, (1, 3, 1280, 1024), (1, 3, 8960, 8192)),
        # one short side leaves its share to the other
        ({"rows": 10, "columns": 4 * MiB}, (1, 10, 419_328), (1, 10, 4_612_608)),
        ({"rows": 4 * MiB, "columns": 10}, (1, 419_328, 10), (1, 4_612_608, 10)),
        # what is given is honoured, and clamped to the frame
        ({"rows": 512, "columns": 512, "chunk_rows": 100}, (1, 100, 512), (256, 600, 512)),
        ({"rows": 512, "columns": 512, "chunk_columns": 9999}, (1, 512, 512), (256, 512, 512)),
        ({"rows": 20_000, "columns": 20_000, "chunk_rows": 64}, (1, 64, 20_000), (1, 20_032, 20_000)),
        ({"rows": 20_000, "columns": 20_000, "chunk_columns": 4096}, (1, 1024, 4096), (1, 20_480, 20_480)),
        # chunks of several frames
        ({"rows": 512, "columns": 512, "dtype": "int16", "chunk_frames": 30}, (30, 512, 512), (120, 512, 512)),
        ({"rows": 512, "columns": 512, "dtype": "int16", "chunk_frames": 999}, (999, 512, 512), (999, 512, 512)),
        ({"rows": 512, "columns": 512, "chunk_frames": 30, "frames": 7}, (7, 512, 512), (7, 512, 512)),
        ({"rows": 512, "columns": 512, "chunk_frames": 4, "frames": 7}, (4, 512, 512), (8, 512, 512)),
    ],
)
def test_shapes(image, chunks, shards):
    assert shapes(**image) == (chunks, shards)


@given(
    rows=st.integers(1, 70_000),
    columns=st.integers(1, 70_000),
    samples=st.sampled_from([1, 3, 4]),
    dtype=st.sampled_from(["uint8", "int16", "float32", "float64"]),
    frames=st.integers(1, 10**6),
    chunk=st.integers(1, 40),
    shard=st.integers(1, 2**31),
)
@settings(deadline=None, max_examples=300)
def test_automatic_shapes_meet_their_targets(*, rows, columns, samples, dtype, frames, chunk, shard):
    chunks, shards = shapes(rows, columns, samples, dtype, frames, chunk_frames=chunk, shard_bytes=shard)
    frame = rows * columns * samples * np.dtype(dtype).itemsize
    tile = chunks[-2] * chunks[-1] * samples * np.dtype(dtype).itemsize
    assert chunks[1:-2] == shards[1:-2] == ((samples,) if samples > 1 else ())
    if frame <= 16 * MiB:
        assert chunks[-2:] == (rows, columns)
    else:
        assert tile <= 4 * MiB
        assert tile >= 1.5 * MiB or min(rows, columns) < 256
        assert all(side % 256 == 0 or side == whole for side, whole in zip(chunks[-2:], (rows, columns), strict=True))
    assert shards[0] % chunks[0] == 0
    assert shards[0] - chunks[0] < frames
    assert shards[0] == chunks[0] or shards[0] * frame <= shard
    # as large as the target lets it be
    assert shards[0] >= frames or (shards[0] + chunks[0]) * frame > shard


@pytest.mark.parametrize(
    "bad",
    [
        {"grouping": "study"},
        {"chunk_frames": 0},
        {"chunk_rows": -1},
        {"chunk_columns": 0},
        {"shard_bytes": 0},
        {"task_bytes": 0},
    ],
)
def test_settings_that_cant_be_followed_are_refused(bad):
    with pytest.raises(ConfigError, match=f"got {next(iter(bad.values()))!r}"):
        Layout(**bad)


def test_a_selection_that_cant_be_understood_is_refused_without_instances_too():
    with pytest.raises(ConfigError, match=r"select\.frames"):
        make_plan([], Layout(frames="every second"))


def test_no_instances_are_an_empty_plan():
    plan = make_plan([])
    assert (plan.images, plan.tasks, plan.refused, plan.unselected) == ((), (), (), ())


def test_projected_memory_is_the_documented_sum(instance):
    (task,) = make_plan([instance(number_of_frames=200, encoded_bytes=100 * MiB)], Layout(task_bytes=2**40)).tasks
    # 128 encoded frames of 0.5 MiB, a chunk of one frame and its copies, two decoded frames, and an encoded one
    assert task.memory_bytes == 64 * MiB + 3 * MiB // 2 + 1 * MiB + MiB // 2
    assert task.encoded_bytes == task.stored_bytes == 100 * MiB


@pytest.mark.parametrize(("rows", "columns", "samples"), [(10_240, 10_240, 2), (8192, 8192, 3), (200, MiB, 1)])
def test_frames_of_200_mebibytes_fit_the_defaults(instance, rows, columns, samples):
    huge = PixelFormat(rows, columns, samples, "uint8", "RGB")
    assert 190 * MiB <= huge.frame_bytes <= 200 * MiB
    plan = make_plan([instance(format=huge, encoded_bytes=huge.frame_bytes)])
    assert not plan.refused
    assert plan.images[0].shards[0] == 1
    assert plan.tasks[0].memory_bytes <= 1024 * MiB


def test_a_frame_too_large_refuses_its_instance_only(instance):
    huge = PixelFormat(16_384, 16_384, 1, "uint8", "MONOCHROME2")
    plan = make_plan([instance(0, format=huge, encoded_bytes=256 * MiB), instance(1)])
    ((position, failure),) = plan.refused
    assert (position, failure.reason) == (0, "task_memory_exceeded")
    # 256 MiB of shard, 256 MiB of the chunks being filled and two tiles of 4 MiB, 2 x 256 MiB of frames, 256 MiB encoded
    assert "1288.0 MiB" in failure.message
    assert "limits.task_memory allows (1024.0 MiB)" in failure.message
    assert str(1288 * MiB) in failure.message
    assert [image.placements[0].instance for image in plan.images] == [1]
    assert make_plan(plan.instances, Layout(task_memory=1288 * MiB)).refused == ()


def test_a_single_frame_with_absurdly_much_pixel_data_is_refused(instance):
    plan = make_plan([instance(0, encoded_bytes=2**31), instance(1, encoded_bytes=2**31, number_of_frames=4096)])
    assert [(position, failure.reason) for position, failure in plan.refused] == [(0, "task_memory_exceeded")]


def test_a_frame_over_the_frame_limit_is_refused(instance):
    plan = make_plan([instance(0)], Layout(frame_limit=500_000))
    assert [(position, failure.reason) for position, failure in plan.refused] == [(0, "frame_too_large")]
    assert (
        "A decoded frame has 524288 bytes, more than limits.frame allows (500000 bytes)" in plan.refused[0][1].message
    )


@pytest.mark.parametrize(
    ("settings", "remedy", "most"),
    [
        ({"shard_bytes": 1024 * MiB}, "set output.shard to at most {} bytes", 1018 * MiB),
        ({"shard_bytes": 1024 * MiB, "chunk_frames": 50}, "set output.shard to at most {} bytes", 850 * MiB),
        ({"chunk_frames": 600}, "set output.chunk.frame to at most {},", 255),
    ],
)
def test_shards_too_large_for_a_task_refuse_the_plan_with_the_numbers_and_the_remedy(instance, settings, remedy, most):
    megapixel = PixelFormat(1024, 1024, 1, "uint8", "MONOCHROME2")
    one = instance(format=megapixel, number_of_frames=2000, encoded_bytes=2000)
    with pytest.raises(PlanError) as caught:
        make_plan([one, instance(1)], Layout(**settings))
    message = str(caught.value)
    assert remedy.format(most) in message
    assert "A task may have 1024.0 MiB (limits.task_memory), but 1 image(s) need more" in message
    assert "1.2.3/1.2.3.4/1.2.3.4.0" in message
    assert "a frame is 1048576 bytes" in message
    setting = "chunk_frames" if "chunk.frame" in remedy else "shard_bytes"
    make_plan([one], Layout(**{**settings, setting: most}))
    if most != 850 * MiB:
        with pytest.raises(PlanError):
            make_plan([one], Layout(**{**settings, setting: most + (1 if most == 255 else MiB)}))
