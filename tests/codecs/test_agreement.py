"""The plugin agrees with pydicom's other plugins over every real file at hand."""

from __future__ import annotations

import pytest

from pipeline.model import syntaxes
from support.corpora import corpus, shared_data
from support.plugin_comparison import DIFFERENT, ORACLES, Comparison, bound, run

QUICK = 700_000
"""Bytes of the files that are compared; scripts/campaign codecs takes them all."""

TWELVE_BITS = "GDCM and pillow decode no 12-bit JPEG"
ONE_BIT = "pydicom and pylibjpeg decode no RLE of single bits"
READ_ONLY = "pydicom corrects signs in place, and some plugins return immutable bytes"
ONLY_OURS = {
    "CT0012.fragmented_no_bot_jpeg_baseline.51.dcm": TWELVE_BITS,
    "CTImage.dcm_JPEGProcess2_4TransferSyntax_1.2.840.10008.1.2.4.51.dcm": TWELVE_BITS,
    "JPGExtended.dcm": TWELVE_BITS,
    "JPEG-lossy.dcm": f"{TWELVE_BITS}; pylibjpeg refuses the scan header's spectral selection",
    "liver_rle.dcm": ONE_BIT,
    "liver_nonbyte_aligned_rle.dcm": ONE_BIT,
    "J2K_pixelrep_mismatch.dcm": READ_ONLY,
    "JLSL_16_15_1_1F.dcm": READ_ONLY,
    "JLSL_08_07_0_1F.dcm": "GDCM decodes no JPEG-LS of 6 or 7 bits",
    "1_Map": "pylibjpeg refuses the scan header's spectral selection",
    "GDCMJ2K_TextGBR.dcm": "pillow refuses the JP2 file around the codestream",
}
"""Files that one of pydicom's others fails on, and ours doesn't, and why."""


def test_the_plugin_agrees_with_all_others() -> None:
    """One test, for the comparison is to be made once."""
    if not ORACLES.is_dir():
        pytest.skip("the other decoders aren't there; scripts/test installs them (scripts/oracles.txt)")
    results = list(run([path for path in corpus() if path.stat().st_size < QUICK]))
    assert {result.plugin for result in results} == {"gdcm", "pillow", "pydicom", "pyjpegls", "pylibjpeg"}
    check_ours_decodes_whatever_another_does(results)
    check_what_only_ours_decodes(results)
    check_types_and_shapes(results)
    check_bits_unless_jpeg_is_lossy(results)
    check_bounds_of_lossy_jpeg(results)


def check_ours_decodes_whatever_another_does(results: list[Comparison]) -> None:
    assert {(result.file, result.ours) for result in results if result.ours and not result.theirs} == set()
    assert len(results) > 200 or not shared_data()


def check_what_only_ours_decodes(results: list[Comparison]) -> None:
    assert {result.file for result in results if result.theirs and not result.ours} == among(results, ONLY_OURS)


def check_types_and_shapes(results: list[Comparison]) -> None:
    assert {(result.file, result.plugin): result.shapes for result in results if result.shapes} == {}


def check_bits_unless_jpeg_is_lossy(results: list[Comparison]) -> None:
    """Of lossy JPEG 2000, too, up to one grey level, which is what builds of OpenJPEG differ by."""
    exact = [result for result in results if result.syntax not in syntaxes.LOSSY_JPEG]
    apart = {(each.file, each.plugin) for each in exact if max(each.difference, each.in_codec) > bound(each)}
    assert apart == set()


def check_bounds_of_lossy_jpeg(results: list[Comparison]) -> None:
    lossy = [result for result in results if result.syntax in syntaxes.LOSSY_JPEG]
    apart = {
        (result.file, result.plugin) for result in lossy if max(result.difference, result.in_codec) > bound(result)
    }
    assert apart == {(name, "pylibjpeg") for name in among(results, DIFFERENT)}


def among(results: list[Comparison], names: dict[str, str]) -> set[str]:
    """Those of `names` that were compared: not all corpora are everywhere, and large files aren't compared here."""
    return set(names) & {result.file for result in results}
