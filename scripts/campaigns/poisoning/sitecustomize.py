"""Puts the poison into every Python process that has this folder in PYTHONPATH: workers, and what they start."""

import os

if os.environ.get("DCM2ZARR_POISON"):
    import poisons

    poisons.install()
