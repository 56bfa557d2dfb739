"""The contact sheet: grey levels by hand-made rules, few and small pictures, and no patient unless asked for."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file

import pipeline
from pipeline.preview.contact_sheets import FRAMES, _evenly
from pipeline.preview.thumbnails import LONGEST_SIDE, GreyWindow, thumbnail, window_of

NAME = "CompressedSamples^CT1"


def grey(jpeg: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("L"), int)


def flat(value: int, dtype: str = "int16") -> np.ndarray:
    return np.full((16, 16), value, dtype)


@pytest.mark.parametrize(("value", "level"), [(-200, 0), (0, 0), (100, 127), (150, 191), (200, 255), (900, 255)])
def test_grey_levels_follow_the_window(value: int, level: int) -> None:
    stored = (value + 1024) // 2  # slope 2, intercept -1024
    assert grey(thumbnail(flat(stored), "MONOCHROME2", GreyWindow(100, 200, 2, -1024)))[8, 8] == pytest.approx(
        level, abs=2
    )
    inverted = grey(thumbnail(flat(stored), "MONOCHROME1", GreyWindow(100, 200, 2, -1024)))[8, 8]
    assert inverted == pytest.approx(255 - level, abs=2)


def test_without_a_window_percentiles_decide() -> None:
    frame = np.tile(np.arange(1000, 1100, dtype="uint16"), (100, 1))
    frame[0, 0] = 60000  # one hot pixel doesn't darken the rest
    shown = grey(thumbnail(frame, "MONOCHROME2", None))
    assert shown[50, 2] < 20
    assert shown[50, 50] == pytest.approx(127, abs=8)
    assert shown[50, 97] > 235


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((5, 3), "uint8"),
        np.full((1, 1), np.nan, "float32"),
        np.full((700, 2), np.inf, "float64"),
        np.random.default_rng(0).integers(0, 255, (4000, 900, 3)).astype("uint8"),
        np.ones((7, 9, 1), "uint32"),
        np.array([[0, 1], [1, 0]], "uint8"),
    ],
)
def test_any_frame_becomes_a_small_picture(frame: np.ndarray) -> None:
    jpeg = thumbnail(frame, "MONOCHROME2" if frame.ndim == 2 else "RGB", None)
    assert max(Image.open(io.BytesIO(jpeg)).size) <= LONGEST_SIDE
    assert len(jpeg) < 20_000


@pytest.mark.parametrize(
    ("attributes", "window"),
    [
        ({"WindowCenter": 40, "WindowWidth": 400}, GreyWindow(40, 400)),
        ({"WindowCenter": [40, 600], "WindowWidth": [400, 2000], "RescaleSlope": 2.0}, GreyWindow(40, 400, 2)),
        ({"WindowCenter": np.float64(40), "WindowWidth": np.float64(0)}, None),
        ({"WindowCenter": float("nan"), "WindowWidth": 400}, None),
        ({"WindowCenter": "forty", "WindowWidth": 400}, None),
        ({"WindowCenter": [], "WindowWidth": 400}, None),
        ({}, None),
    ],
)
def test_windows_of_attributes(attributes: dict, window: GreyWindow | None) -> None:
    assert window_of(attributes) == window


@pytest.mark.parametrize(("count", "most"), [(0, 4), (1, 4), (3, 4), (4, 4), (100, 4), (1000, 48), (5, 0)])
def test_samples_are_spread_evenly(count: int, most: int) -> None:
    chosen = _evenly(count, most)
    assert len(chosen) == len(set(chosen)) == min(count, most)
    assert all(0 <= place < count for place in chosen)
    if chosen:
        assert chosen[0] == 0
        assert chosen[-1] == (count - 1 if most > 1 else 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for name in ("CT_small.dcm", "rtdose_rle.dcm", "SC_rgb_rle_2frame.dcm"):
        shutil.copy(get_testdata_file(name, download=False), tmp_path / "in")
    return tmp_path / "in"


def convert(folder: Path, **report: object) -> tuple[pipeline.report.RunSummary, str]:
    out = folder.parent / "out"
    found = pipeline.convert([folder], out, overwrite=True, cluster={"kind": "synchronous"}, report=report)
    return found, (out / "report.html").read_text("utf-8")


def test_the_sheet_shows_frames_of_each_image(folder: Path) -> None:
    summary, html = convert(folder, sensitive="show")
    frames = {image.caption.split(",")[0]: [sample.frame for sample in image.samples] for image in summary.sheet}
    assert frames == {"CT": [0], "RTDOSE": [0, 5, 9, 14], "OT": [0, 1]}
    assert html.count("data:image/jpeg;base64,") == 7
    assert max(map(len, frames.values())) == FRAMES
    assert NAME not in html
    data = json.loads((folder.parent / "out" / "report.json").read_text("utf-8"))
    assert data["throughput_over_time"]["frames"]
    assert sum(data["throughput_over_time"]["frames"]) == 18
    stages = {line["transfer_syntax_uid"]: line["seconds_by_stage"] for line in data["by_transfer_syntax"]}
    assert all(set(seconds) == {"decode", "write"} for seconds in stages.values())
    (ct,) = (line for line in data["by_modality"] if line["modality"] == "CT")
    assert ct["compression_ratio"] == pytest.approx(ct["decoded_bytes"] / ct["stored_bytes"], abs=1e-3)


def test_no_image_is_shown_where_none_is_wanted(folder: Path) -> None:
    summary, html = convert(folder, images=0)
    assert summary.sheet == ()
    assert "data:image" not in html
    assert len(convert(folder, images=2)[0].sheet) == 2


def test_patients_are_named_only_when_asked_and_what_names_them_is_never_shown(folder: Path) -> None:
    ds = dcmread(folder / "CT_small.dcm")
    ds.BurnedInAnnotation = "YES"
    ds.save_as(folder / "CT_small.dcm")
    summary, html = convert(folder)
    assert NAME not in html
    for wanted in ({}, {"patient_names": True}, {"patient_names": True, "sensitive": "show"}):
        summary, html = convert(folder, **wanted)
        (ct,) = (image for image in summary.sheet if image.caption.startswith("CT"))
        assert ct.samples == ()
        assert ct.why_not == (
            "not shown: Burned In Annotation is YES, so the pixels may name the patient; open the image itself to see it"
        )
        assert ct.why_not in html
    assert ct.patient == f"{NAME}, 1CT1"
    assert NAME in html
    assert NAME not in (folder.parent / "out" / "report.json").read_text("utf-8")
