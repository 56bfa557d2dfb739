"""Pictures that may name a patient stay out of the report: for good if they say so, else until they are asked for."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from pydicom import uid

from support.converted_folders import Converted, convert
from support.dicom_bytes import native_file

CT, MR, SLIDE = uid.CTImageStorage, uid.MRImageStorage, uid.VLWholeSlideMicroscopyImageStorage
ULTRASOUND, CAPTURE = uid.UltrasoundImageStorage, uid.SecondaryCaptureImageStorage
PLAIN = {"SOPClassUID": CT, "Modality": "CT"}

NEVER = {
    "burned in": PLAIN | {"BurnedInAnnotation": "YES"},
    "burned in, spelt otherwise": PLAIN | {"BurnedInAnnotation": "yes "},
    "burned into a capture": {"SOPClassUID": CAPTURE, "BurnedInAnnotation": "YES"},
    "yes and no": PLAIN | {"BurnedInAnnotation": "NO\\YES"},
    "a specimen's label": {
        "SOPClassUID": SLIDE,
        "Modality": "SM",
        "SpecimenLabelInImage": "YES",
        "BurnedInAnnotation": "NO",
    },
    **{
        name: {
            "SOPClassUID": SLIDE,
            "Modality": "SM",
            "ImageType": f"ORIGINAL\\PRIMARY\\{name}\\NONE",
            "BurnedInAnnotation": "NO",
        }
        for name in ("LABEL", "OVERVIEW", "THUMBNAIL")
    },
    "a label of no slide": PLAIN | {"ImageType": "DERIVED\\SECONDARY\\label"},
}
UNDECIDED = {
    "ultrasound": {"SOPClassUID": ULTRASOUND, "Modality": "US"},
    "ultrasound of another class": {"SOPClassUID": MR, "Modality": "US"},
    "ultrasound by its class alone": {"SOPClassUID": uid.UltrasoundMultiFrameImageStorage, "Modality": "CT"},
    "ultrasound in three dimensions": {"SOPClassUID": uid.EnhancedUSVolumeStorage, "Modality": "US"},
    "inside a vessel": {"SOPClassUID": ULTRASOUND, "Modality": "IVUS"},
    "undecided in words": {"SOPClassUID": ULTRASOUND, "Modality": "US", "BurnedInAnnotation": "UNKNOWN"},
    "an empty decision": {"SOPClassUID": ULTRASOUND, "Modality": "US", "BurnedInAnnotation": ""},
    "a capture": {"SOPClassUID": CAPTURE, "Modality": "CT"},
    "a capture of many frames": {"SOPClassUID": uid.MultiFrameTrueColorSecondaryCaptureImageStorage, "Modality": "MR"},
    "a digitised film": {"SOPClassUID": uid.ComputedRadiographyImageStorage, "Modality": "CR", "ConversionType": "DF"},
    "a photograph": {"SOPClassUID": uid.VLPhotographicImageStorage, "Modality": "XC"},
    "an endoscopy": {"SOPClassUID": uid.VideoEndoscopicImageStorage, "Modality": "ES"},
    "a screen": PLAIN | {"ImageType": "DERIVED\\SECONDARY\\SCREEN SAVE"},
    "a dose report": PLAIN | {"SeriesDescription": "Dose Report"},
    "a patient protocol": PLAIN | {"SeriesDescription": "Patient Protocol"},
    "a protocol of one maker": PLAIN | {"ImageType": "DERIVED\\SECONDARY\\OTHER\\CT_SOM5 PROT"},
    "a document": {"SOPClassUID": CT, "Modality": "OT"},
    "no kind at all": {"SOPClassUID": None, "Modality": "CT"},
}
SHOWN = {
    "a slice": PLAIN,
    "a slice that says nothing": PLAIN | {"BurnedInAnnotation": ""},
    "an MPR": PLAIN | {"ImageType": "DERIVED\\SECONDARY\\MPR"},
    "an ultrasound without annotation": {"SOPClassUID": ULTRASOUND, "Modality": "US", "BurnedInAnnotation": "NO"},
    "a capture without annotation": {"SOPClassUID": CAPTURE, "Modality": "OT", "BurnedInAnnotation": " no"},
    "a level of a slide": {"SOPClassUID": SLIDE, "Modality": "SM", "ImageType": "ORIGINAL\\PRIMARY\\VOLUME\\NONE"},
    "an image without label": {"SOPClassUID": SLIDE, "Modality": "SM", "SpecimenLabelInImage": "NO"},
    "a description in brackets": PLAIN | {"SeriesDescription": "[1] scout"},
    "a screening": PLAIN | {"SeriesDescription": "SCREENING LOW DOSE"},
    "a radiograph": {"SOPClassUID": uid.ComputedRadiographyImageStorage, "Modality": "CR"},
}


def pictures(found: Converted) -> dict[str, tuple[int, str]]:
    """For each image of the page, by its SOP Instance UID: the number of pictures, and the text in their place."""
    page = (found.out / "report.html").read_text("utf-8")
    figures = re.findall(r'<figure class="image" aria-label="([^"]*)">(.*?)</figure>', page, re.DOTALL)
    texts = {label.rsplit("/", 1)[1]: body for label, body in figures}
    return {
        name: (body.count("data:image/"), unescape("".join(re.findall('<p class="note">(.*?)</p>', body))))
        for name, body in texts.items()
    }


@pytest.mark.parametrize("header", ["full", "none"])
def test_which_pictures_are_shown(tmp_path: Path, header: str) -> None:
    cases = {**NEVER, **UNDECIDED, **SHOWN}
    files = {
        name: native_file(bytes(16), SOPInstanceUID=f"1.2.{n}", **values)
        for n, (name, values) in enumerate(cases.items())
    }
    options = ("--set", "output.grouping=instance", "--set", f"metadata.header={header}")
    hidden = pictures(convert(tmp_path / "in", files, *options))
    shown = pictures(convert(tmp_path / "in", {}, *options, "--set", "report.sensitive=show"))
    assert len(hidden) == len(shown) == len(cases)
    for n, name in enumerate(cases):
        one, other = hidden[f"1.2.{n}"], shown[f"1.2.{n}"]
        assert (one[0], other[0]) == (int(name in SHOWN), int(name not in NEVER)), name
        assert one[1].endswith("; open the image itself to see it") == (name in NEVER)
        assert one[1].endswith("report.sensitive: show shows it") == (name in UNDECIDED)


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ({"BurnedInAnnotation": "YES"}, "Burned In Annotation is YES"),
        ({"SpecimenLabelInImage": "YES"}, "Specimen Label in Image is YES"),
        ({"SOPClassUID": CAPTURE}, "a secondary capture"),
        ({"ConversionType": "SD"}, "a secondary capture"),
        ({"SeriesDescription": "DOSE INFO"}, "a picture of a screen"),
        ({"BurnedInAnnotation": "NO\\YES"}, "Burned In Annotation is YES"),
        ({"SeriesDescription": "[1] scout"}, ""),
    ],
)
def test_one_slice_hides_its_stack(tmp_path: Path, others: dict[str, Any], words: str) -> None:
    files = {
        f"{n}": native_file(
            bytes(16), SOPInstanceUID=f"1.2.{n}", InstanceNumber=n, **PLAIN | (others if n == 3 else {})
        )
        for n in range(5)
    }
    ((count, text),) = pictures(convert(tmp_path / "in", files)).values()
    assert count == (0 if words else 4)
    assert words in text


def test_a_stack_of_ultrasound_is_decided_only_where_each_slice_says_so(tmp_path: Path) -> None:
    values = {"SOPClassUID": ULTRASOUND, "Modality": "US"}
    for said, count in ((["NO"] * 3, 3), (["NO", None, "NO"], 0)):
        folder = tmp_path / str(count)
        files = {
            f"{n}": native_file(bytes(16), SOPInstanceUID=f"1.2.{n}", BurnedInAnnotation=one, **values)
            for n, one in enumerate(said)
        }
        assert [number for number, _ in pictures(convert(folder, files)).values()] == [count]
