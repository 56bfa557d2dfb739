"""Layouts of images: axes, grid, chunks and shards, and the position of each frame."""

from pipeline.plan.layouts.frames import Select, Shapes, lay_out_image, shape_chooser, tile_shape

__all__ = ["Select", "Shapes", "lay_out_image", "shape_chooser", "tile_shape"]
