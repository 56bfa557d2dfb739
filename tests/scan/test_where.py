import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.scan.columns import fit
from pipeline.scan.where_filter import selected


@pytest.mark.parametrize(
    ("wanted", "value", "fits"),
    [
        ("CT", "CT", True),
        ("CT", " CT ", True),
        ("CT", "ct", False),
        (["CT", "MR"], "MR", True),
        (("CT", "MR"), "US", False),
        ("PRIMARY", ["ORIGINAL", "PRIMARY"], True),
        (3, 3, True),
        (3, 3.0, True),
        (3, "3", True),
        ("3", 3, True),
        ("007", "7", False),
        (7, "007", True),
        (2.5, ["1", "2.50"], True),
        ("x", 3, False),
        (3, "x", False),
        ("", None, False),
        ("", [], False),
        ("CT", [None, "CT"], True),
    ],
)
def test_one_condition(wanted, value, fits):
    assert selected({"K": wanted}, {"K": value}) is fits


def test_all_conditions_must_hold_and_none_holds_always():
    assert selected({}, {})
    assert not selected({"Modality": "CT"}, {})
    assert not selected({"Modality": "CT", "SeriesNumber": [1, 2]}, {"Modality": "CT", "SeriesNumber": 3})
    assert selected({"Modality": "CT", "SeriesNumber": [1, 2]}, {"Modality": "CT", "SeriesNumber": 2})


@pytest.mark.parametrize(
    ("kind", "value", "column"),
    [
        ("number", 1, 1.0),
        ("number", "1.5", 1.5),
        ("number", "", None),
        ("number", None, None),
        ("integer", 2.0, 2),
        ("integer", "12", 12),
        ("text", 5, "5"),
        ("text", ["a", "b"], "a\\b"),
        ("numbers", 2, [2.0]),
        ("numbers", [1, "", None, 2.5], [1.0, None, None, 2.5]),
        ("integers", [], None),
        ("texts", "a", ["a"]),
    ],
)
def test_what_fits(kind, value, column):
    assert fit({"K": value}, {"K": kind}) == ({"K": column}, {})


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("number", "5 mm", "5 mm"),
        ("number", [1, 2], "1\\2"),
        ("integer", 2.5, "2.5"),
        ("integer", 2**63, str(2**63)),
        ("integer", float("inf"), "inf"),
        ("numbers", ["1", "x"], "1\\x"),
    ],
)
def test_what_does_not_fit_is_kept_as_text(kind, value, text):
    assert fit({"K": value}, {"K": kind}) == ({"K": None}, {"K": text})


anything = st.recursive(
    st.none() | st.text(max_size=3) | st.integers() | st.floats() | st.sampled_from(["1", "-2.5", "1e400"]),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


@given(anything, st.sampled_from(["number", "integer", "text", "numbers", "integers", "texts"]))
def test_any_value_fits_or_is_kept(value, kind):
    columns, misfits = fit({"K": value}, {"K": kind})
    assert set(columns) == {"K"}
    if misfits:
        assert columns["K"] is None
