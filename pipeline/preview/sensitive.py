"""Decide which images stay out of the report, because a patient's name may be written into their pixels.

Some images say so: Burned In Annotation (PS3.3 C.7.6.1.1.1) or Specimen Label in Image (C.8.12.4.1.3) is YES, or Image Type
calls a slide's image LABEL, OVERVIEW or THUMBNAIL (C.8.12.4.1.1). No setting shows these. Other images are of kinds that often bear
writing, and no attribute says whether they do. These are shown if the configuration's ``report.sensitive`` is ``show``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

_BURNED_IN, _SPECIMEN_LABEL, _IMAGE_TYPE = "BurnedInAnnotation", "SpecimenLabelInImage", "ImageType"
_SOP_CLASS, _MODALITY, _CONVERSION, _DESCRIPTION = "SOPClassUID", "Modality", "ConversionType", "SeriesDescription"
KEYWORDS = (_BURNED_IN, _SPECIMEN_LABEL, _IMAGE_TYPE, _SOP_CLASS, _MODALITY, _CONVERSION, _DESCRIPTION)
"""The attributes that decide."""
Values = Mapping[str, AbstractSet[str]]
"""Keyword → all its values over an image's frames, in capitals."""

_SLIDE = {"LABEL": "the label of a slide", "OVERVIEW": "a slide with its label", "THUMBNAIL": "a slide as a whole"}
_ULTRASOUND, _CAPTURE, _PHOTO = "an ultrasound image", "a secondary capture", "a photograph"
_ENDOSCOPY, _FILM, _OTHER = "an endoscopic image", "a printed film", "a picture that no scanner made"
_CLASS = "1.2.840.10008.5.1.4.1.1."
_CLASSES = {
    **dict.fromkeys((f"{_CLASS}{end}" for end in ("3", "3.1", "6", "6.1", "6.2", "6.3")), _ULTRASOUND),
    **dict.fromkeys((f"{_CLASS}{end}" for end in ("7", "7.1", "7.2", "7.3", "7.4")), _CAPTURE),
    **dict.fromkeys((f"{_CLASS}77.1.1", f"{_CLASS}77.1.1.1"), _ENDOSCOPY),
    **dict.fromkeys((f"{_CLASS}{end}" for end in ("77.1", "77.2", "77.1.4", "77.1.4.1", "77.1.7")), _PHOTO),
    **dict.fromkeys(("1.2.840.10008.5.1.1.29", "1.2.840.10008.5.1.1.30"), _FILM),
}
_MODALITIES = {
    **dict.fromkeys(("US", "IVUS", "BDUS"), _ULTRASOUND),
    **dict.fromkeys(("XC", "DMS"), _PHOTO),
    "SC": _CAPTURE,
    "HC": _FILM,
    "ES": _ENDOSCOPY,
    **dict.fromkeys(("OT", "DOC", "SR", "KO", "PR"), _OTHER),
}
_SCREEN = re.compile(r"SCREEN.?(SAVE|SHOT|CAP|FORM)|DOSE.?(INFO|REPORT|RECORD|SUMMARY)|PATIENT.?PROTOCOL")
_PROTOCOL = re.compile(r"\bPROT\b")
"""In Image Type, scanners of one maker mark a picture of patient and protocol with this word."""


def why_hidden(values: Values, *, show: bool) -> str:
    """Return why an image isn't shown, for people; an empty text if it may be shown.

    Parameters
    ----------
    values : mapping
        The image's values of the :data:`KEYWORDS`, without missing ones.
    show : bool
        Whether to show images of kinds that often bear writing, if no attribute says whether they do.
    """
    if declared := _declared_reason(values):
        return f"not shown: {declared}; open the image itself to see it"
    kind = "" if show or values.get(_BURNED_IN) == {"NO"} else _kind(values)
    if not kind:
        return ""
    return (
        f"not shown: {kind}, and Burned In Annotation doesn't say that no name is written into it; "
        "report.sensitive: show shows it"
    )


def _declared_reason(values: Values) -> str:
    """Return the attribute that says that a name may be written into the image; an empty text if none does."""
    if "YES" in values.get(_BURNED_IN, ()):
        return "Burned In Annotation is YES, so the pixels may name the patient"
    if "YES" in values.get(_SPECIMEN_LABEL, ()):
        return "Specimen Label in Image is YES, so the pixels may name the patient"
    types = _SLIDE.keys() & values.get(_IMAGE_TYPE, set())
    return f"Image Type calls it {min(types)}: {_SLIDE[min(types)]}, which may name the patient" if types else ""


def _kind(values: Values) -> str:
    """Return the kind of an image, if that kind often bears writing; otherwise an empty text."""
    known = [_CLASSES.get(uid) for uid in sorted(values.get(_SOP_CLASS, ()))]
    known += [_MODALITIES.get(modality) for modality in sorted(values.get(_MODALITY, ()))]
    if kinds := [kind for kind in known if kind]:
        return kinds[0]
    if any(values.get(_CONVERSION, ())):
        return _CAPTURE
    texts = values.get(_IMAGE_TYPE, set()) | values.get(_DESCRIPTION, set())
    if any(map(_SCREEN.search, texts)) or any(map(_PROTOCOL.search, values.get(_IMAGE_TYPE, ()))):
        return "a picture of a screen"
    return "" if all(values.get(_SOP_CLASS, {""})) else "an image of unknown kind"
