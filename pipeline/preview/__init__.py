"""Pictures for people: thumbnails and contact sheets for the report, without what could identify a patient."""

from pipeline.preview.contact_sheets import contact_sheet

__all__ = [
    "contact_sheet",
]
