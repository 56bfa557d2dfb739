"""Options that travel with each task, so that a worker reaches the stores as the driver does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pipeline.storage.options import Options, active, using


@dataclass(frozen=True, slots=True)
class Carried:
    """A function together with the options that held where it was made; called anywhere, they hold there too."""

    function: Callable[[Any], Any]
    options: Options = field(default_factory=active)

    def __call__(self, item: Any) -> Any:
        """Call the function on `item`."""
        with using(self.options):
            return self.function(item)
