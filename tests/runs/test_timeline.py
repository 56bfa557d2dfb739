"""The timeline keeps every frame and byte, whatever its slices."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.runs.timeline import MOST_SLICES, Timeline

tasks = st.lists(st.tuples(st.integers(0, 99), st.integers(0, 10**9), st.floats(0, 1e6)), max_size=50)


@given(tasks)
def test_nothing_is_lost_and_slices_stay_few(done: list[tuple[int, int, float]]) -> None:
    timeline = Timeline(started=0.0)
    for frames, size, now in sorted(done, key=lambda task: task[2]):
        timeline.add(frames, size, now)
    assert sum(timeline.frames) == sum(frames for frames, _, _ in done)
    assert sum(timeline.bytes) == sum(size for _, size, _ in done)
    assert len(timeline.frames) == len(timeline.bytes) <= MOST_SLICES


def test_a_slice_holds_what_was_done_in_it() -> None:
    timeline = Timeline(started=100.0)
    for now in (100.5, 100.9, 103.0):
        timeline.add(1, 10, now)
    assert (timeline.seconds, timeline.frames) == (1.0, [2, 0, 0, 1])
    timeline.add(1, 10, 100.0 + MOST_SLICES)
    assert timeline.seconds == 2.0
    assert timeline.frames[:2] == [2, 1]
