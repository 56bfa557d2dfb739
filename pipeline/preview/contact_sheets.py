"""Make the report's contact sheet: a few frames of some images, read from the store at the end of the run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from pipeline import store
from pipeline.catalog import read_rows
from pipeline.config import Report
from pipeline.model import ImageSpec, Plan
from pipeline.preview.sensitive import KEYWORDS, why_hidden
from pipeline.preview.thumbnails import thumbnail, window_of
from pipeline.report import Sample, SampleImage
from pipeline.storage import OutputDir
from pipeline.units import shape

FRAMES = 4
"""Most frames that are shown of an image."""
LARGEST_FRAME = 64 * 2**20
"""Decoded bytes; a larger frame isn't read for a thumbnail."""
_WINDOW = ("WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept")
_NAME, _ID = "00100010", "00100020"


def contact_sheet(out: OutputDir, wanted: Report, plan: Plan, complete: Sequence[int]) -> tuple[SampleImage, ...]:
    """Return sample frames of at most ``report.images`` images, evenly chosen among the complete ones.

    Parameters
    ----------
    out : OutputDir
        The output directory.
    wanted : Report
        The section ``report`` of the configuration.
    plan : Plan
    complete : sequence of int
        The complete images, by position, ascending.
    """
    chosen = _evenly(len(complete), wanted.images)
    return tuple(_image(out, plan, plan.images[complete[place]], wanted) for place in chosen)


def _evenly(count: int, most: int) -> list[int]:
    """Return at most `most` of ``range(count)``, the first and the last among them."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(count, most))}) if count and most else []


def _image(out: OutputDir, plan: Plan, spec: ImageSpec, wanted: Report) -> SampleImage:
    group: Any = store.open_image(out, spec.path)
    attributes = dict(group.attrs)
    patient = _patient(out, plan, spec) if wanted.patient_names else ""
    caption = f"{spec.modality or 'unknown modality'}, {shape(spec.shape)} {spec.format.dtype}"
    why_not = _why_not(group, attributes, spec, wanted)
    if why_not:
        return SampleImage(spec.path, caption, why_not=why_not, patient=patient)
    stored = np.asarray(group["valid"][...]).ravel()[spec.grid.indices(range(spec.frames))]
    valid = np.flatnonzero(stored).tolist()
    pixels = store.open_pixels(out, spec.path)
    photometric = str(attributes.get("PhotometricInterpretation") or spec.format.photometric_interpretation)
    names = {name for name in _WINDOW if name in group}
    samples, windowed = [], False
    for position in (valid[place] for place in _evenly(len(valid), FRAMES)):
        at = spec.grid.coordinates(position)
        window = window_of(attributes | {name: np.asarray(group[name][at]) for name in names})
        windowed |= window is not None
        frame = store.read_frame(pixels, spec, position)
        samples.append(Sample(spec.grid.index(position), thumbnail(frame, photometric, window)))
    return SampleImage(spec.path, caption + (", windowed" if windowed else ""), tuple(samples), patient=patient)


def _why_not(group: Any, attributes: Mapping[str, Any], spec: ImageSpec, wanted: Report) -> str:
    values = {name: _texts(group, attributes, name) for name in KEYWORDS if name in attributes or name in group}
    if why := why_hidden(values, show=wanted.sensitive == "show"):
        return why
    if spec.format.frame_bytes > LARGEST_FRAME:
        return "not shown: its frames are too large"
    return ""


def _texts(group: Any, attributes: Mapping[str, Any], name: str) -> set[str]:
    """Return all values of a text attribute over an image's frames, in capitals."""
    value = attributes[name] if name in attributes else [*set(np.asarray(group[name][...]).ravel().tolist())]
    parts = value if isinstance(value, list) else [value]
    return {str(text).strip().upper() for part in parts for text in _split_values(part)}


def _split_values(part: Any) -> list[Any]:
    """Return the values of a JSON list (multiple values that differ between frames are stored so); else `part` alone."""
    if isinstance(part, str) and part.startswith("["):
        with suppress(ValueError):
            return [*json.loads(part)]
    return [part]


def _patient(out: OutputDir, plan: Plan, spec: ImageSpec) -> str:
    """Return name and ID of the patient, from the header of the image's first instance."""
    instance = plan.instances[spec.placements[0].instance]
    (row,) = read_rows(out.segment(instance.segment), [instance.row], ("header",))
    header = json.loads(row["header"] or "{}")
    name, number = (header.get(tag, {}).get("Value") or [None] for tag in (_NAME, _ID))
    alphabetic = (name[0] or {}).get("Alphabetic", "") if isinstance(name[0], dict) else ""
    return ", ".join(part for part in (alphabetic, str(number[0] or "")) if part)
