"""De-identification: the gate that every header value passes before it is written or shown."""

from pipeline.deid.gate import IDENTITY, REMOVED, Element, Gate, Removed, Value

__all__ = [
    "IDENTITY",
    "REMOVED",
    "Element",
    "Gate",
    "Removed",
    "Value",
]
