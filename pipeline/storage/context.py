"""Storage options that travel with each task, so that workers reach the stores like the driver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pipeline.storage.options import Options, active, using


@dataclass(frozen=True, slots=True)
class Carried:
    """A function with the storage options that were active when it was wrapped; they are active in each call."""

    function: Callable[[Any], Any]
    options: Options = field(default_factory=active)

    def __call__(self, item: Any) -> Any:
        """Call the function on `item` with the carried options."""
        with using(self.options):
            return self.function(item)
