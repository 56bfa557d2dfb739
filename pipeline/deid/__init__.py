"""De-identification: the gate through which everything passes that a file says of itself, before it is written or shown."""

from pipeline.deid.gate import IDENTITY, REMOVED, Element, Gate, Removed, Value

__all__ = [
    "IDENTITY",
    "REMOVED",
    "Element",
    "Gate",
    "Removed",
    "Value",
]
