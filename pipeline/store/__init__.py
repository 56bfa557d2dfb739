"""The Zarr store: create, write a region, finalise, open. The only room that knows zarr.

::

    write_region ──► <image>/pixels/c/…            shards only: no metadata, nothing a reader could open
    finalise_image ► <image>/<per-frame arrays>    then pixels/zarr.json, the parent groups, and last
                     <image>/zarr.json             attributes with ``status: complete``
"""

from pipeline.store.codecs import check_codec
from pipeline.store.finalise import create_root, finalise_image, remove_image
from pipeline.store.read import ImageLayout, image_layouts, list_images, open_image, read_frame
from pipeline.store.regions import write_region

__all__ = [
    "ImageLayout",
    "check_codec",
    "create_root",
    "finalise_image",
    "image_layouts",
    "list_images",
    "open_image",
    "read_frame",
    "remove_image",
    "write_region",
]
