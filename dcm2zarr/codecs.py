"""The decoding plugin on imagecodecs, for plain pydicom.

>>> import dcm2zarr.codecs
>>> dcm2zarr.codecs.register()
>>> pydicom.pixel_array("image.dcm", decoding_plugin=dcm2zarr.codecs.PLUGIN)
"""

from __future__ import annotations

from dcm2zarr import _require_pipeline

_require_pipeline()

from pipeline.codecs import PLUGIN, fast_transfer_syntaxes, plugin_version, register  # noqa: E402  now it is ours

__all__ = ["PLUGIN", "fast_transfer_syntaxes", "plugin_version", "register"]
