"""Decoding plugins that users of pydicom install, but this project doesn't need.

GDCM, for one, may end the process on damaged data, so ``scripts/bench`` keeps it out of the environment, in a folder
of its own.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[3] / ".cache" / "peers"


def use() -> None:
    """Let pydicom find the plugins. Call it before pydicom is imported, which looks for them then."""
    if "pydicom" in sys.modules:
        raise RuntimeError("pydicom is imported already")
    sys.path.append(str(FOLDER))


def use_on_one_core() -> None:
    """Let pydicom find the plugins, and keep this process with all threads on one core: GDCM decodes JPEG 2000 with several."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    use()
