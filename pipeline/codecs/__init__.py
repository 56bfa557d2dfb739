"""A fast decoding plugin for pydicom, based on imagecodecs.

One call of :func:`register` adds the plugin to all of pydicom's decoders that it supports. pydicom then uses the plugin
in every place that takes the name of a decoding plugin::

    from pydicom import pixel_array
    from dcm2zarr import codecs

    codecs.register()
    pixel_array("image.dcm", decoding_plugin=codecs.PLUGIN)
"""

from pipeline.codecs.boxes import bare, stalls_pydicom
from pipeline.codecs.codestream_checks import examine, require_complete, unfit
from pipeline.codecs.direct import DirectDecoder, direct_decoder
from pipeline.codecs.frame import YBR_FULL, FrameRequest
from pipeline.codecs.plugin import RGB_OPTION
from pipeline.codecs.pydicom_registration import PLUGIN, decoder_of, fast_transfer_syntaxes, plugin_version, register
from pipeline.codecs.samples import WORDS, Coded, SampleBits

__all__ = [
    "PLUGIN",
    "RGB_OPTION",
    "WORDS",
    "YBR_FULL",
    "Coded",
    "DirectDecoder",
    "FrameRequest",
    "SampleBits",
    "bare",
    "decoder_of",
    "direct_decoder",
    "examine",
    "fast_transfer_syntaxes",
    "plugin_version",
    "register",
    "require_complete",
    "stalls_pydicom",
    "unfit",
]
