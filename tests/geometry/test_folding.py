"""Folding: every frame in a cell of its own, by the keys that were planted; what isn't a grid isn't made one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from pipeline.geometry import Fold, FrameKeys, Unfolded, arrange_frames, fold_frames, make_planes

TIMES = (
    "TemporalPositionIndex",
    "TemporalPositionIdentifier",
    "FrameReferenceTime",
    "TriggerTime",
    "AcquisitionNumber",
)
CHANNELS = ("EchoTime", "DiffusionBValue", "ImageType", "ReferencedSegmentNumber", "OpticalPathIdentifier")
TEXTS = ("ImageType", "OpticalPathIdentifier")


def series(*axes, slices, order=None):
    """Slices and keys of a full grid: each axis a name and its values, the first one slowest; slices vary fastest."""
    cells = list(itertools.product(*(values for _, values in axes), range(slices)))
    columns = {name: column([cell[k] for cell in cells]) for k, (name, _) in enumerate(axes)}
    return np.array([cell[-1] for cell in cells]), FrameKeys(columns, order=order)


def column(values):
    return np.array(values, object if isinstance(values[0], str) else float)


def cells_of(fold):
    return [tuple(cell) for cell in fold.cells.tolist()]


def origins(fold):
    return {axis: origin.keys for axis, origin in fold.origins}


@st.composite
def planted(draw):
    """A full grid of up to three keys, its frames shuffled: slices, keys, and what each frame's cell must be."""
    times = draw(st.lists(st.sampled_from(TIMES[:-1]), max_size=1))
    channels = draw(st.lists(st.sampled_from(CHANNELS), max_size=2, unique=True))
    names = sorted([*times, *channels], key=[*TIMES[:-1], *CHANNELS].index)
    steps = [draw(st.integers(2, 3)) for _ in names]
    slices = draw(st.integers(1, 4))
    numbers = st.lists(st.floats(0, 5000).map(lambda x: round(x, 3)), unique=True)
    values = {}
    for name, count in zip(names, steps, strict=True):
        drawn = draw(numbers.filter(lambda v, n=count: len(v) >= n))[:count]
        values[name] = sorted(f"T{value}" if name in TEXTS else value for value in drawn)
    grid = draw(st.permutations(list(itertools.product(*map(range, steps), range(slices)))))
    keys = {name: column([values[name][cell[k]] for cell in grid]) for k, name in enumerate(names)}
    if draw(st.booleans()):
        keys["AcquisitionNumber"] = np.ones(len(grid))
    if slices > 1 and draw(st.booleans()):  # tells frames apart, but not those of a position
        keys["TemporalPositionTimeOffset"] = np.arange(len(grid)) / 7
    t = names.index(times[0]) if times else None
    others = [k for k in range(len(names)) if k != t]
    products = sorted(itertools.product(*(range(steps[k]) for k in others)))
    expected = [
        (cell[t] if t is not None else 0, products.index(tuple(cell[k] for k in others)), cell[-1]) for cell in grid
    ]
    order = np.array(draw(st.permutations(range(len(grid))))) if draw(st.booleans()) else None
    sizes = (steps[t] if t is not None else 1, len(products), slices)
    return np.array([cell[-1] for cell in grid]), FrameKeys(keys, order=order), expected, sizes, values, times


@given(case=planted())
@settings(deadline=None, max_examples=300)
def test_the_planted_grid_is_found(case):
    slices, keys, expected, sizes, values, times = case
    event(f"{len(values)} keys, time: {bool(times)}")
    fold = fold_frames(slices, keys)
    assert isinstance(fold, Fold)
    assert (fold.sizes, cells_of(fold)) == (sizes, expected)
    assert (fold.assumed, len(fold.rest), fold.reasons) == (False, 0, ())
    assert sorted(name for axis in origins(fold).values() for name in axis) == sorted(values)
    assert origins(fold).get("t", ()) == tuple(times)
    for coordinate in fold.coordinates:
        for frame, cell in enumerate(expected):
            step = cell[0] if coordinate.axis == "t" else cell[1]
            assert coordinate.values[step] == keys.values[coordinate.name][frame]


anything = st.lists(
    st.tuples(
        st.integers(0, 3), st.integers(0, 2), st.integers(0, 2), st.sampled_from(("M", "P", None)), st.integers(0, 9)
    ),
    min_size=1,
    max_size=40,
)


