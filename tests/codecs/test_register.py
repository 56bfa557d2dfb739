"""One call makes the plugin known to plain pydicom."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import imagecodecs
import numpy as np
from pydicom.data import get_testdata_file
from pydicom.pixels import get_decoder, pixel_array

from pipeline import codecs


def test_it_may_be_called_again_and_from_threads() -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: codecs.register(), range(32)))
    for uid in codecs.fast_transfer_syntaxes:
        assert get_decoder(uid).available_plugins.count(codecs.PLUGIN) == 1


def test_plain_pydicom_uses_it() -> None:
    program = (
        "from pydicom.pixels import pixel_array; import pipeline.codecs as c; c.register();"
        f"a = pixel_array({get_testdata_file('JPEG-LL.dcm')!r}); print(a.shape, a.dtype)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["(1024,", "256)", "int16"]


def test_a_codec_that_this_build_lacks_is_named_as_missing(monkeypatch) -> None:
    codecs.register()
    decoder = get_decoder("1.2.840.10008.1.2.4.80")
    monkeypatch.setattr(imagecodecs.JPEGLS, "available", False)
    decoder.remove_plugin(codecs.PLUGIN)
    codecs.register()
    codecs.register()
    assert codecs.PLUGIN not in decoder.available_plugins
    assert any(text.startswith("imagecodecs - requires imagecodecs>=") for text in decoder.missing_dependencies)
    monkeypatch.undo()
    decoder.remove_plugin(codecs.PLUGIN)
    codecs.register()
    assert codecs.PLUGIN in decoder.available_plugins


def test_the_result_is_writeable() -> None:
    codecs.register()
    array = pixel_array(get_testdata_file("MR_small_RLE.dcm"), decoding_plugin=codecs.PLUGIN)
    array += np.int16(1)
