"""The Zarr store: create, write a region, finalise, open. The only room that knows zarr.

::

    ShardWriter ───► <image>/pixels/c/…            shards only: no metadata, nothing a reader could open
    finalise_image ► <image>/<per-frame arrays>    then pixels/zarr.json, the parent groups, and last
                     <image>/zarr.json             attributes with ``status: complete``
    take_place ────► an image that was made aside is where another one stood until now
"""

from pipeline.store.codecs import check_codec
from pipeline.store.finalise import (
    as_output_error,
    combined_digest,
    create_root,
    finalise_image,
    remove_image,
    withdraw_image,
)
from pipeline.store.read import (
    ImageLayout,
    check_result,
    frame_of,
    image_layouts,
    image_location,
    is_image,
    list_images,
    open_image,
    open_pixels,
    plain_pixels,
)
from pipeline.store.regions import ShardWriter, Stored, shard_name, shard_size, write_region
from pipeline.store.replacing import remove_replaced, remove_stale, take_place
from pipeline.store.stored import (
    StoredImage,
    chunk_names,
    image_digest,
    is_plain_group,
    list_folder,
    read_file,
    read_stored,
    shard_frames,
    stored_frames,
)
from pipeline.store.strict_json import strict
from pipeline.store.varying import split_attributes

__all__ = [
    "ImageLayout",
    "ShardWriter",
    "Stored",
    "StoredImage",
    "as_output_error",
    "check_codec",
    "check_result",
    "chunk_names",
    "combined_digest",
    "create_root",
    "finalise_image",
    "frame_of",
    "image_digest",
    "image_layouts",
    "image_location",
    "is_image",
    "is_plain_group",
    "list_folder",
    "list_images",
    "open_image",
    "open_pixels",
    "plain_pixels",
    "read_file",
    "read_stored",
    "remove_image",
    "remove_replaced",
    "remove_stale",
    "shard_frames",
    "shard_name",
    "shard_size",
    "split_attributes",
    "stored_frames",
    "strict",
    "take_place",
    "withdraw_image",
    "write_region",
]
