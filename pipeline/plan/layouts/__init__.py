"""How frames become an image: its axes, its grid, chunks and shards, and where each frame lies."""

from pipeline.plan.layouts.frames import Select, Shapes, image_spec, shape_chooser, tile_shape

__all__ = ["Select", "Shapes", "image_spec", "shape_chooser", "tile_shape"]
