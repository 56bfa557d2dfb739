"""The Zarr store: create, write a region, finalise, open. The only room that knows zarr.

::

    ShardWriter ───► <image>/pixels/c/…            shards only: no metadata, nothing that a reader could open
    finalise_image ► <image>/<per-frame arrays>    then pixels/zarr.json, the parent groups, and last
                     <image>/zarr.json             attributes with ``status: complete``
    take_place ────► moves an image that was made aside to where another one stood
"""

from pipeline.store.arrays import has_one_value
from pipeline.store.compression import check_codec
from pipeline.store.constant_and_varying import split_attributes
from pipeline.store.finalise import (
    as_output_error,
    combine_digests,
    create_root,
    finalise_image,
    remove_image,
    withdraw_image,
)
from pipeline.store.read import (
    ImageLayout,
    check_result,
    image_layouts,
    image_location,
    is_image,
    list_images,
    open_image,
    open_pixels,
    open_plain_pixels,
)
from pipeline.store.regions import ShardWriter, Stored, shard_name, shard_size, write_region
from pipeline.store.replacing import remove_replaced, remove_stale, take_place
from pipeline.store.stored import (
    StoredImage,
    chunk_names,
    decode_shard,
    image_digest,
    is_plain_group,
    list_folder,
    read_file,
    read_frame,
    read_stored,
    read_stored_frames,
)
from pipeline.store.strict_json import strict

__all__ = [
    "ImageLayout",
    "ShardWriter",
    "Stored",
    "StoredImage",
    "as_output_error",
    "check_codec",
    "check_result",
    "chunk_names",
    "combine_digests",
    "create_root",
    "decode_shard",
    "finalise_image",
    "has_one_value",
    "image_digest",
    "image_layouts",
    "image_location",
    "is_image",
    "is_plain_group",
    "list_folder",
    "list_images",
    "open_image",
    "open_pixels",
    "open_plain_pixels",
    "read_file",
    "read_frame",
    "read_stored",
    "read_stored_frames",
    "remove_image",
    "remove_replaced",
    "remove_stale",
    "shard_name",
    "shard_size",
    "split_attributes",
    "strict",
    "take_place",
    "withdraw_image",
    "write_region",
]
