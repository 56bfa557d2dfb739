"""Pure: where slices lie, from their positions and orientations."""

from pipeline.geometry.ordering import order_stack

__all__ = [
    "order_stack",
]
