"""The figures of a run, saved as JSON: measuring a part again replaces that part."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benches.contest.throughput import Throughput


@dataclass(slots=True)
class Results:
    """All measurements."""

    machine: Mapping[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    """``quick``, ``workers``, ``rounds``."""
    startup_seconds: dict[str, float] = field(default_factory=dict)
    throughput: dict[str, Throughput] = field(default_factory=dict)
    memory: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    latency: list[dict[str, Any]] = field(default_factory=list)
    planning: list[dict[str, float]] = field(default_factory=list)
    scaling: dict[str, list[dict[str, float]]] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the figures."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", "utf-8")

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read the figures; empty if there is no file."""
        if not path.exists():
            return cls()
        values = json.loads(path.read_text("utf-8"))
        values["throughput"] = {name: Throughput(**row) for name, row in values["throughput"].items()}
        return cls(**values)