def test_an_aborted_series_whose_numbers_repeat_is_not_assumed():
    slices = np.array([1, 0, 1, 0, 1])
    assert isinstance(fold_frames(slices, FrameKeys(order=np.array([0, 1, 2, 3, 4]))), Fold)
    assert isinstance(fold_frames(slices, FrameKeys(order=np.array([0, 1, 1, 3, 4]))), Unfolded)


@given(rows=anything, data=st.data())
@settings(deadline=None, max_examples=400)
def test_any_frames_are_stored_once_whatever_their_order_or_not_folded_at_all(rows, data):
    used = sorted({row[0] for row in rows})
    slices = np.array([used.index(row[0]) for row in rows])
    keys = FrameKeys(
        {
            "TriggerTime": np.array([row[1] or np.nan for row in rows], float),
            "EchoTime": np.array([row[2] for row in rows], float),
            "ImageType": np.array([row[3] for row in rows], object),
        },
        order=np.array([row[4] for row in rows]),
    )
    found = fold_frames(slices, keys)
    event(type(found).__name__ + (", with rest" if isinstance(found, Fold) and len(found.rest) else ""))
    if isinstance(found, Fold):
        inside = np.delete(np.arange(len(rows)), found.rest)
        cells = [tuple(cell) for cell in found.cells[inside].tolist()]
        assert sorted(cells) == list(itertools.product(*map(range, found.sizes)))
        assert (found.cells[found.rest] == -1).all()
        assert found.cells[inside, 2].tolist() == slices[inside].tolist()
    else:
        counts = np.bincount(slices)
        assert found.verdict == ("incomplete" if counts.min() < counts.max() else "coincident")
        assert found.reasons
    shuffled = np.array(data.draw(st.permutations(range(len(rows)))))
    again = fold_frames(slices[shuffled], keys.select(shuffled))
    assert type(again) is type(found)
    assert again.reasons == found.reasons
    if isinstance(found, Fold):
        assert again.cells.tolist() == found.cells[shuffled].tolist()
        assert (again.coordinates, again.sizes) == (found.coordinates, found.sizes)


def test_one_frame_at_each_position_needs_no_key():
    fold = fold_frames(np.array([2, 0, 1]), FrameKeys({"EchoTime": np.array([1.0, 2, 3])}))
    assert (fold.sizes, cells_of(fold)) == ((1, 1, 3), [(0, 0, 2), (0, 0, 0), (0, 0, 1)])
    assert fold.origins == ()


def test_echoes_and_times_of_one_series():
    # As in a series whose b-values and trigger times go with the times.
    slices, keys = series(("TemporalPositionIdentifier", (1, 2)), ("EchoTime", (10, 30)), slices=3)
    times = keys.values["TemporalPositionIdentifier"]
    keys = FrameKeys({**keys.values, "DiffusionBValue": 1000 * (times - 1), "TriggerTime": 100 * (times - 1)})
    fold = fold_frames(slices, keys)
    assert fold.sizes == (2, 2, 3)
    assert origins(fold) == {"t": ("TemporalPositionIdentifier",), "c": ("EchoTime",)}
    assert [(c.name, c.axis, c.unit, c.values) for c in fold.coordinates] == [
        ("TemporalPositionIdentifier", "t", "", (1, 2)),
        ("EchoTime", "c", "millisecond", (10, 30)),
    ]


