"""The advice for each reason code of the catalog."""

from __future__ import annotations

_DAMAGED = "The file is damaged or was cut: fetch it again from its archive, or export it again."
_HEADER = "Correct the attribute at its source; pydicom can show it: dcmread(path, stop_before_pixels=True)."

ADVICE = {
    # failed
    "unreadable": "The file could not be read: check its permissions and the disk or network share, then run again.",
    "file_not_found": "The file is missing: check the path, and whether the file was moved during the run.",
    "ambiguous_file_id": "Name the folder instead of its DICOMDIR, or give the file the name that the DICOMDIR lists.",
    "dicomdir_without_files": "The DICOMDIR was copied without its files, or lists no files: name the folder that holds the "
    "files, or copy them beside the DICOMDIR, under the names that it lists.",
    "outside_file_set": "The DICOMDIR lists a symbolic link that leads out of its folder. If this is intended, name the target of "
    "the link as a source.",
    "list_entry_refused": "A list on a server names a file on another server, or on this machine. If you trust the list, allow "
    "that: --set source.list_origins='[https://host]', or [file].",
    "list_entry_unusable": "Correct the entry of the list: give a path, or a URL of a supported kind without password or signature. If "
    "the entry is a prefix in a store, check that the prefix can be listed.",
    "no_range_requests": "The server sends whole files only, but frames are read by byte ranges. Use another server, or copy "
    "the files to this machine first.",
    "header_too_large": "The header holds more elements, items, values or bytes than any real header: an attack, or damage. If the "
    "file is sound, raise the limit that the message names: --set limits.header_elements=5000000.",
    "too_many_fragments": "The pixel data have more fragments than any real file: an attack, or damage. If the file is sound, raise "
    "limits.fragments.",
    "inflated_too_large": "The file is deflated, and inflates to more than limits.inflated. If this is intended, and the folder for "
    "temporary files has room for one such file for each worker, raise the limit: --set limits.inflated='4 GiB'.",
    "header_too_deep": f"Sequences are nested deeper than any real header: an attack, or damage. {_DAMAGED}",
    "header_unreadable": f"The header can't be parsed. {_DAMAGED}",
    "contradictory_attributes": f"Attributes contradict each other or the length of the pixel data. {_HEADER}",
    "transfer_syntax_mismatch": "The pixel data are encapsulated but the Transfer Syntax UID says native, or the other "
    f"way round. {_HEADER}",
    "missing_attribute": f"Without this attribute the pixels can't be interpreted. {_HEADER}",
    "invalid_attribute": f"The value is outside what DICOM allows. {_HEADER}",
    "unsupported_transfer_syntax": "No decoder can read this encoding (videos are not supported). Convert the file to "
    "another transfer syntax first, or install a pydicom decoding plugin that can.",
    "frame_too_large": "The header declares frames above limits.frame. If they are really that large, raise "
    "the limit: --set limits.frame='8 GiB'.",
    "pixel_data_missing": "The SOP Class or the attributes say that the file is an image, but its pixel data are missing: they were "
    "left out, or the file was cut before them. Fetch the file again from its archive. If only headers were exported, there is "
    "nothing to convert.",
    "pixel_data_too_short": f"The pixel data have fewer bytes than the header declares. {_DAMAGED}",
    "damaged_pixel_data": f"The structure of the pixel data is broken. {_DAMAGED}",
    "frames_missing": f"The file holds fewer frames than Number of Frames declares. {_DAMAGED}",
    "decode_failed": "No decoder could decode the named frame, or a part of its codestream is missing. If the file is cut short "
    "or damaged, fetch it again; otherwise try another decoder (decode.plugin).",
    "frame_mismatch": "The rows, columns, samples or bits of the frame contradict the header, so the frame was not stored. "
    + _HEADER,
    "decoder_crashed": "A decoder crashed on the named frame twice, alone in a process. Try another decoder "
    f"(decode.plugin). {_DAMAGED}",
    "header_crashed": f"Reading the header crashed the process twice. The next run tries again. {_DAMAGED}",
    "timeout": "Decoding the named frame, or reading the header, took longer than limits.frame_seconds or "
    "limits.header_seconds. If the file is sound but large, or its storage is slow, raise the limit and run again; otherwise the "
    "file is damaged.",
    "memory": "Decoding the named frame, or reading the header, took more memory than limits.decode_memory allows or the "
    "machine has. Raise the limit, or use fewer workers, and run again. If the file is small, it is damaged.",
    "source_changed": "The file changed between scan and conversion. Run again when no process writes to the source: the "
    "next run stores the new content.",
    "index_damaged": "The frame index that the scan kept in the output directory was changed afterwards. Convert everything "
    "again with --overwrite, into a folder that no other user can write.",
    "task_memory_exceeded": "One task would need more memory than limits.task_memory. Raise the limit if the workers have "
    "enough memory, or make output.shard smaller.",
    "not_converted": "The run ended before it converted this file. Run the same command again to finish.",
    "worker_lost": "The worker process died on this file, out of memory or in a decoder. Run again; if it fails again, use fewer "
    "workers or another decode.plugin.",
    "write_failed": "The output could not be written: check free space and permissions, then run again.",
    "finalise_failed": "The image's metadata could not be written: check free space and permissions, then run again.",
    "invalid_configuration": "The configuration can't be used for this file; the message says what is expected.",
    "output_unusable": "The output directory could not be written: check free space and permissions, then run again.",
    # converted
    "image_frozen": "The file has changed since it was stored, but its image could not be made again, because another "
    "original of that image is missing or can't be stored any more. The earlier image keeps the earlier content of this file; the "
    "new content is in an image of its own. Put back the missing originals and run again: both become one image.",
    # rejected
    "not_dicom": "Not a DICOM file, so it was left alone. If it should be a DICOM file, fetch it again.",
    "archive": "An archive or a compressed file. dcm2zarr doesn't look into it: unpack it first, and run again.",
    "empty_file": "The file is empty: fetch it again if it should be an image.",
    "no_pixel_data": "DICOM without pixels, such as a report or a structure set, so it was left alone.",
    "not_a_regular_file": "A device, pipe or socket, so it was left alone.",
    # skipped
    "not_selected": "Left out by select.where.",
    "no_frames_selected": "None of its frames is in select.frames.",
    "duplicate": "A byte-identical copy of a file that was found first; only the first file is converted.",
    "symbolic_link": "A symbolic link that leads out of the source or to a file that was found already: name its "
    "target as a source if it should be converted.",
}
_UNKNOWN = "The message says what happened; run again with -v for more."


def advice(reason: str) -> str:
    """Return the advice for a reason code, in a sentence or two."""
    return ADVICE.get(reason, _UNKNOWN)
