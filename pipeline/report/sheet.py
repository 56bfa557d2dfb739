"""The contact sheet: small frames as data URIs, so that the page stays one file."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from pipeline.report.run_summary import SampleImage
from pipeline.units import counted


def contact_sheet(images: Sequence[SampleImage]) -> str:
    """Return a grid with the sample frames of each image; an empty text if there are no images."""
    return f'<div class="sheet">\n{chr(10).join(map(_image, images))}\n</div>' if images else ""


def _image(image: SampleImage) -> str:
    pictures = "".join(
        f'<img src="data:image/jpeg;base64,{base64.b64encode(sample.jpeg).decode()}" '
        f'alt="frame {sample.frame}" title="frame {sample.frame}">'
        for sample in image.samples
    )
    shown = pictures or f'<p class="note">{escape(image.why_not)}</p>'
    label = f"{counted(len(image.samples), 'frame')} of {image.path}" if image.samples else image.path
    patient = f'<span class="patient">{escape(image.patient)}</span>' if image.patient else ""
    return (
        f'<figure class="image" aria-label="{escape(label)}">\n<div class="frames">{shown}</div>\n'
        f"<figcaption>{patient}<span>{escape(image.caption)}</span>"
        f'<span class="path">{escape(image.path)}</span></figcaption>\n</figure>'
    )