def test_diffusion_is_a_channel_of_b_value_and_direction_though_acquisition_number_would_tell_too():
    b = np.repeat([0.0, 1000, 1000, 1000], 2)
    directions = np.repeat([[np.nan] * 3, [0, 1, 0], [1, 0, 0], [0, 0, -1]], 2, axis=0)
    keys = {"DiffusionBValue": b, "DiffusionGradientOrientation": directions, "AcquisitionNumber": np.arange(8) // 2}
    fold = fold_frames(np.arange(8) % 2, FrameKeys(keys))
    assert (fold.sizes, origins(fold)) == ((1, 4, 2), {"c": ("DiffusionGradientOrientation",)})
    # Two directions at each of two b-values: neither tells alone.
    b = np.repeat([1000.0, 1000, 2000, 2000], 2)
    directions = np.repeat([[0.0, 1, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0]], 2, axis=0)
    keys = {**keys, "DiffusionBValue": b, "DiffusionGradientOrientation": directions}
    fold = fold_frames(np.arange(8) % 2, FrameKeys(keys))
    assert (fold.sizes, origins(fold)) == ((1, 4, 2), {"c": ("DiffusionBValue", "DiffusionGradientOrientation")})
    assert [c.values for c in fold.coordinates] == [(1000, 1000, 2000, 2000), ((0, 1, 0), (1, 0, 0)) * 2]
    without = {name: keys[name] for name in ("AcquisitionNumber",)}
    assert origins(fold_frames(np.arange(8) % 2, FrameKeys(without))) == {"t": ("AcquisitionNumber",)}


def test_a_second_time_key_is_a_channel():
    slices, keys = series(("TemporalPositionIndex", (1, 2)), ("TriggerTime", (0, 40, 80)), slices=2)
    fold = fold_frames(slices, keys)
    assert (fold.sizes, origins(fold)) == ((2, 3, 2), {"t": ("TemporalPositionIndex",), "c": ("TriggerTime",)})


def test_a_key_that_some_frames_lack_is_no_key_unless_it_is_optional():
    echoes = np.array([np.nan, np.nan, 20, 20])
    found = fold_frames(np.array([0, 1, 0, 1]), FrameKeys({"EchoTime": echoes}))
    assert (found.verdict, found.reasons) == ("coincident", ("nothing tells the 2 frames at each position apart",))


def test_numbers_that_differ_by_rounding_only_are_one():
    echoes = np.array([27.001, 27.0009999999, 54, 54.0000000001])
    fold = fold_frames(np.array([0, 1, 0, 1]), FrameKeys({"EchoTime": echoes}))
    assert fold.coordinates[0].values == (27.001, 54)


def test_a_misspelt_key_is_refused():
    with pytest.raises(ValueError, match="EchoTimes"):
        FrameKeys({"EchoTimes": np.zeros(1)})


def test_dimension_index_values_come_first_and_bring_the_values_they_stand_for():
    slices = np.tile(np.arange(3), 4)
    index = {
        "StackID": np.ones(12, int),
        "InStackPositionNumber": slices + 1,
        "TemporalPositionIndex": np.repeat([1, 1, 2, 2], 3),
        "EffectiveEchoTime": np.repeat([1, 2, 1, 2], 3),
    }
    echo = np.repeat([11.5, 23, 11.5, 23], 3)
    keys = {"EffectiveEchoTime": echo, "TriggerTime": np.repeat([0.0, 10, 20, 30], 3)}
    fold = fold_frames(slices, FrameKeys(keys, index))
    assert origins(fold) == {"t": ("TemporalPositionIndex",), "c": ("EffectiveEchoTime",)}
    assert [(c.unit, c.values) for c in fold.coordinates] == [("", (1, 2)), ("millisecond", (11.5, 23))]
    fold = fold_frames(slices, FrameKeys({}, index))
    assert [(c.unit, c.values) for c in fold.coordinates] == [("", (1, 2)), ("", (1, 2))]
    # An index that doesn't tell the frames apart is left aside.
    fold = fold_frames(slices, FrameKeys(keys, {**index, "EffectiveEchoTime": np.ones(12, int)}))
    assert origins(fold) == {"t": ("TriggerTime",)}


def test_a_pointer_to_a_private_element_is_a_channel():
    fold = fold_frames(np.zeros(2, int), FrameKeys({}, {"(0019,1001)": np.array([2, 1])}))
    assert (cells_of(fold), origins(fold)) == ([(0, 1, 0), (0, 0, 0)], {"c": ("(0019,1001)",)})


def test_without_key_the_nth_occurrence_is_an_assumed_time():
    # By position first, as Philips numbers them, and by time first, as GE does.
    for order, expected in (([1, 2, 5, 6], [0, 1, 0, 1]), ([1, 5, 2, 6], [0, 1, 0, 1])):
        fold = fold_frames(np.array([0, 0, 1, 1]), FrameKeys(order=np.array(order)))
        assert fold.cells[:, 0].tolist() == expected
        assert (fold.sizes, fold.assumed) == ((2, 1, 2), True)
        assert [(axis, origin.keys, origin.assumed) for axis, origin in fold.origins] == [
            ("t", ("InstanceNumber",), True)
        ]
        assert fold.reasons
    # No order, or two frames with one number at one position.
    for order in (None, np.array([1, 2, 5, 5]), np.array([1, 2, 5, np.nan])):
        assert fold_frames(np.array([0, 0, 1, 1]), FrameKeys(order=order)).verdict == "coincident"


@pytest.mark.parametrize("lost", [[11], [10, 11], [9, 10]])
def test_an_aborted_series_gives_its_complete_part_and_the_rest(lost):
    slices, keys = series(("TemporalPositionIdentifier", (1, 2, 3, 4)), slices=3, order=np.arange(12))
    kept = np.delete(np.arange(12), lost)
    rest = [frame for frame in range(9, 12) if frame not in lost]
    for by in (keys.select(kept), FrameKeys(order=kept)):
        fold = fold_frames(slices[kept], by)
        if not by.values and lost[0] == 9:  # frames that come after missing ones could be those of another time
            assert fold.verdict == "incomplete"
            continue
        assert fold.sizes == (3, 1, 3)
        assert kept[fold.rest].tolist() == rest
        assert (fold.cells[fold.rest] == -1).all()
        assert fold.reasons[-1] == f"the last t is incomplete: its {len(rest)} frames are an image of their own"
        if by.values:
            assert (fold.assumed, fold.coordinates[0].values) == (False, (1, 2, 3))


def test_an_aborted_series_with_channels():
    slices, keys = series(("TriggerTime", (0, 50, 100)), ("EchoTime", (1, 2)), slices=4)
    kept = np.arange(24 - 3)
    fold = fold_frames(slices[kept], keys.select(kept))
    assert (fold.sizes, fold.rest.tolist()) == ((2, 2, 4), [16, 17, 18, 19, 20])


def test_a_hole_in_the_middle_is_incomplete_and_the_missing_cell_is_named():
    slices, keys = series(("TemporalPositionIdentifier", (1, 2, 3)), ("EchoTime", (10, 20)), slices=4)
    kept = np.delete(np.arange(24), 13)
    found = fold_frames(slices[kept], keys.select(kept))
    assert isinstance(found, Unfolded)
    assert (found.verdict, found.missing.tolist()) == ("incomplete", [[1, 1, 1]])
    assert found.reasons == ("1 of 24 cells are missing: TemporalPositionIdentifier 2.0, EchoTime 20.0 at slice 1",)
    found = fold_frames(slices[kept], FrameKeys(order=kept))
    assert (found.verdict, found.reasons) == ("incomplete", ("most positions have 6 frames: 5 at slice 1",))


def test_an_aborted_series_is_not_assumed_where_the_order_does_not_prove_it():
    # Numbered by position: which time is missing can't be told.
    slices = np.repeat(np.arange(3), 4)
    kept = np.delete(np.arange(12), 7)
    assert fold_frames(slices[kept], FrameKeys(order=kept)).verdict == "incomplete"
    # Numbered by time, but one slice is missing in the middle: its later frames would be taken for earlier ones.
    slices = np.tile(np.arange(3), 4)
    for lost in (3, 4, 5, 6):
        kept = np.delete(np.arange(12), lost)
        assert fold_frames(slices[kept], FrameKeys(order=kept)).verdict == "incomplete"
    # One slice that was repeated.
    assert fold_frames(np.array([0, 1, 2, 1]), FrameKeys(order=np.arange(4))).verdict == "incomplete"


def test_a_long_list_of_missing_cells_is_cut():
    slices, keys = series(("EchoTime", (1, 2)), slices=60)
    kept = np.delete(np.arange(120), np.arange(61, 100))
    found = fold_frames(slices[kept], keys.select(kept))
    assert len(found.missing) == 39
    assert found.reasons[0].count("at slice") == 10
    assert found.reasons[0].endswith("; …")


def test_an_arrangement_has_one_verdict():
    slices, keys = series(("EchoTime", (10, 20)), slices=3)
    planes = make_planes([(0, 0, 5.0 * z) for z in slices], [(1, 0, 0, 0, 1, 0)], [(1, 1)])
    found = arrange_frames(planes, keys)
    assert (found.geometry.verdict, found.geometry.repeats, found.fold.sizes) == ("regular", 2, (1, 2, 3))
    assert found.geometry.to_json()["dimensions"] == {"c": {"from": ["EchoTime"], "assumed": False}}
    found = arrange_frames(planes)
    assert (found.geometry.verdict, found.fold, found.geometry.affine) == ("coincident", None, None)
    assert (found.geometry.repeats, found.geometry.spacing) == (2, (5, 1, 1))
    kept = np.array([0, 1, 2, 4])
    found = arrange_frames(planes.select(kept), keys.select(kept))
    assert (found.geometry.verdict, found.fold, found.geometry.repeats) == ("incomplete", None, 2)
    assert found.geometry.reasons == ("2 of 6 cells are missing: EchoTime 20.0 at slice 0; EchoTime 20.0 at slice 2",)
