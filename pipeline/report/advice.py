"""What to do about each reason code of the catalog."""

from __future__ import annotations

_DAMAGED = "The file is damaged or was cut: fetch it again from its archive, or export it anew."
_HEADER = "Correct the attribute at its source; pydicom can show it: dcmread(path, stop_before_pixels=True)."

ADVICE = {
    # failed
    "unreadable": "The file could not be read: check its permissions and the disk or network share, then run again.",
    "file_not_found": "Nothing is there: check the path, or whether the file was moved while the run was going on.",
    "ambiguous_file_id": "Name the folder instead of its DICOMDIR, or give the file the name that the DICOMDIR lists.",
    "dicomdir_without_files": "The DICOMDIR was copied without its files, or lists none: name the folder that holds them, or "
    "copy them to where it lists them, beside it.",
    "outside_file_set": "The DICOMDIR lists a symbolic link that leads out of its folder. If that is meant, name the link's target as "
    "a source.",
    "list_entry_refused": "A list on a server names something on another one, or on this machine. If you trust the list with that, "
    "allow it: --set source.list_origins='[https://host]', or [file].",
    "list_entry_unusable": "Correct the list's entry: a path, or a URL without password or signature of a kind that can be read. If it "
    "is a prefix in a store, see whether that can be listed.",
    "no_range_requests": "The server sends whole files only, and the frames of one are read by byte ranges. Use another "
    "server, or copy the files here first.",
    "header_too_large": "The header holds more elements, items, values or bytes than any real one: an attack, or damage. If it is "
    "sound, raise the limit that the message names: --set limits.header_elements=5000000.",
    "too_many_fragments": "The pixel data are in more fragments than any real one's: an attack, or damage. If they are sound, raise "
    "limits.fragments.",
    "inflated_too_large": "The file is deflated, and inflates to more than limits.inflated. If that is meant, and the folder for "
    "temporary files has room for it, once for each worker, raise it: --set limits.inflated='4 GiB'.",
    "header_too_deep": f"Sequences are nested deeper than any real header: an attack, or damage. {_DAMAGED}",
    "header_unreadable": f"The header can't be parsed. {_DAMAGED}",
    "contradictory_attributes": f"Attributes contradict each other or the length of the pixel data. {_HEADER}",
    "transfer_syntax_mismatch": "The pixel data are encapsulated and the Transfer Syntax UID says native, or the other "
    f"way round. {_HEADER}",
    "missing_attribute": f"Without this attribute the pixels can't be interpreted. {_HEADER}",
    "invalid_attribute": f"The value is outside what DICOM allows. {_HEADER}",
    "unsupported_transfer_syntax": "No decoder can read this encoding (videos are not supported). Convert the file to "
    "another transfer syntax first, or install a pydicom decoding plugin that can.",
    "frame_too_large": "The header declares frames above limits.frame. If that is true and intended, raise it: "
    "--set limits.frame='8 GiB'.",
    "pixel_data_missing": "An image by its SOP Class or its attributes, and there are no pixel data: they were left out, or the "
    "file was cut before them. Fetch it again from its archive; if only headers were exported, nothing is to be had from it.",
    "pixel_data_too_short": f"There are fewer bytes of pixel data than the header declares. {_DAMAGED}",
    "damaged_pixel_data": f"The pixel data's structure is broken. {_DAMAGED}",
    "frames_missing": f"Fewer frames are in the file than Number of Frames declares. {_DAMAGED}",
    "decode_failed": "No decoder could decode the frame named, or not all of its picture is there. If it is cut short or "
    "damaged, fetch the file again; else try another decoder (decode.plugin).",
    "frame_mismatch": "The frame is another picture than the header declares, by its rows, columns, samples or bits, so it "
    "was not stored. " + _HEADER,
    "decoder_crashed": "A decoder crashed on the frame named, twice and alone in a process. Try another one "
    f"(decode.plugin). {_DAMAGED}",
    "header_crashed": f"Reading the header crashed the process twice. The next run tries once more. {_DAMAGED}",
    "timeout": "Decoding the frame named, or reading the header, took longer than limits.frame_seconds or "
    "limits.header_seconds. Raise them and run again if the file is sound but large or its storage slow; else it is damaged.",
    "memory": "Decoding the frame named, or reading the header, took more memory than limits.decode_memory allows or the "
    "machine has. Raise it, or use fewer workers, and run again; of a small file it means damage.",
    "source_changed": "The file changed between scan and conversion. Run again when nothing writes to the source: what it "
    "holds then is stored.",
    "index_damaged": "What the scan kept in the output directory of this file's frames was changed since. Convert everything "
    "anew with --overwrite, into a folder that nobody else can write.",
    "task_memory_exceeded": "One task would need more memory than limits.task_memory. Raise it if the workers have that "
    "much, or make output.shard smaller.",
    "not_converted": "The run ended before this file's turn. Run the same command again to finish it.",
    "worker_lost": "The worker process died on this, out of memory or in a decoder. Run again; if it stays, use fewer "
    "workers or another decode.plugin.",
    "write_failed": "The output could not be written: check free space and permissions, then run again.",
    "finalise_failed": "The image's metadata could not be written: check free space and permissions, then run again.",
    "invalid_configuration": "The configuration can't be used for this file; the message says what is expected.",
    "output_unusable": "The output directory could not be written: check free space and permissions, then run again.",
    # converted
    "image_frozen": "It has changed since it was stored, and the image that it belonged to could not be made anew, because "
    "another original of that image is gone or can't be stored any more: that image stays as it is, with what this file held "
    "before, and what it holds now is in an image of its own. Put back what is missing and run again, and it is one image.",
    # rejected
    "not_dicom": "Not a DICOM file, so it was left alone. Nothing to do, unless it should have been one.",
    "archive": "An archive or a compressed file, which is not looked into: unpack it first, and run again.",
    "empty_file": "The file has no bytes at all: fetch it again if it should have been an image.",
    "no_pixel_data": "DICOM without pixels, such as a report or a structure set, so it was left alone.",
    "not_a_regular_file": "A device, pipe or socket, so it was left alone.",
    # skipped
    "not_selected": "Left out by select.where.",
    "no_frames_selected": "None of its frames is in select.frames.",
    "duplicate": "A byte-identical copy of a file that was found first; that one stands for it.",
    "symbolic_link": "A symbolic link that leads out of the source or to a file found already: name its target as a "
    "source if it should be converted.",
}
_UNKNOWN = "The message says what happened; run again with -v for more."


def advice(reason: str) -> str:
    """Return what to do about a reason code, in a sentence or two."""
    return ADVICE.get(reason, _UNKNOWN)
