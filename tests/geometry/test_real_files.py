"""Real series: each has a verdict, and the affine gives every Image Position (Patient) back within a thousandth of a millimetre."""

from __future__ import annotations

import json
import os
from collections import Counter

import numpy as np
import pytest

from support import geometry_headers
from support.corpora import pydicom_folder, shared_data


@pytest.fixture(scope="module")
def arranged():
    return [(files, *geometry_headers.arrange(files)) for files in geometry_headers.series()]


@pytest.fixture
def of_folder(arranged):
    """The arrangement of all files in a folder of the shared data."""

    def find(folder):
        if shared_data() is None:
            pytest.skip("the folder of further real files is missing")
        root = os.fspath(shared_data() / folder)
        inside = [file for files, _, _ in arranged for file in files if os.fspath(file[0]).startswith(root + os.sep)]
        return geometry_headers.arrange(inside)[0]

    return find


def test_every_series_has_a_verdict_and_regular_ones_their_positions_back(arranged):
    verdicts, worst = Counter(), 0.0
    for files, found, positions in arranged:
        geometry = found.geometry
        verdicts[geometry.verdict] += 1
        text = json.dumps(geometry.to_json(), allow_nan=False)
        assert type(geometry).from_json(json.loads(text)) == geometry
        assert geometry.reasons or geometry.verdict == "regular", files[0][0]
        if found.fold is None:
            continue
        inside = [frame for frame, cell in enumerate(found.fold.cells.tolist()) if cell[0] >= 0]
        cells = found.fold.cells[inside]
        assert len({tuple(cell) for cell in cells.tolist()}) == len(cells)
        index = geometry.slice_index(found.fold.sizes[2])
        for frame, cell in zip(inside, cells.tolist(), strict=True):
            mapped = (geometry.matrix @ [0, 0, index[cell[2]], 1])[:3]
            distance = np.linalg.norm(mapped - positions[frame])
            if geometry.verdict in {"regular", "gaps", "single_slice"}:
                assert distance < 1e-3, files[0][0]
            assert distance <= geometry.position_residual_mm + 1e-3
            worst = max(worst, distance) if geometry.verdict != "irregular" else worst
    print(dict(verdicts), f"largest distance {worst:.6f} mm")  # noqa: T201  for whoever runs it with -s
    assert {"regular", "single_slice", "no_geometry"} <= set(verdicts)


ICOMETRIX = "gh-icometrix+dicom2nifti/tests/data/"


def test_gantry_tilt(of_folder):
    geometry = of_folder(ICOMETRIX + "failing/gantrytilting/001").geometry
    assert (geometry.verdict, geometry.sheared) == ("regular", True)
    # The slices follow each other along z; the normal leans by 14 degrees.
    assert geometry.matrix[:3, 2].tolist() == [0, 0, 5]
    assert geometry.tilt_degrees == pytest.approx(14)
    assert geometry.matrix[:3, 3].tolist() == [-106.791015625, -256.61886606561, -61.951915066986]
    assert geometry.spacing == (5, 0.41796875, 0.41796875)
    assert geometry.matrix[:3, 1] == pytest.approx([0, 0.41796875 * 0.970295726276, -0.41796875 * 0.2419218955997])


def test_slice_increment(of_folder):
    found = of_folder(ICOMETRIX + "failing/sliceincrement/001")
    geometry = found.geometry
    assert (geometry.verdict, geometry.missing_slices, geometry.sheared) == ("gaps", (3,), False)
    assert geometry.slice_index(4).tolist() == [0, 1, 2, 4]
    assert geometry.spacing[0] == pytest.approx(5, abs=1e-6)
    assert geometry.reasons == ("1 of 5 slices are missing",)


@pytest.mark.parametrize(
    ("folder", "sizes", "dimensions"),
    [
        ("ge/dti/001", (1, 2, 4), {"c": (["DiffusionBValue"], False)}),
        ("ge/fmri/001", (2, 1, 4), {"t": (["InstanceNumber"], True)}),
        ("generic/rgb/001", (1, 1, 4), {}),
        ("philips/fmri/001", (4, 1, 2), {"t": (["InstanceNumber"], True)}),
        ("siemens/dti_classic/001", (1, 2, 4), {"c": (["DiffusionBValue"], False)}),
        ("siemens/fmri_classic/001", (2, 1, 4), {"t": (["AcquisitionNumber"], False)}),
        ("philips_enhanced/fmri/001", (4, 1, 8), {"t": (["TemporalPositionIndex"], False)}),
        ("../../../gh-neurolabusc+dcm_qa_enh/In/Siemens/XA10", (4, 1, 6), {"t": (["TemporalPositionIndex"], False)}),
    ],
)
def test_series_of_several_volumes(of_folder, folder, sizes, dimensions):
    found = of_folder(os.path.normpath(ICOMETRIX + folder))
    assert (found.geometry.verdict, found.fold.sizes) == ("regular", sizes)
    json_form = found.geometry.to_json()["dimensions"]
    assert json_form == {axis: {"from": keys, "assumed": assumed} for axis, (keys, assumed) in dimensions.items()}
    assert found.geometry.repeats == sizes[0] * sizes[1]
    b_values = {"c": (0, 1000)} if dimensions.get("c") else {}
    assert {c.axis: c.values for c in found.fold.coordinates if c.axis == "c"} == b_values


@pytest.mark.parametrize(
    ("folder", "affine"),
    [
        (
            ICOMETRIX + "generic/rgb/001",
            [
                [2.99869601, -0.08506196, 0.0242223979, -74.024926],
                [0.0837502447, 2.99509059, 0.149727234, -142.009561],
                [-0.0284281203, -0.14898593, 2.99616364, -42.264607],
            ],
        ),
        (
            "gh-dcm4che+dcm4che/dcm4che-assembly/src/etc/testdata/dicom",
            [[0.234375, 0, 0, 65.359375], [0, 0, 2.00000207, -5.992188], [0, -0.234375, 0, 23.554688]],
        ),
        (
            "gh-neurolabusc+dcm_qa_enh/In/Siemens/XA10",
            [[3.375, 0, -2.4e-06, -109.79], [0, 3.375, -2.4e-06, -58.4773], [3.375e-06, 3.375e-06, 2.4, -5.40356]],
        ),
    ],
)
def test_regular_stacks_as_simpleitk_sees_them(of_folder, folder, affine):
    # SimpleITK 2.5.7: origin, direction and spacing of the image that ImageSeriesReader, or ReadImage, returns.
    assert np.abs(of_folder(folder).geometry.matrix[:3] - affine).max() < 5e-5


def test_rt_dose(arranged):
    root = pydicom_folder()
    (found,) = (one for files, one, _ in arranged if any(path == root / "rtdose.dcm" for path, _ in files))
    assert (found.geometry.verdict, found.fold.sizes) == ("regular", (1, 1, 15))
    assert found.geometry.spacing == (5, 10, 10)
    assert found.geometry.matrix[:3, 3].tolist() == [189.43125, 199.43125, -761.87]
