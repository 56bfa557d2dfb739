from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.plan import select_frames
from pipeline.plan.selection import cut_into_runs

numbers = st.none() | st.integers(-12, 12)


@given(start=numbers, stop=numbers, step=numbers.filter(lambda step: step != 0), frames=st.integers(0, 15))
@settings(deadline=None, max_examples=200)
def test_a_slice_selects_what_python_does(start, stop, step, frames):
    text = ":".join("" if part is None else str(part) for part in (start, stop, step))
    expected = sorted(list(range(frames))[slice(start, stop, step)])
    assert list(select_frames(text, frames)) == expected
    if step is None:
        assert list(select_frames(text.removesuffix(":"), frames)) == expected


@given(indices=st.lists(st.integers(-20, 20)), frames=st.integers(0, 15))
@settings(deadline=None, max_examples=200)
def test_a_list_selects_each_frame_that_exists_once(indices, frames):
    existing = list(range(frames))
    expected = {existing[i] for i in indices if -frames <= i < frames}
    assert list(select_frames(indices, frames)) == sorted(expected)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (None, [0, 1, 2, 3, 4, 5]),
        ("::2", [0, 2, 4]),
        ("10:20", []),
        (":-1", [0, 1, 2, 3, 4]),
        ("::-1", [0, 1, 2, 3, 4, 5]),
        (" 1 : 4 ", [1, 2, 3]),
        ([], []),
        ((5, -1, 0, 99, -99, 0), [0, 5]),
    ],
)
def test_examples(setting, expected):
    assert list(select_frames(setting, 6)) == expected


@pytest.mark.parametrize("text", ["", "5", "a:b", "1:2:3:4", "1,2", "::0", "0x1:", "1.5:", "[0]", "\u0661:"])
def test_other_texts_are_refused_with_what_was_expected(text):
    with pytest.raises(ConfigError, match=r"select\.frames: .*(expected a slice such as|can't be 0)") as caught:
        select_frames(text, 6)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("index", ["1", 1.0, None, True])
def test_other_things_in_a_list_are_refused(index):
    with pytest.raises(ConfigError, match=f"got {index!r} in the list"):
        select_frames([0, index], 6)


@given(st.lists(st.integers(0, 60), unique=True))
@settings(deadline=None, max_examples=200)
def test_runs_are_the_frames_in_order(frames):
    frames = tuple(sorted(frames))
    cut = list(cut_into_runs(frames))
    assert tuple(frame for run in cut for frame in run) == frames
    assert all(run.stop == run[-1] + 1 for run in cut)


def test_regular_frames_are_one_run():
    assert list(cut_into_runs((3, 5, 7, 9))) == [range(3, 10, 2)]
    assert list(cut_into_runs(range(3, 11, 2))) == [range(3, 10, 2)]
    assert list(cut_into_runs((4,))) == [range(4, 5)]
    assert list(cut_into_runs((0, 1, 2, 10, 20, 30))) == [range(3), range(10, 31, 10)]
    assert list(cut_into_runs(range(0))) == list(cut_into_runs(())) == []
