"""The scripts of scripts/ as modules."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

from support.corpora import REPOSITORY


def load_script(name: str) -> ModuleType:
    """Import a script; what it defines can be pickled afterwards, because it stands among the modules."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
