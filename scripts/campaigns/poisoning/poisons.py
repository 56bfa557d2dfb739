"""Evil decoders and header parsers, for the campaign poison: the files that they read say what they do.

A frame whose first bytes are ``POISON:<kind>;`` is poisonous to the decoding plugin ``poison``, Patient Comments of
that form to whatever reads the header. Everything else is decoded by the package's own plugin.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn

PLUGIN = "poison"
MARK = b"POISON:"
RLE_LOSSLESS = "1.2.840.10008.1.2.5"


def install() -> None:
    """Register the plugin with pydicom's RLE decoder, and look at every header element that is read."""
    from pydicom import hooks  # noqa: PLC0415  only in processes that are to be poisoned
    from pydicom.pixels.decoders.base import get_decoder  # noqa: PLC0415
    from pydicom.uid import UID  # noqa: PLC0415

    get_decoder(UID(RLE_LOSSLESS)).add_plugin(PLUGIN, (__name__, "decode_frame"))
    sound = hooks.hooks.raw_element_value

    def look(raw: Any, data: dict[str, Any], **options: Any) -> None:
        value = raw.value if isinstance(raw.value, bytes) else b""
        if value.startswith(MARK) and os.environ.get("DCM2ZARR_POISON") == "on":
            act(value)
        sound(raw, data, **options)

    hooks.hooks.register_callback("raw_element_value", look)


DECODER_DEPENDENCIES = {RLE_LOSSLESS: ("pydicom",)}


def is_available(uid: str) -> bool:
    """Tell pydicom that this plugin decodes RLE."""
    return uid == RLE_LOSSLESS


def decode_frame(src: bytes, runner: Any) -> bytes | bytearray:
    """Decode a frame, or do what its poison says."""
    from pipeline.codecs.plugin import decode_frame as sound  # noqa: PLC0415  as above

    frame = sound(src, runner)
    if bytes(frame[: len(MARK)]) == MARK and os.environ.get("DCM2ZARR_POISON") == "on":
        act(bytes(frame[:32]))
    return frame


def act(text: bytes) -> None:
    """Execute the poison in a text."""
    KINDS[text[len(MARK) :].split(b";")[0].decode()](text)


def _segfault(_: bytes) -> None:
    ctypes.string_at(0)


def _abort(_: bytes) -> None:
    os.abort()


def _exit(_: bytes) -> None:
    os._exit(3)


def _kill(_: bytes) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _hang(_: bytes) -> NoReturn:
    while True:
        time.sleep(1)


def _hold(_: bytes) -> None:
    """Hang while holding Python's global lock: no other thread of the process runs any more."""
    re.match(r"(a+)+$", "a" * 200 + "b")


def _eat(_: bytes) -> NoReturn:
    eaten = []
    while True:
        eaten.append(b"\1" * 2**24)


def _sys_exit(_: bytes) -> NoReturn:
    sys.exit(3)


def _raise(_: bytes) -> NoReturn:
    raise RuntimeError("poison")


def _out_of_memory(_: bytes) -> NoReturn:
    raise MemoryError


def _late(_: bytes) -> None:
    """Crash a little later, while another frame is being decoded."""
    threading.Timer(0.05, ctypes.string_at, [0]).start()


def _once(text: bytes) -> None:
    """Crash the first time only: a machine's bad moment, not the file's fault."""
    folder = os.environ["DCM2ZARR_POISON_FOLDER"]
    try:
        os.close(os.open(os.path.join(folder, text.split(b";")[1].decode()), os.O_CREAT | os.O_EXCL))  # noqa: PTH118
    except FileExistsError:
        return
    ctypes.string_at(0)


KINDS: dict[str, Callable[[bytes], None]] = {
    "segfault": _segfault,
    "abort": _abort,
    "exit": _exit,
    "kill": _kill,
    "hang": _hang,
    "hold": _hold,
    "eat": _eat,
    "sys_exit": _sys_exit,
    "raise": _raise,
    "out_of_memory": _out_of_memory,
    "late": _late,
    "once": _once,
}
