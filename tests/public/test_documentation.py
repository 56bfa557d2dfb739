"""Users read of one name, `dcm2zarr`, and what they read of it exists."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import dcm2zarr
import pipeline

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = [
    REPOSITORY / "README.md",
    REPOSITORY / "SECURITY.md",
    REPOSITORY / "scripts" / "demo",
    *sorted((REPOSITORY / "docs").rglob("*.md")),
    *sorted((REPOSITORY / "notebooks").rglob("*.ipynb")),
]
OUR_NAME = re.compile(r"\b(?:import|from) pipeline\b|-m pipeline\b|(?<![/.\w])pipeline\.(?!py\b)\w+")
"""The package `pipeline` in code or text; not files below it, nor a `pipeline.py` of somebody else's."""
PUBLIC = re.compile(r"(?<![/.\w-])dcm2zarr\.(\w+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_dcm2zarr_only(page: Path):
    text = page.read_text("utf-8")
    assert OUR_NAME.findall(text) == []
    assert {name for name in PUBLIC.findall(text) if name not in dcm2zarr.__all__} == set()


def test_some_pages_do_name_it():
    named = set().union(*(PUBLIC.findall(page.read_text("utf-8")) for page in PAGES))
    assert {"open", "open_dicom", "iter_frames", "convert", "plan", "verify", "codecs", "storage_options"} <= named


def test_examples_in_docstrings_name_it():
    texts = [path.read_text("utf-8") for path in (REPOSITORY / "pipeline").rglob("*.py")]
    examples = [line for text in texts for line in re.findall(r"^ *(?:>>>|\.\.\.) .*", text, re.MULTILINE)]
    assert len(examples) > 10
    assert [line for line in examples if "pipeline" in line] == []
    for name in dcm2zarr.__all__:
        assert "pipeline.open" not in (inspect.getdoc(getattr(dcm2zarr, name)) or "")
    assert "dcm2zarr" in (pipeline.__doc__ or "")
